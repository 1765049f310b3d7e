# SPDX-License-Identifier: MIT
"""Publishing from wherever an application may: callbacks, other loops, many threads, the last breath of a process."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import pytest

from fedora_messaging.aio import Session

from .support import Program, declare, numbered, numbers_in, settings, write_config

if TYPE_CHECKING:
    from pathlib import Path

    from fedora_messaging.private_node import PrivateNode

MESSAGES = 200


def prepare(url: str, folder: Path, *, feed: bool = False) -> Path:
    """A queue for what the program publishes, and one with messages for its consumer; its configuration."""
    declare(url, topic="feed.#")
    declare(url, "answers", topic="answer.#")
    if feed:
        asyncio.run(publish_feed(url))
    config = write_config(folder / "config.toml", url)
    config.write_text(config.read_text().replace('["#"]', '["feed.#"]'))
    return config


async def publish_feed(url: str) -> None:
    async with Session(settings(url)) as session:
        await session.publish_many(numbered(range(MESSAGES), "feed.test"))


@pytest.mark.parametrize(
    ("scenario", "answers"),
    [
        ("in_a_plain_callback", MESSAGES),
        ("in_an_async_callback", MESSAGES),
        ("awaited_in_an_async_callback", MESSAGES),
        ("in_a_loop_of_its_own_in_a_plain_callback", MESSAGES // 10),
    ],
)
def test_publishing_in_a_callback(amqp_url: str, tmp_path: Path, scenario: str, answers: int) -> None:
    with Program("reentrant", prepare(amqp_url, tmp_path, feed=True), scenario) as program:
        assert program.ends() == 0, program.lines[-40:]
    assert program.said("halted") == ["all"]
    assert len(program.said("confirmed")) == answers
    assert numbers_in(amqp_url, "answers") == [int(n) for n in program.said("confirmed")]
    assert numbers_in(amqp_url) == []


@pytest.mark.parametrize(
    ("scenario", "confirmed", "more"),
    [
        ("in_an_applications_loop", MESSAGES, 0),
        ("in_sixteen_threads", 16 * MESSAGES, 0),
        ("while_reading_a_batch", 4, MESSAGES),
        ("in_a_receiver", 20, 0),
        ("with_a_receiver_that_raises", 2, 0),
        ("many_loops", 20, 0),
    ],
)
def test_publishing_elsewhere(
    amqp_url: str, tmp_path: Path, scenario: str, confirmed: int, more: int
) -> None:
    with Program("reentrant", prepare(amqp_url, tmp_path), scenario) as program:
        assert program.ends() == 0, program.lines[-40:]
    assert len(program.said("confirmed")) == confirmed
    arrived = numbers_in(amqp_url, "answers")
    assert len(arrived) == len(set(arrived)) == confirmed + more
    assert set(arrived) >= {int(n) for n in program.said("confirmed")}
    if scenario == "with_a_receiver_that_raises":
        assert len([line for line in program.lines if line.startswith("RuntimeError")]) == 20
    else:
        assert not [line for line in program.lines if "Traceback" in line], program.lines
    if scenario == "many_loops":
        assert int(program.said("sessions")[0]) <= 1
        assert int(program.said("descriptors")[0]) < 20


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_a_callback_may_end_the_process(amqp_url: str, tmp_path: Path, kind: str) -> None:
    scenario = f"exit_in_a{'_plain' if kind == 'plain' else 'n_async'}_callback"
    with Program("reentrant", prepare(amqp_url, tmp_path, feed=True), scenario) as program:
        assert program.ends(20) == 3, program.lines[-40:]
    assert numbers_in(amqp_url) == list(range(MESSAGES))
    assert not [line for line in program.lines if "Traceback" in line], program.lines


def test_a_wrong_url_is_an_error_and_no_wait(tmp_path: Path) -> None:
    config = write_config(tmp_path / "config.toml", "no-such-scheme://localhost")
    with Program("reentrant", config, "with_a_wrong_url") as program:
        assert program.ends(20) == 0, program.lines[-40:]
    assert len(program.said("refused")) == 2
    assert "no-such-scheme" in program.said("refused")[0]


def test_an_interrupted_wait(victim: PrivateNode, victim_url: str, tmp_path: Path) -> None:
    with Program("reentrant", prepare(victim_url, tmp_path), "interrupted") as program:
        program.says("confirmed")
        victim.freeze()
        program.process.send_signal(signal.SIGUSR1)
        program.says("waiting")
        program.process.send_signal(signal.SIGINT)
        program.says("interrupted", patience=10)
        victim.thaw()
        assert program.ends() == 0, program.lines[-40:]
    assert program.said("survived")
    assert set(numbers_in(victim_url, "answers")) >= {int(n) for n in program.said("confirmed")}


def test_the_process_ends_while_it_publishes(amqp_url: str, tmp_path: Path) -> None:
    with Program("reentrant", prepare(amqp_url, tmp_path), "exit_while_publishing") as program:
        assert program.ends(20) == 0, program.lines[-40:]
    assert set(numbers_in(amqp_url, "answers")) >= {int(n) for n in program.said("confirmed")}
    assert not [line for line in program.lines if "Traceback" in line or "Fatal" in line], program.lines


def test_the_process_ends_while_nothing_is_confirmed(
    victim: PrivateNode, victim_url: str, tmp_path: Path
) -> None:
    """It waits 5 s for the confirm, and no longer."""
    with Program("reentrant", prepare(victim_url, tmp_path), "exit_while_nothing_is_confirmed") as program:
        program.says("confirmed")
        victim.freeze()
        program.process.send_signal(signal.SIGUSR1)
        program.says("leaving")
        assert program.ends(20) == 0, program.lines[-40:]
    assert not [line for line in program.lines if "Traceback" in line or "Fatal" in line], program.lines
