# SPDX-License-Identifier: MIT
"""Callbacks as applications have written them for 3.x: each writes down what it got, and decides by the topic."""

from __future__ import annotations

import asyncio
from pathlib import Path

from fedora_messaging import config, exceptions, message

nacked = False


def decide(one: message.Message) -> None:
    """By the last word of the topic."""
    global nacked  # noqa: PLW0603 - one consumer a process
    with Path(config.conf["consumer_config"]["log"]).open("a", encoding="utf-8") as log:
        log.write(one.topic + "\n")
    decision = one.topic.rpartition(".")[2]
    if decision == "nack" and not nacked:
        nacked = True
        raise exceptions.Nack
    if decision == "drop":
        raise exceptions.Drop
    if decision == "halt":
        raise exceptions.HaltConsumer(exit_code=7, reason="told so")
    if decision == "again":
        raise exceptions.HaltConsumer(exit_code=8, requeue=True)
    if decision == "crash":
        raise RuntimeError("told so")


class Decider:
    """The same, as a class."""

    def __init__(self) -> None:
        self.log = config.conf["consumer_config"]["log"]

    def __call__(self, one: message.Message) -> None:
        decide(one)


async def later(one: message.Message) -> None:
    """The same, as a coroutine."""
    await asyncio.sleep(0.01)
    decide(one)


class LaterDecider:
    """A class whose call is a coroutine."""

    async def __call__(self, one: message.Message) -> None:
        await asyncio.sleep(0)
        decide(one)
