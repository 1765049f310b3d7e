# SPDX-License-Identifier: MIT
"""The consumer against a broker that fails at the worst moment: nothing is lost, nothing is settled twice. No clock."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import TYPE_CHECKING, Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from pika import BasicProperties

from fedora_messaging.consumer import Consumer
from fedora_messaging.dialer import Dialer
from fedora_messaging.statistics import Statistics
from fedora_messaging.topology import Topology
from fedora_messaging.transports.base import Address, Outgoing
from fedora_messaging.transports.memory import Broker

if TYPE_CHECKING:
    from fedora_messaging.deliveries import Delivery

PREFETCH = 3
DEAD = {"x-dead-letter-exchange": "graveyard"}
DURABLE = {"durable": True, "auto_delete": False, "exclusive": False}
EXCHANGE = {"type": "topic", "durable": True, "auto_delete": False, "arguments": {}}
numbers = itertools.count()


class Clock(asyncio.SelectorEventLoop):
    """A loop whose time stands still unless it is told."""

    now = 1000.0

    def time(self) -> float:
        return self.now


class Consuming(RuleBasedStateMachine):
    """An application that settles as it likes, a broker that fails when it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = Clock()
        asyncio.set_event_loop(self.loop)
        self.name = f"consuming-{next(numbers)}"
        self.broker = Broker.named(self.name)
        self.published = 0
        self.cancellations = 0
        self.acked: set[int] = set()
        self.rejected: set[int] = set()
        self.held: list[Delivery] = []
        self.statistics = Statistics()

    @initialize()
    def begin(self) -> None:
        state = self.broker.state
        state.declare_exchange("graveyard", EXCHANGE, passive=False)
        state.declare_queue("dead", {**DURABLE, "arguments": {}}, passive=False, owner=None)
        state.exchange("graveyard").bind(state.queues["dead"], "#")

        async def start() -> Consumer:
            dialer = Dialer([Address(f"memory://{self.name}")], "testing")
            queues = {name: {**DURABLE, "arguments": DEAD} for name in ("one", "two")}
            bindings = [{"queue": name, "exchange": "amq.topic", "routing_keys": [name]} for name in queues]
            consumer = Consumer(dialer, Topology({}, queues, bindings), PREFETCH, self.statistics)
            await consumer.start()
            return consumer

        self.consumer = self.loop.run_until_complete(start())
        self.next: asyncio.Task[Delivery] | None = None

    def run(self, turns: int = 12) -> None:
        async def some() -> None:
            for _ in range(turns):
                await asyncio.sleep(0)

        self.loop.run_until_complete(some())
        self.collect()

    def collect(self) -> None:
        """What the application was handed."""
        if self.next is not None and self.next.done():
            self.held.append(self.next.result())
            self.next = None

    # the application

    @rule()
    def ask(self) -> None:
        """Wait for one more, as one does in ``async for``."""
        if self.next is None:
            self.next = asyncio.ensure_future(anext(aiter(self.consumer)), loop=self.loop)
        self.run()

    @precondition(lambda self: self.next is not None)
    @rule()
    def give_up_waiting(self) -> None:
        assert self.next is not None
        self.next.cancel()
        self.next = None
        self.run()

    @precondition(lambda self: self.held)
    @rule(
        data=st.data(),
        how=st.sampled_from(["ack", "ack", "ack", "requeue", "reject", "fail", "twice"]),
        turns=st.integers(0, 2),
    )
    def settle(self, data: st.DataObject, how: str, turns: int) -> None:
        delivery = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        number = delivery.message.body["n"]
        if how in ("ack", "twice"):
            self.acked.add(number)
            delivery.ack()
        elif how == "reject":
            self.rejected.add(number)
            delivery.reject()
        else:
            getattr(delivery, how)()
        if how == "twice":
            delivery.requeue()
            delivery.ack()
        assert not delivery.live
        self.run(turns)

    # the world

    @rule(queue=st.sampled_from(["one", "two"]), count=st.integers(1, 4))
    def publish(self, queue: str, count: int) -> None:
        for _ in range(count):
            body = json.dumps({"n": self.published}).encode()
            self.broker.state.publish(Outgoing("amq.topic", queue, BasicProperties(), body))
            self.published += 1
        self.run()

    @rule(turns=st.integers(0, 12))
    def lose_the_connection(self, turns: int) -> None:
        self.broker.kill_connections()
        self.run(turns)

    @rule(turns=st.integers(0, 12))
    def close_the_channel(self, turns: int) -> None:
        self.broker.close_channels(
            406, "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out"
        )
        self.run(turns)

    @rule(turns=st.integers(0, 12))
    def cancel_a_consumer(self, turns: int) -> None:
        """As when a queue's node is down for a moment: the queue is there again, with what was in it."""
        self.cancellations += 1
        queue = self.broker.state.queues["one"]
        told, queue.cancelled = queue.cancelled, {}
        queue.consumers.clear()
        for tell in told.values():
            tell()
        self.run(turns)

    @rule()
    def stop_the_broker(self) -> None:
        self.broker.stop()
        self.run()

    @rule()
    def start_the_broker(self) -> None:
        self.broker.start()
        self.run()

    @rule(seconds=st.sampled_from([0.2, 2.0, 31.0]))
    def let_time_pass(self, seconds: float) -> None:
        self.loop.now += seconds
        self.run()

    # what must hold

    @invariant()
    def no_more_is_out_than_was_asked_for(self) -> None:
        live = [delivery for delivery in self.held if delivery.live]
        for queue in ("one", "two"):
            consumers = 1 + self.cancellations if queue == "one" else 1  # the bound is for each of them
            assert sum(delivery.message.queue == queue for delivery in live) <= PREFETCH * consumers

    @invariant()
    def nothing_is_lost(self) -> None:
        there = self.numbers("one") | self.numbers("two") | self.unsettled()
        gone = set(range(self.published)) - there
        assert gone <= self.acked | self.rejected
        assert self.numbers("dead") <= self.rejected
        assert gone - self.acked <= self.numbers("dead")

    @invariant()
    def what_can_no_longer_be_settled_is_not_handed_out(self) -> None:
        if hasattr(self, "consumer"):
            assert all(delivery.live for delivery in self.consumer._inbox)

    def numbers(self, queue: str) -> set[int]:
        if queue not in self.broker.state.queues:
            return set()
        return {json.loads(stored.body)["n"] for stored in self.broker.messages(queue)}

    def unsettled(self) -> set[int]:
        out = set()
        for connection in self.broker.connections:
            for channel in connection.channels:
                out |= {json.loads(stored.body)["n"] for _, stored, _ in channel._unsettled.values()}
        return out

    # and in the end

    def teardown(self) -> None:
        try:
            if hasattr(self, "consumer"):
                self.everything_comes()
                if self.next is not None:
                    self.give_up_waiting()
                self.loop.run_until_complete(self.consumer.close())
                self.nothing_is_lost()
                assert not self.numbers("one") | self.numbers("two") | self.unsettled()
                assert not self.broker.connections
        finally:
            self.end()

    def everything_comes(self) -> None:
        """With a broker that does its work, every message that is not settled for good is handed out."""
        self.broker.start()
        for _ in range(4 * self.published + 10):
            self.loop.now += 31.0
            self.ask()
            while self.held:
                delivery = self.held.pop()
                self.acked.add(delivery.message.body["n"])
                delivery.ack()
            self.run()

    def end(self) -> None:
        left = asyncio.all_tasks(self.loop)
        for task in left:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self.loop.close()
        asyncio.set_event_loop(None)
        Broker._named.pop(self.name)

    @invariant()
    def nothing_is_settled_twice(self) -> None:
        assert not [closed for closed in self.broker.closings if "unknown delivery tag" in closed.text]


Consuming.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
test_whatever_the_broker_does_nothing_is_lost_and_nothing_settled_twice: Any = Consuming.TestCase
