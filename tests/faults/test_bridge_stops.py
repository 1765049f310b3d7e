# SPDX-License-Identifier: MIT
"""The bridge from ZeroMQ ends and begins again: what it had taken arrives. What nobody took is PUB/SUB's loss."""

from __future__ import annotations

import random
import shutil
import signal
import time
from typing import TYPE_CHECKING

import pytest

from fedmsg_migration_tools.fedmsg import canonical
from fedmsg_migration_tools.spool import Spool

from .bridging import (
    RATE,
    Bridge,
    Publisher,
    collect,
    duplicates,
    in_order,
    inward,
    lasting,
    missing,
    tap,
)
from .support import eventually
from .test_alarm import feed, starve

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fedora_messaging.private_node import PrivateNode

IN_TRANSIT = (
    RATE // 4
)  # messages: what may be between a publisher's and the bridge's code, 250 ms on a busy machine


def _again(bridge: Bridge, publisher: Publisher) -> int:
    """Start it, and wait until the publisher sees it; what is the number of the next message then."""
    eventually(lambda: publisher.subscribers == 0, "no subscriber")
    bridge.start()
    publisher.has_subscribers()
    return publisher.next


def _lost(publisher: Publisher, numbers: list[int], absences: list[tuple[int, int]]) -> list[int]:
    """How many of those sent before each absence are missing, from the end of the one before; no others may be.

    Each absence is the number of the next message when the bridge was told to end, and when it was back.
    """
    gone = set(publisher.sent).difference(numbers)
    before, back = [], 0
    for begin, end in absences:
        before.append(sum(n in gone for n in range(back, begin)))
        gone.difference_update(range(back, end))
        back = end
    assert not gone, missing(gone, ())
    return before


def test_what_was_taken_arrives_after_sigterm(
    tmp_path: Path, amqp_url: str, note: Callable[[str], None]
) -> None:
    tap(amqp_url)
    with Publisher() as publisher, inward(tmp_path, amqp_url, publisher.endpoint) as bridge:
        publisher.has_subscribers()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
            publisher.flow()
            time.sleep(random.uniform(0.2, 0.6))
            publisher.pause()
            time.sleep(0.1)  # on its way to the bridge
            assert bridge.stop(number) == 0
            _again(bridge, publisher)
        publisher.flow(1000)
        publisher.is_done()
        numbers = collect(amqp_url, publisher.sent)
    assert in_order(numbers)
    note(f"{len(publisher.sent)} messages, {duplicates(numbers)} of them twice")


def test_what_was_taken_before_sigterm_in_full_flow_arrives(
    tmp_path: Path, amqp_url: str, note: Callable[[str], None]
) -> None:
    tap(amqp_url)
    absences = []
    with Publisher() as publisher, inward(tmp_path, amqp_url, publisher.endpoint) as bridge:
        publisher.has_subscribers()
        publisher.flow()
        for _ in range(3):
            time.sleep(random.uniform(0.3, 0.8))
            begin = publisher.next
            assert bridge.stop() == 0
            absences.append((begin, _again(bridge, publisher)))
        time.sleep(0.3)
        publisher.pause()
        numbers = collect(amqp_url, [publisher.next - 1])
    assert in_order(numbers)
    lost = _lost(publisher, numbers, absences)
    assert max(lost) < IN_TRANSIT
    seen = [at - begin for at, (begin, _) in zip(publisher.lost_subscriber_at, absences, strict=False)]
    note(
        f"{duplicates(numbers)} twice; lost before the signal: {lost}; sent from there to disconnection: {seen}"
    )


def test_all_that_reached_the_socket_until_its_end_is_taken_though_a_stop_takes_its_time(
    tmp_path: Path, victim: PrivateNode, victim_url: str, note: Callable[[str], None]
) -> None:
    """The broker takes nothing, so the bridge waits for confirms before it ends: it reads meanwhile."""
    tap(victim_url)
    with Publisher() as publisher, inward(tmp_path, victim_url, publisher.endpoint) as bridge:
        publisher.has_subscribers()
        publisher.flow()
        time.sleep(0.5)
        starve(victim)
        time.sleep(0.5)
        assert bridge.stop() == 0
        eventually(lambda: publisher.subscribers == 0, "no subscriber")
        gone_at = publisher.lost_subscriber_at[-1]
        publisher.pause()
        feed(victim)
        bridge.start()
        publisher.has_subscribers()
        publisher.flow(100)
        publisher.is_done()
        numbers = collect(victim_url, range(publisher.next - 100, publisher.next))
    assert in_order(numbers)
    gone = sorted(set(range(gone_at)).difference(numbers))
    note(f"{len(gone)} of {gone_at} were between publisher and bridge at the end")
    assert len(gone) < IN_TRANSIT, missing(gone, ())


