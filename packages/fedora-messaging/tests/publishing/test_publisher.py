# SPDX-License-Identifier: MIT
"""The publisher against a broker that does everything a broker may do, at the worst moment. No clock, no socket."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from pika import BasicProperties

from fedora_messaging import publisher as module
from fedora_messaging.exceptions import (
    BaseException as LibraryError,
)
from fedora_messaging.exceptions import (
    ConnectionException,
    NoFreeChannels,
    PublishBlocked,
    PublishForbidden,
    PublishNacked,
    PublishReturned,
    PublishTimeout,
)
from fedora_messaging.publisher import Publisher
from fedora_messaging.statistics import Statistics
from fedora_messaging.transports.base import (
    ChannelClosed,
    Outgoing,
    Returned,
)

from .hostile_broker import (
    INTERNAL_ERROR,
    KINDS,
    NAMED,
    STUCK,
    UNNAMED,
    UNSAYABLE,
    Clock,
    FakeBroker,
    Sent,
    words_of_refusal,
)

if TYPE_CHECKING:
    from fedora_messaging.dialer import Dialer

    from .hostile_broker import FakeChannel, FakeConnection, OnChannel

WINDOW = 6
WINDOW_BYTES = 100


class Publishing(RuleBasedStateMachine):
    """An application that publishes, a broker that may do what it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = Clock()
        asyncio.set_event_loop(self.loop)
        self.window = module.WINDOW, module.WINDOW_BYTES
        module.WINDOW, module.WINDOW_BYTES = WINDOW, WINDOW_BYTES
        self.messages: list[Sent] = []
        self.blocked = False
        self.statistics = Statistics()

    @initialize()
    def begin(self) -> None:
        async def make() -> Publisher:
            self.broker = FakeBroker()
            return Publisher(cast("Dialer", self.broker), self.statistics)

        self.publisher = self.loop.run_until_complete(make())

    def run(self) -> None:
        """Let the loop do all that it can do now."""

        async def turns() -> None:
            for _ in range(8):
                await asyncio.sleep(0)

        self.loop.run_until_complete(turns())

    @property
    def channel(self) -> FakeChannel | None:
        channel = self.broker.channel
        return channel if channel is not None and channel.open else None

    # the application

    @rule(
        kind=st.sampled_from(KINDS),
        number=st.integers(0, 2),
        seconds=st.none() | st.integers(1, 60),
        size=st.sampled_from([2, 30, 2 * WINDOW_BYTES]),
        again=st.booleans(),
    )
    def submit(self, kind: str, number: int, seconds: float | None, size: int, again: bool) -> None:
        self._submit(kind, number, 60 if kind == STUCK else seconds, size)
        if again:
            self._submit("plain", number, seconds, 2)
        self.run()

    def _submit(self, kind: str, number: int, seconds: float | None, size: int) -> None:
        topic = {"long": "x" * 230, "accented": "é", UNSAYABLE: "ü"}.get(kind, kind) + f".{number}"
        exchange = {"exchange": "secret", "missing": "missing"}.get(kind, "amq.topic")
        properties = BasicProperties(message_id=str(len(self.messages)))
        outgoing = Outgoing(exchange, topic, properties, b"x" * size, mandatory=kind == "unroutable")
        deadline = float("inf") if seconds is None else self.loop.now + seconds
        sent = Sent(len(self.messages), kind, outgoing, deadline)
        self.messages.append(sent)
        self.broker.known[outgoing] = sent

        def done(error: LibraryError | None) -> None:
            assert not sent.withdrawn, "told although nobody waits for it"
            sent.outcomes.append(error)
            self.check_outcome(sent, error)

        sent.publication = self.publisher.submit(outgoing, seconds, done)

    @precondition(lambda self: any(sent.open for sent in self.messages))
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        sent = data.draw(st.sampled_from([sent for sent in self.messages if sent.open]).map(_Shown))
        assert sent.sent.publication is not None
        sent.sent.withdrawn = True
        self.publisher.withdraw(sent.sent.publication)
        self.run()

    # the broker

    @precondition(lambda self: self.channel and self.channel.unprocessed and not self.blocked)
    @rule(count=st.integers(1, 4))
    def process(self, count: int) -> None:
        """Take messages in order; the first that must not be closes the channel, or the connection."""
        channel = self.channel
        assert channel is not None
        for one in channel.unprocessed[:count]:
            if one.message.kind in NAMED + UNNAMED:
                one.message.refused = True
                self.close_channel(words_of_refusal(one.message))
                break
            if one.message.kind == UNSAYABLE:
                one.message.refused = True
                self.broker.ends += 1
                self.end_connection(ConnectionException(reason="internal error", code=INTERNAL_ERROR))
                break
            one.processed = True
        self.run()

    @precondition(lambda self: self.channel and self.channel.unsettled)
    @rule(data=st.data(), multiple=st.booleans(), nack=st.sampled_from([False, False, False, True]))
    def settle(self, data: st.DataObject, multiple: bool, nack: bool) -> None:
        """Confirm in whatever order, joined where all before is processed and none of it stuck."""
        channel = self.channel
        assert channel is not None
        one = channel.unsettled[data.draw(st.integers(0, len(channel.unsettled) - 1))]
        covered = [other for other in channel.sent if other.tag <= one.tag and not other.settled]
        multiple = multiple and all(other.message.kind != STUCK for other in covered)
        self.settle_all(channel, covered if multiple else [one], multiple, nack)
        self.run()

    def settle_all(self, channel: FakeChannel, those: list[OnChannel], multiple: bool, nack: bool) -> None:
        for one in those:
            one.settled = True
            if one.message.kind == "unroutable":
                one.message.returned = True
                out = one.message.outgoing
                channel.events.returned(
                    Returned(out.exchange, out.topic, out.properties.message_id, "NO_ROUTE (312)")
                )
            elif nack:
                one.message.nacked = True
            else:
                one.message.acked = True
        tell = channel.events.refused if nack else channel.events.confirmed
        tell(those[-1].tag, multiple)

    @precondition(lambda self: self.channel)
    @rule()
    def fail_channel(self) -> None:
        self.broker.faults += 1
        self.close_channel(ChannelClosed(541, "INTERNAL_ERROR"))
        self.run()

    def close_channel(self, error: ChannelClosed) -> None:
        channel = self.channel
        assert channel is not None
        channel.open = False
        channel.events.closed(error)

    @precondition(lambda self: self.broker.connection and self.broker.connection.open)
    @rule(stays_down=st.booleans(), turns=st.integers(0, 3))
    def lose_connection(self, stays_down: bool, turns: int) -> None:
        self.broker.faults += 1
        if stays_down:
            self.broker.up.clear()
        self.end_connection(ConnectionException(reason="connection reset"))
        for _ in range(turns):
            self.loop.run_until_complete(asyncio.sleep(0))

    def end_connection(self, error: ConnectionException) -> None:
        connection = self.broker.connection
        assert connection is not None
        connection.open = False
        if self.channel:
            self.channel.open = False
        self.blocked = False
        connection.events.lost(error)

    @rule()
    def come_back(self) -> None:
        self.broker.up.set()
        self.run()

    @precondition(lambda self: not self.broker.refuse_channels)
    @rule(closed=st.booleans())
    def refuse_a_channel(self, closed: bool) -> None:
        error = ChannelClosed(504, "CHANNEL_ERROR") if closed else NoFreeChannels("none")
        self.broker.refuse_channels.append(error)

    @precondition(lambda self: self.broker.connection and self.broker.connection.open and not self.blocked)
    @rule()
    def block(self) -> None:
        self.blocked = True
        cast("FakeConnection", self.broker.connection).events.blocked("low on memory")
        self.run()

    @precondition(lambda self: self.blocked)
    @rule()
    def unblock(self) -> None:
        self.blocked = False
        cast("FakeConnection", self.broker.connection).events.unblocked()
        self.run()

    @rule(seconds=st.sampled_from([0.1, 1, 5, 30]))
    def let_time_pass(self, seconds: float) -> None:
        self.loop.now += seconds
        self.run()

    # what must hold

    def check_outcome(self, sent: Sent, error: LibraryError | None) -> None:
        assert len(sent.outcomes) == 1, "told twice"
        match error:
            case None:
                assert sent.acked
                assert not sent.returned
            case PublishNacked():
                assert sent.nacked
            case PublishReturned():
                assert sent.returned or (sent.refused and sent.kind == "missing")
            case PublishForbidden():
                assert sent.refused
            case PublishTimeout():
                assert self.loop.now >= sent.deadline
                assert isinstance(error, PublishBlocked) == self.blocked
            case _:
                raise AssertionError(error)
        if isinstance(error, PublishForbidden | PublishReturned | PublishTimeout):
            assert (error.exchange, error.topic) == (sent.outgoing.exchange, sent.outgoing.topic)

    @invariant()
    def nobody_waits_longer_than_asked(self) -> None:
        late = [sent for sent in self.messages if sent.open and self.loop.now > sent.deadline + 0.1]
        assert not late

    @invariant()
    def the_window_is_respected(self) -> None:
        if self.channel is None:
            return
        in_flight = [one.message for one in self.channel.sent if not one.settled and one.message.open]
        assert len(in_flight) <= WINDOW
        if len(in_flight) > 1:
            assert sum(len(sent.outgoing.body) for sent in in_flight) <= WINDOW_BYTES

    @invariant()
    def the_counts_are_right(self) -> None:
        if not hasattr(self, "publisher"):
            return
        assert self.publisher.unconfirmed == sum(sent.open for sent in self.messages)
        told = [sent.outcomes[0] for sent in self.messages if sent.outcomes]
        assert self.statistics.published == told.count(None)
        assert sum(self.statistics.publish_failures.values()) == len(told) - told.count(None)
        assert self.statistics.reconnects == self.broker.outages

    @invariant()
    def channels_are_opened_for_a_reason(self) -> None:
        """One to begin with, one a fault, one a refused message, and one when a whole window is stuck. One more
        where the refused one had to be looked for, and again where a fault, or giving up on one, disturbed that.
        """
        if not hasattr(self, "broker"):
            return
        refused = [sent for sent in self.messages if sent.refused]
        given_up = [sent for sent in self.messages if sent.withdrawn or _is_timeout(sent)]
        searches = len([sent for sent in refused if sent.kind in UNNAMED])
        disturbed = self.broker.faults + len(given_up) if searches else 0
        unsayable = len([sent for sent in refused if sent.kind == UNSAYABLE])
        assert self.broker.ends <= 2 * unsayable + len(given_up)
        expected = 1 + self.broker.faults + len(refused) + len(given_up) // WINDOW
        assert self.broker.openings <= expected + searches + disturbed + self.broker.ends

    # and in the end

    def teardown(self) -> None:
        try:
            if hasattr(self, "publisher"):
                self.become_kind()
                self.everything_is_told()
                closing = self.loop.create_task(self.publisher.close())
                self.run()
                assert closing.done(), "closing waits for nothing"
                assert self.broker.connection is None or not self.broker.connection.open
                self.channels_are_opened_for_a_reason()
        finally:
            module.WINDOW, module.WINDOW_BYTES = self.window
            left = asyncio.all_tasks(self.loop)
            for task in left:
                task.cancel()
            self.loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            self.loop.close()
            asyncio.set_event_loop(None)

    def become_kind(self) -> None:
        self.broker.refuse_channels.clear()
        self.come_back()
        if self.blocked:
            self.unblock()
        if self.channel is None:  # it was refused one, and waits before it asks again
            self.loop.now += 31
        self.run()

    def everything_is_told(self) -> None:
        """With a broker that does its work, all but what is stuck is settled at once, and that when its time is up."""
        for _ in range(20 * len(self.messages) + 20):
            if not any(sent.open and sent.kind != STUCK for sent in self.messages):
                break
            self.work()
        else:
            self.loop.now += 61
            self.run()
            for _ in range(20 * len(self.messages) + 20):
                self.work()
        open_still = [sent.index for sent in self.messages if sent.open and sent.kind != STUCK]
        assert not open_still, "no progress"
        self.loop.now += 61
        self.run()
        assert not any(sent.open for sent in self.messages)
        self.the_counts_are_right()

    def work(self) -> None:
        self.run()
        if self.channel and self.channel.unprocessed:
            self.process(1)
        if self.channel and self.channel.unsettled:
            self.settle_all(self.channel, self.channel.unsettled[:1], multiple=False, nack=False)
            self.run()


def _is_timeout(sent: Sent) -> bool:
    return bool(sent.outcomes) and isinstance(sent.outcomes[0], PublishTimeout)


class _Shown:
    """Keeps hypothesis from printing all of a message."""

    def __init__(self, sent: Sent) -> None:
        self.sent = sent

    def __repr__(self) -> str:
        return f"message {self.sent.index}"


Publishing.TestCase.settings = settings(max_examples=250, stateful_step_count=40, deadline=None)
test_whatever_the_broker_does_each_message_is_told_its_outcome_once: Any = Publishing.TestCase
