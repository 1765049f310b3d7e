# SPDX-License-Identifier: MIT
"""20,000 messages, published with confirms and consumed from a quorum queue, while nodes die and are cut off."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.faults.support import Program, eventually

from .support import PROGRAMS, QUEUE, Gaps, declare, out_of_order, write_config

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fedora_messaging.private_node import PrivateCluster

MESSAGES = 20_000
RATE = 600
THREADS = 4
GOING_ON = 500
"""Messages that are to be confirmed after each fault, before it is undone: half a cluster serves."""


@pytest.mark.timeout(300)
def test_every_confirmed_message_arrives(
    cluster: PrivateCluster, vhost: str, tmp_path: Path, note: Callable[[str], None]
) -> None:
    """The leader is killed, and comes back; so is the next one; the one after that is cut off, and healed."""
    urls = cluster.urls_of(vhost)
    declare(urls[0])
    config = write_config(tmp_path / "config.toml", urls)
    publish = str(PROGRAMS / "publish")
    gaps: dict[str, Gaps] = {}
    with (
        Program("consume", config, "plain", 0) as consumer,
        Program(publish, config, MESSAGES, RATE, THREADS) as publisher,
    ):
        confirmed, done = publisher.said("confirmed"), consumer.said("done")

        def goes_on() -> None:
            """More is confirmed, and more is consumed."""
            publisher.says("confirmed", len(confirmed) + GOING_ON)
            consumer.says("done", len(done) + GOING_ON)

        goes_on()
        for what in ("killed first", "killed next"):
            leader = cluster.leader_of(QUEUE, vhost)
            with Gaps(lambda: len(confirmed)) as gaps[what]:
                leader.kill()
                goes_on()
                leader.start()
                cluster.wait_until_whole()
        leader = cluster.leader_of(QUEUE, vhost)
        with Gaps(lambda: len(confirmed)) as gaps["cut off"]:
            cluster.partition(leader)
            goes_on()
            assert cluster.leader_of(QUEUE, vhost) is not leader
            assert publisher.process.poll() is None, "it was over before all had happened"
            cluster.heal()
            goes_on()
        assert publisher.ends(120) == 0
        assert len(confirmed) == MESSAGES, publisher.said("failed")[:10]
        eventually(lambda: set(done) >= set(confirmed), f"all {MESSAGES} messages")
        consumer.process.send_signal(signal.SIGTERM)
        assert consumer.ends() == 0
    assert set(done) == set(confirmed)  # number and id: a duplicate bears the same id
    broken = out_of_order([int(line.split()[0]) for line in done])
    longest = ", ".join(f"{gap.longest:.1f} s ({what})" for what, gap in gaps.items())
    note(
        f"{MESSAGES} confirmed, 0 lost, {len(done) - MESSAGES} duplicates, {broken} out of order; "
        f"longest without a confirm: {longest}"
    )


FEW = 3_000


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_frozen_leader_is_left(
    cluster: PrivateCluster, vhost: str, tmp_path: Path, note: Callable[[str], None]
) -> None:
    """Its connections stay open, and nothing comes: who publishes leaves it soon, who consumes by the heartbeat."""
    urls = cluster.urls_of(vhost)
    declare(urls[0])
    config = write_config(tmp_path / "config.toml", urls)
    publish = str(PROGRAMS / "publish")
    with (
        Program("consume", config, "plain", 0) as consumer,
        Program(publish, config, FEW, RATE // 2, THREADS) as publisher,
    ):
        confirmed, done = publisher.said("confirmed"), consumer.said("done")
        publisher.says("confirmed", GOING_ON)
        leader = cluster.leader_of(QUEUE, vhost)
        assert leader is cluster.nodes[0]  # to which both are connected, it being the first of their hosts
        with Gaps(lambda: len(confirmed)) as confirming, Gaps(lambda: len(done)) as consuming:
            leader.freeze()
            assert publisher.ends(120) == 0
            assert len(confirmed) == FEW, publisher.said("failed")[:10]
            eventually(lambda: set(done) >= set(confirmed), f"all {FEW} messages")
        leader.thaw()
        cluster.heal()
        consumer.process.send_signal(signal.SIGTERM)
        assert consumer.ends() == 0
    assert set(done) == set(confirmed)
    note(
        f"{FEW} confirmed, 0 lost, {len(done) - FEW} duplicates; longest without a confirm: "
        f"{confirming.longest:.1f} s, without a message: {consuming.longest:.1f} s"
    )
