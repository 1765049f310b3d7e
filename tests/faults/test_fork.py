# SPDX-License-Identifier: MIT
"""Processes that fork: parent and children publish, and nobody disturbs the other's connection."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import TYPE_CHECKING

import pytest

from fedora_messaging.aio import Session

from .support import Program, connections, declare, eventually, numbered, numbers_in, settings, write_config

if TYPE_CHECKING:
    from pathlib import Path

    from fedora_messaging.private_node import PrivateNode

APP = "forking"


def of_app(node: PrivateNode) -> set[str]:
    """The node's connections of the program and its children."""
    return {pid for pid, app in connections(node).items() if app == APP}


@pytest.mark.parametrize(
    "scenario",
    [
        "ended_by_the_system",
        "ended_by_the_interpreter",
        "by_multiprocessing",
        "while_threads_publish",
        "grandchildren",
    ],
)
def test_parent_and_children_publish(
    rabbitmq: PrivateNode, amqp_url: str, tmp_path: Path, scenario: str
) -> None:
    declare(amqp_url)
    config = write_config(tmp_path / "config.toml", amqp_url, app=APP)
    with Program("forking", config, scenario) as program:
        program.says("connected")
        (before,) = of_app(rabbitmq)
        program.process.send_signal(signal.SIGUSR1)
        program.says("over")
        assert program.said("codes") == ["0 0 0 0"], program.lines[-40:]
        eventually(
            lambda: of_app(rabbitmq) == {before}, "the children's connections are gone, the parent's not"
        )
        program.process.send_signal(signal.SIGUSR1)
        assert program.ends() == 0, program.lines[-40:]
    confirmed = [int(n) for n in program.said("confirmed")]
    arrived = numbers_in(amqp_url)
    assert len(confirmed) > 400
    assert sorted(arrived) == sorted(confirmed)  # no duplicates either: no connection was ever lost
    assert not [line for line in program.lines if "Traceback" in line], program.lines


def test_forking_in_a_callback(rabbitmq: PrivateNode, amqp_url: str, tmp_path: Path) -> None:
    declare(amqp_url, topic="feed.#")
    declare(amqp_url, "answers", topic="answer.#")

    async def feed() -> None:
        async with Session(settings(amqp_url)) as session:
            await session.publish_many(numbered(range(20), "feed.test"))

    asyncio.run(feed())
    config = write_config(tmp_path / "config.toml", amqp_url, app=APP)
    config.write_text(config.read_text().replace('["#"]', '["feed.#"]'))
    with Program("forking", config, "in_a_callback") as program:
        program.says("over")
        eventually(lambda: not of_app(rabbitmq), "all connections are gone")
        program.process.send_signal(signal.SIGUSR1)
        assert program.ends() == 0, program.lines[-40:]
    assert numbers_in(amqp_url, "answers") == list(range(20))
    assert numbers_in(amqp_url) == []


@pytest.mark.parametrize("scenario", ["orphans", "orphans_of_asyncio"])
def test_a_killed_parents_connection_ends_though_its_children_live(
    rabbitmq: PrivateNode, amqp_url: str, tmp_path: Path, scenario: str
) -> None:
    declare(amqp_url)
    config = write_config(tmp_path / "config.toml", amqp_url, app=APP)
    children: list[int] = []
    try:
        with Program("forking", config, scenario) as program:
            program.says("confirmed")
            children = [int(pid) for pid in program.says("children")[0].split()]
            assert len(of_app(rabbitmq)) == 1
            program.process.send_signal(signal.SIGKILL)
            eventually(lambda: not of_app(rabbitmq), "the parent's connection is gone", 20)
            for pid in children:
                os.kill(pid, 0)  # they are alive
                os.kill(pid, signal.SIGKILL)
    finally:
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
