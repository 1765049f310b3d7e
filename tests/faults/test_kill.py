# SPDX-License-Identifier: MIT
"""A broker that dies and comes back, again and again."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from fedora_messaging.private_node import PrivateNode

from .support import Program, declare, eventually, write_config

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MESSAGES = 20_000
KILLS = 10


@pytest.mark.timeout(400)
def test_ten_kills_while_20000_messages_go_through(tmp_path: Path, note: Callable[[str], None]) -> None:
    with PrivateNode(plugins=()) as node:
        declare(node.amqp_url)
        config = write_config(tmp_path / "config.toml", node.amqp_url, prefetch=100)
        with (
            Program("consume", config, "plain", 0) as consumer,
            Program("publish", config, MESSAGES, 4, 50) as publisher,
        ):
            for kill in range(KILLS):
                publisher.says("confirmed", (kill + 1) * MESSAGES // (KILLS + 1))
                node.kill()
                node.start()
            assert publisher.ends(180) == 0
            confirmed = publisher.said("confirmed")
            assert len(confirmed) == MESSAGES, publisher.said("failed")[:10]
            done = consumer.said("done")
            eventually(
                lambda: len(done) >= MESSAGES and len(set(done)) == MESSAGES, f"all {MESSAGES} messages"
            )
            consumer.process.send_signal(signal.SIGTERM)
            assert consumer.ends() == 0
    assert set(done) == set(confirmed)  # number and id: a duplicate bears the same id
    note(f"{MESSAGES} confirmed and consumed over {KILLS} kills, {len(done) - MESSAGES} duplicates")
