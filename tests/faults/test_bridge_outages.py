# SPDX-License-Identifier: MIT
"""The broker goes away, or takes nothing, while messages flow from ZeroMQ: each of them arrives, in order."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from .bridging import RATE, Publisher, after, collect, duplicates, in_order, inward, lasting, tap
from .support import eventually
from .test_alarm import feed, starve

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fedora_messaging.private_node import PrivateNode

LEAST = 20_000  # messages


def _flow(publisher: Publisher, seconds: float) -> None:
    """Messages at the usual rate for so long."""
    publisher.flow()
    time.sleep(seconds)


def _account(numbers: list[int], wanted: range, note: Callable[[str], None], what: str = "") -> None:
    assert in_order(numbers)
    note(f"{len(wanted)} messages, {duplicates(numbers)} of them twice{what}")


def test_each_message_arrives_though_the_broker_is_killed_three_times(
    tmp_path: Path, victim: PrivateNode, victim_url: str, note: Callable[[str], None]
) -> None:
    tap(victim_url)
    lasting(victim)
    with Publisher() as publisher, inward(tmp_path, victim_url, publisher.endpoint) as bridge:
        publisher.has_subscribers()
        for _ in range(3):
            _flow(publisher, 1.5)
            victim.kill()
            _flow(publisher, 0.5)
            victim.start()
            eventually(lambda: bridge.metric("amqp_connected"), "a connection again")
        eventually(lambda: len(publisher.sent) >= LEAST, f"{LEAST} messages sent")
        publisher.pause()
        began = time.monotonic()
        numbers = collect(victim_url, publisher.sent)
        _account(numbers, publisher.sent, note, f"; all there {time.monotonic() - began:.1f} s later")
        assert len(bridge.said("Lost the connection for publishing")) == 3, "one line for each outage"
        assert len(bridge.said("Connected to .* again for publishing")) == 3, "and one for its end"
        assert bridge.stop() == 0


def test_each_message_arrives_though_the_broker_is_away_for_20_seconds(
    tmp_path: Path, victim: PrivateNode, victim_url: str, note: Callable[[str], None]
) -> None:
    tap(victim_url)
    with Publisher() as publisher, inward(tmp_path, victim_url, publisher.endpoint) as bridge:
        publisher.has_subscribers()
        _flow(publisher, 1)
        victim.stop()
        _flow(publisher, 17)  # and the start takes its time as well
        eventually(lambda: bridge.metric("amqp_spool_messages") > 10 * RATE, "messages in the spool")
        resident = bridge.resident()
        victim.start()
        publisher.pause()
        assert len(publisher.sent) >= LEAST
        began = time.monotonic()
        numbers = collect(victim_url, publisher.sent)
        spent = time.monotonic() - began
        _account(
            numbers, publisher.sent, note, f"; {resident:.0f} MB resident; all there {spent:.1f} s later"
        )
        eventually(lambda: bridge.metric("amqp_spool_messages") == 0, "an empty spool")
        assert bridge.stop() == 0


def test_each_message_arrives_though_the_broker_is_short_of_memory_for_5_seconds(
    tmp_path: Path, victim: PrivateNode, victim_url: str, note: Callable[[str], None]
) -> None:
    tap(victim_url)
    with Publisher() as publisher, inward(tmp_path, victim_url, publisher.endpoint) as bridge:
        publisher.has_subscribers()
        _flow(publisher, 1)
        starve(victim)
        with after(5, lambda: feed(victim)):
            eventually(lambda: bridge.metric("amqp_spool_messages") > RATE, "messages in the spool")
        _flow(publisher, 1)
        publisher.pause()
        numbers = collect(victim_url, publisher.sent)
        _account(numbers, publisher.sent, note)
        assert duplicates(numbers) == 0
        assert bridge.stop() == 0
