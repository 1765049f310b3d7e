# SPDX-License-Identifier: MIT
"""The bridge from AMQP to ZeroMQ, while broker, subscribers and the bridge itself end: at least once each."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from typing import TYPE_CHECKING, Self

from fedora_messaging.aio import Session
from fedora_messaging.private_node.ports import free_port
from tests.pki import Pki

from .bridging import (
    RATE,
    Subscriber,
    duplicates,
    in_order,
    lasting,
    missing,
    outward,
    set_aside,
    there,
)
from .support import Program, channel, depth, eventually, numbered, settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fedora_messaging.private_node import PrivateNode

    from .bridging import Bridge

QUEUE = "amqp_to_zmq"
MANY = 20_000
_AT_ONCE = 100


class Feeder:
    """Publishes numbered messages to amq.topic at a rate, in a thread; each of them is confirmed when it ends."""

    def __init__(self, url: str, count: int, rate: int = RATE, size: int = 0) -> None:
        self._url, self._count, self._rate, self._size = url, count, rate, size
        self.failure: BaseException | None = None
        self.published = 0
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        eventually(lambda: there(self._url, QUEUE), "the queue of the bridge")
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._thread.join()
            assert self.failure is None, self.failure

    def _run(self) -> None:
        try:
            asyncio.run(self._publish())
        except BaseException as error:  # noqa: BLE001 - the test's own thread looks at it
            self.failure = error

    async def _publish(self) -> None:
        async with Session(settings(self._url)) as session:
            began = time.monotonic()
            while self.published < self._count:
                numbers = range(self.published, self.published + _AT_ONCE)
                await session.publish_many(numbered(numbers, size=self._size), timeout=90)
                self.published += _AT_ONCE
                await asyncio.sleep(max(0.0, self.published / self._rate - (time.monotonic() - began)))


def _listens(bridge: Bridge, count: int = 1) -> None:
    eventually(lambda: bridge.metric("zmq_subscriptions") == count, f"{count} subscriptions")


def test_each_message_reaches_a_subscriber_though_the_broker_is_killed(
    tmp_path: Path, victim: PrivateNode, victim_url: str, note: Callable[[str], None]
) -> None:
    port = free_port()
    endpoint = f"tcp://127.0.0.1:{port}"
    with outward(tmp_path, victim_url, endpoint) as bridge, Subscriber(endpoint) as subscriber:
        _listens(bridge)
        with Feeder(victim_url, MANY) as feeder:
            lasting(victim)
            for _ in range(2):
                before = feeder.published
                eventually(lambda: feeder.published > before + RATE, "messages")  # noqa: B023 - called here
                victim.kill()
                victim.start()
        subscriber.has(range(MANY))
        eventually(lambda: depth(victim_url, QUEUE) == 0, "an empty queue")
        assert bridge.stop() == 0
    assert in_order(subscriber.numbers)
    note(f"{MANY} messages, {duplicates(subscriber.numbers)} of them twice")


def test_each_message_reaches_a_subscriber_though_the_bridge_stops_in_full_flow(
    tmp_path: Path, amqp_url: str, note: Callable[[str], None]
) -> None:
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    with outward(tmp_path, amqp_url, endpoint) as bridge, Subscriber(endpoint) as subscriber:
        _listens(bridge)
        with Feeder(amqp_url, MANY // 2):
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
                before = len(subscriber.numbers)
                eventually(lambda: len(subscriber.numbers) > before + 500, "a flow")  # noqa: B023 - called here
                assert bridge.stop(number) == 0
                bridge.start()
        subscriber.has(range(MANY // 2))
        assert bridge.stop() == 0
    assert in_order(subscriber.numbers)
    note(f"{MANY // 2} messages, {duplicates(subscriber.numbers)} of them twice")


def test_what_was_acknowledged_is_on_the_wire_at_a_stop(tmp_path: Path, amqp_url: str) -> None:
    """One subscriber reads nothing while the bridge ends; what waits for it in libzmq is sent on all the same."""
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    with outward(tmp_path, amqp_url, endpoint) as bridge, Subscriber(endpoint) as subscriber:
        _listens(bridge)
        with Feeder(amqp_url, MANY // 2, rate=10**6):
            pass
        assert bridge.stop() == 0
        left = depth(amqp_url, QUEUE)
        time.sleep(0.5)
        assert subscriber.numbers == list(range(MANY // 2 - left)), missing(
            range(MANY // 2 - left), subscriber.numbers
        )


def test_a_frozen_subscriber_holds_up_nobody_and_memory_stays_bounded(
    tmp_path: Path, amqp_url: str, note: Callable[[str], None]
) -> None:
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    count, size = 10_000, 10_000
    with (
        outward(tmp_path, amqp_url, endpoint, section="high_water_mark = 1000\nlinger = 1.0") as bridge,
        Subscriber(endpoint) as subscriber,
        Program("zmq_subscribe", tmp_path, endpoint) as frozen,
    ):
        _listens(bridge, 2)
        frozen.says("got")
        frozen.process.send_signal(signal.SIGSTOP)
        before = bridge.resident()
        began = time.monotonic()
        with Feeder(amqp_url, count, size=size):
            pass
        subscriber.has(range(count))
        spent = time.monotonic() - began
        growth = bridge.resident() - before
        assert subscriber.numbers == list(range(count))
        note(f"{count * size // 10**6} MB in {spent:.1f} s; the bridge has grown by {growth:.0f} MB")
        assert growth < 50
        began = time.monotonic()
        assert bridge.stop() == 0
        assert time.monotonic() - began < 5


def test_what_is_no_json_goes_to_quarantine_and_the_rest_in_order(tmp_path: Path, amqp_url: str) -> None:
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    bad = [
        b"no json",
        b"",
        b'{"n": ',
        b"\xff\xfe{}",
        b"[" * 50_000,
        b'{"n": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    ]
    with outward(tmp_path, amqp_url, endpoint) as bridge, Subscriber(endpoint) as subscriber:
        _listens(bridge)
        eventually(lambda: there(amqp_url, QUEUE), "the queue of the bridge")
        with channel(amqp_url) as ch:
            for n in range(600):
                ch.basic_publish("amq.topic", "faults.good", b'{"n": %d}' % n)
                if n % 100 == 0:
                    ch.basic_publish("amq.topic", "faults.bad", bad[n // 100])
        letters = set_aside(amqp_url, len(bad))
        assert sorted(letter.frames for letter in letters) == sorted((b"faults.bad", body) for body in bad)
        subscriber.has(range(600))
        assert subscriber.numbers == list(range(600))
        assert [fields["i"] for fields in subscriber.envelopes] == list(range(1, 601)), (
            "no gap in the counter"
        )
        assert bridge.stop() == 0


def test_nothing_is_acknowledged_while_the_relay_is_away(
    tmp_path: Path, amqp_url: str, note: Callable[[str], None]
) -> None:
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    section = "progress_timeout = 1.0\nsubscriber_grace = 0.2"
    with outward(tmp_path, amqp_url, endpoint, section=section, options=["--remote-publish"]) as bridge:
        with Feeder(amqp_url, 1000):
            pass
        time.sleep(1.5)
        assert bridge.metric("zmq_bridged_total") == 0
        with Subscriber(endpoint, bind=True) as relay:
            relay.has(range(1000), patience=15)
            assert relay.numbers == list(range(1000))
        eventually(lambda: bridge.metric("zmq_subscribers") == 0, "no relay")
        assert bridge.ready()[0] == 200
        with Feeder(amqp_url, 1000):
            pass
        eventually(lambda: bridge.ready()[0] == 503, "not ready, since messages wait for the relay")
        with Subscriber(endpoint, bind=True) as relay:
            relay.has(range(1000), patience=15)
            assert relay.numbers == list(range(1000))
        began = time.monotonic()
        assert bridge.stop() == 0
        note(f"a stop takes {time.monotonic() - began:.1f} s")


def test_a_stop_while_the_relay_is_away_leaves_all_in_the_queue(tmp_path: Path, amqp_url: str) -> None:
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    with outward(tmp_path, amqp_url, endpoint, options=["--remote-publish"]) as bridge:
        with Feeder(amqp_url, 500):
            pass
        began = time.monotonic()
        assert bridge.stop() == 0
        assert time.monotonic() - began < 8
    assert depth(amqp_url, QUEUE) == 500


def test_signed_messages_keep_their_order(tmp_path: Path, amqp_url: str, note: Callable[[str], None]) -> None:
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    certificate, key = Pki(tmp_path).ca.issue("shell-host").write(tmp_path, "signer")
    section = f'signing.sign_messages = true\nsigning.certificate = "{certificate}"\nsigning.key = "{key}"'
    with outward(tmp_path, amqp_url, endpoint, section=section) as bridge, Subscriber(endpoint) as subscriber:
        _listens(bridge)
        began = time.monotonic()
        with Feeder(amqp_url, 5000, rate=10**6):
            before = eventually(lambda: len(subscriber.numbers), "a flow")
            assert bridge.stop() == 0
            bridge.start()
        subscriber.has(range(5000))
        assert in_order(subscriber.numbers)
        assert all(fields["signature"] and fields["certificate"] for fields in subscriber.envelopes)
        spent = time.monotonic() - began
        twice = duplicates(subscriber.numbers)
        note(f"5000 in {spent:.1f} s, stopped after {before}; {twice} of them twice")
        assert bridge.stop() == 0


def test_it_begins_when_the_broker_comes_and_stops_while_it_is_away(
    tmp_path: Path, victim: PrivateNode, victim_url: str
) -> None:
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    victim.kill()
    with outward(tmp_path, victim_url, endpoint) as bridge, Subscriber(endpoint) as subscriber:
        _listens(bridge)
        time.sleep(1)
        victim.start()
        with Feeder(victim_url, 500):
            pass
        subscriber.has(range(500))
        lasting(victim)
        victim.kill()
        began = time.monotonic()
        assert bridge.stop() == 0
        assert time.monotonic() - began < 8
        bridge.start()
        bridge.says("Bridging from", 2)
        time.sleep(0.5)
        began = time.monotonic()
        assert bridge.stop() == 0
        assert time.monotonic() - began < 8