def test_what_was_taken_while_the_broker_is_down_arrives_after_sigterm(
    tmp_path: Path, victim: PrivateNode, victim_url: str
) -> None:
    tap(victim_url)
    with Publisher() as publisher, inward(tmp_path, victim_url, publisher.endpoint) as bridge:
        publisher.has_subscribers()
        publisher.flow(2000)
        publisher.is_done()
        lasting(victim)
        victim.kill()
        publisher.flow(5000)
        publisher.is_done()
        bridge.has_received(7000)
        began = time.monotonic()
        assert bridge.stop() == 0
        assert time.monotonic() - began < 5
        publisher.pause()
        _again(bridge, publisher)
        publisher.flow(2000)
        publisher.is_done()
        bridge.has_received(2000)
        assert bridge.stop() == 0
        victim.start()
        bridge.start()
        numbers = collect(victim_url, publisher.sent)
    assert in_order(numbers)


def test_what_waits_in_libzmq_at_sigterm_is_taken(
    tmp_path: Path, amqp_url: str, note: Callable[[str], None]
) -> None:
    tap(amqp_url)
    with Publisher() as publisher, inward(tmp_path, amqp_url, publisher.endpoint) as bridge:
        publisher.has_subscribers()
        time.sleep(0.3)  # it is connected to the broker as well
        bridge.send(signal.SIGSTOP)
        publisher.burst(30_000)
        bridge.send(signal.SIGCONT)
        time.sleep(0.1)
        unread = len(publisher.sent) - bridge.metric("amqp_received_total")
        assert bridge.stop() == 0
        bridge.start()
        numbers = collect(amqp_url, publisher.sent)
    assert in_order(numbers)
    note(f"{unread:.0f} of {len(publisher.sent)} were not read yet, {duplicates(numbers)} came twice")
    assert unread > 5000


@pytest.mark.parametrize("blocked", [False, True], ids=["", "while the broker takes nothing"])
def test_durable_what_the_spool_held_arrives_after_sigkill(
    tmp_path: Path, victim: PrivateNode, victim_url: str, note: Callable[[str], None], *, blocked: bool
) -> None:
    """At random instants. What was sent before the kill is missing only as far as it was on its way to the spool."""
    tap(victim_url)
    absences, spooled = [], set()
    options = ["--durable"]
    with (
        Publisher() as publisher,
        inward(tmp_path, victim_url, publisher.endpoint, options=options) as bridge,
    ):
        publisher.has_subscribers()
        if blocked:
            starve(victim)
        publisher.flow()
        for turn in range(5):
            time.sleep(random.uniform(0.05, 0.6))
            begin = publisher.next
            bridge.kill()
            spooled |= _in_spool(bridge.spool, tmp_path / f"copy-{turn}")
            absences.append((begin, _again(bridge, publisher)))
        time.sleep(0.3)
        publisher.pause()
        feed(victim)
        numbers = collect(victim_url, [publisher.next - 1])
    assert spooled <= set(numbers), missing(spooled, numbers)
    assert in_order(numbers)
    lost = _lost(publisher, numbers, absences)
    note(f"{len(spooled)} were in the spool; {duplicates(numbers)} came twice; on their way: {lost}")
    assert max(lost) < IN_TRANSIT


def _in_spool(path: Path, copy: Path) -> set[int]:
    """The numbers of the messages in it; from a copy, so that the bridge finds what the kill left."""
    copy.mkdir()
    for file in path.parent.glob(f"{path.name}*"):
        shutil.copy(file, copy)
    spool = Spool(copy / path.name, 2**32)
    assert spool.set_aside is None
    entries = spool.read(0, 10**6, 2**32)
    spool.close()
    return {canonical.loads(entry.frames[1])["msg"]["n"] for entry in entries}
