# SPDX-License-Identifier: MIT
"""Two bridges of each kind on three nodes: bridges and nodes are killed in turn, and nothing is lost."""

from __future__ import annotations

import contextlib
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from fedora_messaging.private_node.ports import free_port
from tests.faults.bridging import (
    EXCHANGE,
    QUARANTINE,
    TAP,
    Publisher,
    Subscriber,
    collect,
    duplicates,
    inward,
    missing,
    outward,
)
from tests.faults.support import Program, eventually

from .support import PROGRAMS, declare, out_of_order, write_config

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fedora_messaging.private_node import PrivateCluster
    from tests.faults.bridging import Bridge

RATE = 300
MESSAGES = 10_000
QUEUE = "amqp_to_zmq"
ONE_AT_A_TIME = {"x-single-active-consumer": True}
STREAM = 1_000_000


def kill_leader(cluster: PrivateCluster, queue: str, vhost: str) -> None:
    """And let it come back."""
    leader = cluster.leader_of(queue, vhost)
    leader.kill()
    cluster.leader_of(queue, vhost)
    leader.start()
    cluster.wait_until_whole()


@pytest.mark.timeout(300)
def test_one_of_two_bridges_from_zeromq_hears_every_message(
    cluster: PrivateCluster, vhost: str, tmp_path: Path, note: Callable[[str], None]
) -> None:
    """Both listen to all publishers. While one is dead the other hears; what both hear arrives twice, with one id."""
    urls = cluster.urls_of(vhost)
    declare(urls[0], QUARANTINE, QUARANTINE)
    declare(urls[0], TAP, EXCHANGE)
    with contextlib.ExitStack() as stack:
        publishers = [stack.enter_context(Publisher(rate=RATE, first=n * STREAM)) for n in range(2)]
        endpoints = [publisher.endpoint for publisher in publishers]
        bridges = [
            stack.enter_context(inward(tmp_path, ",".join(urls), *endpoints, name=name)) for name in "ab"
        ]

        def both_hear() -> None:
            for publisher in publishers:
                publisher.has_subscribers(2)
            time.sleep(1)

        both_hear()
        for publisher in publishers:
            publisher.flow()
        for turn, bridge in enumerate(bridges * 2):
            time.sleep(1)
            bridge.kill()
            time.sleep(1)
            if turn % 2:
                kill_leader(cluster, TAP, vhost)
            bridge.start()
            both_hear()
        for publisher in publishers:
            publisher.pause()
        sent = [number for publisher in publishers for number in publisher.sent]
        found = collect(cluster.leader_of(TAP, vhost).url_of(vhost), sent, patience=90)
        assert set(found) == set(sent)
        note(
            f"{len(sent)} sent, 0 lost, {duplicates(found)} duplicates, {out_of_order(found)} out of order; "
            "4 bridges and 2 nodes killed"
        )


@pytest.mark.timeout(300)
def test_one_of_two_bridges_to_zeromq_sends_every_message(
    cluster: PrivateCluster, vhost: str, tmp_path: Path, note: Callable[[str], None]
) -> None:
    """Both consume one queue with a single active consumer: one works, the other stands by."""
    urls = cluster.urls_of(vhost)
    declare(urls[0], QUARANTINE, QUARANTINE)
    declare(urls[0], QUEUE, arguments=ONE_AT_A_TIME)
    config = write_config(tmp_path / "config.toml", urls)
    endpoints = [f"tcp://127.0.0.1:{free_port()}" for _ in range(2)]
    with contextlib.ExitStack() as stack:
        bridges = [
            stack.enter_context(outward(tmp_path, ",".join(urls), endpoint, name=name))
            for name, endpoint in zip("ab", endpoints, strict=True)
        ]
        subscribers = [stack.enter_context(Subscriber(endpoint)) for endpoint in endpoints]

        def stands_by(bridge: Bridge) -> None:
            eventually(lambda: bridge.metric("zmq_subscriptions") == 1, "a subscription")
            bridge.says("for consuming", times=bridge.starts)

        for bridge in bridges:
            stands_by(bridge)
        publisher = stack.enter_context(Program(str(PROGRAMS / "publish"), config, MESSAGES, RATE, 2))
        confirmed = publisher.said("confirmed")

        def numbers() -> list[int]:
            return [number for subscriber in subscribers for number in subscriber.numbers]

        def beyond(count: int) -> bool:
            return len(numbers()) > count

        gaps = []
        for turn in range(6):
            publisher.says("confirmed", len(confirmed) + 500)
            before = [bridge.metric("zmq_bridged_total") for bridge in bridges]
            time.sleep(0.3)
            after = [bridge.metric("zmq_bridged_total") for bridge in bridges]
            working = next(n for n in range(2) if after[n] > before[n])
            assert after[1 - working] == before[1 - working], "both work"
            came = len(numbers())
            bridges[working].kill()
            gone = time.monotonic()
            eventually(partial(beyond, came + 50), "the other goes on")
            gaps.append(time.monotonic() - gone)
            if turn % 3 == 2:
                kill_leader(cluster, QUEUE, vhost)
            bridges[working].start()
            stands_by(bridges[working])
        assert publisher.ends(120) == 0
        assert not publisher.said("failed")
        sent = {int(line.split()[0]) for line in confirmed}
        assert len(sent) == MESSAGES
        with contextlib.suppress(AssertionError):
            eventually(lambda: sent <= set(numbers()), "all", 20)
        lost = sent - set(numbers())
        note(
            f"{MESSAGES} confirmed, {len(lost)} lost, {duplicates(numbers())} duplicates; "
            f"6 bridges and 2 nodes killed; the other went on after {max(gaps):.1f} s at most"
        )
        assert not lost, missing(sent, numbers())
