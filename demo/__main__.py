# SPDX-License-Identifier: MIT
"""The run: start a broker, start the consuming process, publish, wait for what is on its way, show the table."""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console

from fedora_messaging import aio, exceptions
from fedora_messaging.private_node import PrivateNode

from . import report, sample

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fedora_messaging.message import Message

IN_FLIGHT = 32  # messages that wait for their confirm at a time
PATIENCE = 10.0  # seconds without any arrival after which what is missing counts as lost


class Consumer:
    """The other process, and what it said: ``arrived`` has the time of the first arrival by id."""

    def __init__(self, amqp_url: str) -> None:
        # A session of its own: Ctrl-C is for this process, which then ends the other one in order.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "demo.listen", amqp_url],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._ready = threading.Event()
        self.arrived: dict[str, float] = {}
        self.twice: set[str] = set()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            message_id, _, at = line.strip().partition(" ")
            if message_id == "ready":
                self._ready.set()
            elif message_id in self.arrived:
                self.twice.add(message_id)
            else:
                self.arrived[message_id] = float(at)
        self._ready.set()  # it ended: waiting is no use

    def wait_until_ready(self) -> None:
        """Wait for its queue to be bound; ``ConsumeException`` when it ended instead."""
        if not self._ready.wait(timeout=30) or self._process.poll() is not None:
            raise exceptions.ConsumeException("the consuming process did not start")

    def wait_for(self, count: int) -> None:
        """Wait for ``count`` messages, or until nothing has come for :data:`PATIENCE` seconds."""
        seen, since = len(self.arrived), time.monotonic()
        while seen < count and time.monotonic() - since < PATIENCE:
            time.sleep(0.05)
            if len(self.arrived) > seen:
                seen, since = len(self.arrived), time.monotonic()

    def stop(self) -> None:
        """End it, and read what it still had to say."""
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._reader.join(timeout=5)


class Publisher:
    """Publishes, and remembers: ``published`` has application and time by id, ``refused`` the reasons."""

    def __init__(self) -> None:
        self.published: dict[str, tuple[str, float]] = {}
        self.refused: list[str] = []

    async def run(self, amqp_url: str, messages: Iterator[Message]) -> None:
        """Publish all of them, :data:`IN_FLIGHT` at a time."""
        async with aio.Session(amqp_url=amqp_url) as session, asyncio.TaskGroup() as tasks:
            for _ in range(IN_FLIGHT):
                tasks.create_task(self._work(session, messages))

    async def _work(self, session: aio.Session, messages: Iterator[Message]) -> None:
        for message in messages:
            at = time.monotonic()
            try:
                await session.publish(message)
            except exceptions.BaseException as error:
                self.refused.append(str(error))
            else:
                self.published[message.id] = (sample.application(message.topic), at)


@contextmanager
def consuming(amqp_url: str) -> Iterator[Consumer]:
    """The other process, for as long as the block lasts."""
    consumer = Consumer(amqp_url)
    try:
        consumer.wait_until_ready()
        yield consumer
    finally:
        consumer.stop()


def demonstrate(console: Console, rounds: int) -> int:
    """Do it, and return the exit code."""
    started = time.monotonic()
    console.print("Starting a RabbitMQ of its own ...", end=" ")
    with PrivateNode() as node:
        console.print(f"ready at {node.amqp_url} after {time.monotonic() - started:.1f} s")
        publisher = Publisher()
        with consuming(node.amqp_url) as consumer:
            console.print(f"Publishing {rounds} times the 542 real messages of {sample.FILE.name} ...")
            began = time.monotonic()
            asyncio.run(publisher.run(node.amqp_url, sample.messages(rounds)))
            consumer.wait_for(len(publisher.published))
        seconds = max(consumer.arrived.values(), default=time.monotonic()) - began
    rows = report.tally(publisher.published, consumer.arrived)
    console.print(report.table(rows, seconds))
    code, sentence = report.verdict(rows, len(consumer.twice), report.count_reasons(publisher.refused))
    console.print(sentence, highlight=False)
    return code


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="how often to publish the 542 messages")
    console = Console(highlight=False)
    os.environ["FEDORA_MESSAGING_CONF"] = os.devnull  # this machine's own bus is not for demonstrations
    try:
        return demonstrate(console, parser.parse_args().rounds)
    except KeyboardInterrupt:
        console.print("\nInterrupted; the broker is stopped and its data removed.")
        return 130
    except exceptions.BaseException as error:
        console.print(f"\n{error}", style="red", markup=False)
        return 1


if __name__ == "__main__":
    sys.exit(main())
