# SPDX-License-Identifier: MIT
"""A consumer's process that is told to end in the middle of a callback."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fedora_messaging.aio import Session

from .support import Program, declare, depth, eventually, numbered, numbers_in, settings, write_config

if TYPE_CHECKING:
    from fedora_messaging.private_node import PrivateNode

MESSAGES = 30  # three times what is prefetched


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether the process has a handler for the signal."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = int(status.partition("SigCgt:")[2].split()[0], 16)
    return bool(caught & 1 << number - 1)


async def publish(url: str, count: int) -> None:
    async with Session(settings(url)) as session:
        await session.publish_many(numbered(range(count)))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("kind", ["plain", "async"])
def test_the_message_in_hand_is_finished_and_acked_and_no_other(
    amqp_url: str, tmp_path: Path, kind: str, number: signal.Signals
) -> None:
    declare(amqp_url)
    asyncio.run(publish(amqp_url, MESSAGES))
    with Program("consume", write_config(tmp_path / "config.toml", amqp_url), kind, 1) as program:
        program.says("begun")
        program.process.send_signal(number)
        assert program.ends() == 0
    assert len(program.said("begun")) == len(program.said("done")) == 1
    assert program.said("returned")
    assert numbers_in(amqp_url) == list(range(1, MESSAGES))


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_a_second_signal_ends_it_at_once_and_loses_nothing(amqp_url: str, tmp_path: Path, kind: str) -> None:
    declare(amqp_url)
    asyncio.run(publish(amqp_url, MESSAGES))
    with Program("consume", write_config(tmp_path / "config.toml", amqp_url), kind, 60) as program:
        program.says("begun")
        program.process.send_signal(signal.SIGTERM)
        eventually(lambda: not catches(program.process.pid, signal.SIGTERM), "it has taken the first signal")
        program.process.send_signal(signal.SIGTERM)
        assert program.ends(20) == -signal.SIGTERM
    eventually(lambda: depth(amqp_url) == MESSAGES, "all messages back in the queue")


def test_a_signal_that_comes_before_consuming_begins_is_not_lost(amqp_url: str, tmp_path: Path) -> None:
    with Program("reentrant", write_config(tmp_path / "config.toml", amqp_url), "ended_at_once") as program:
        assert program.ends() == 0, program.lines[-40:]
    assert len(program.said("returned")) == 30


def test_it_ends_while_there_is_no_broker(tmp_path: Path) -> None:
    config = write_config(
        tmp_path / "config.toml", "amqp://127.0.0.1:9/?connection_attempts=100&retry_delay=5"
    )
    with Program("consume", config, "plain", 0) as program:
        program.says("[fedora_messaging.dialer")
        program.process.send_signal(signal.SIGTERM)
        assert program.ends(20) == 0
    assert program.said("returned")


def test_it_ends_while_the_broker_is_away(victim: PrivateNode, victim_url: str, tmp_path: Path) -> None:
    declare(victim_url)
    with Program("consume", write_config(tmp_path / "config.toml", victim_url), "plain", 0) as program:
        asyncio.run(publish(victim_url, 1))
        program.says("done")
        victim.kill()
        program.says("[fedora_messaging.dialer")
        program.process.send_signal(signal.SIGTERM)
        assert program.ends(20) == 0


def test_it_ends_while_the_broker_is_frozen(victim: PrivateNode, victim_url: str, tmp_path: Path) -> None:
    """The goodbye is not answered: 5 s for that of the channel, 5 s for that of the connection."""
    declare(victim_url)
    with Program("consume", write_config(tmp_path / "config.toml", victim_url), "plain", 0) as program:
        asyncio.run(publish(victim_url, 1))
        program.says("done")
        victim.freeze()
        program.process.send_signal(signal.SIGTERM)
        assert program.ends(20) == 0
    victim.thaw()
