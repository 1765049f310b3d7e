# SPDX-License-Identifier: MIT
"""A bus moves from ZeroMQ to AMQP, application by application, on a RabbitMQ of its own; every message is counted."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live

from fedora_messaging import exceptions
from fedora_messaging.private_node import PrivateNode

from . import cast, ledger, view
from .play import STEPS, Play
from .processes import DemoError, Stage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

REFRESH = 0.25  # seconds between two pictures on a terminal
LINES = 3.0  # seconds between two lines elsewhere


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--seconds", type=float, default=40.0, help="how long messages flow (40)")
    parser.add_argument(
        "--rate", type=float, default=400.0, help="messages a second, all publishers together (400)"
    )
    parser.add_argument(
        "--stay", action="store_true", help="let messages flow after the last step, until Ctrl-C"
    )
    parser.add_argument(
        "--lose",
        type=share,
        default=0.0,
        metavar="1%",
        help="let the bridge from AMQP lose, alter, delay and double a part of the messages, and see that the verifier "
        "finds just these",
    )
    parser.add_argument("--without-fedmsg", action="store_true", help="use plain pyzmq in its place")
    return parser.parse_args()


def share(text: str) -> float:
    """A part of all, from "1%" or "0.01"."""
    number = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    if not 0 <= number <= 1:
        raise ValueError(text)
    return number


def main() -> int:
    """Run it, and return the exit code: 0 only when every message arrived everywhere."""
    options = arguments()
    console = Console(highlight=False)
    os.environ["FEDORA_MESSAGING_CONF"] = os.devnull  # this machine's own bus is not for demonstrations
    try:
        return demonstrate(console, options)
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.print("\nInterrupted; all programs are stopped and their data removed.")
        return 130
    except (exceptions.BaseException, DemoError) as error:
        console.print(f"\n{error}", style="red", markup=False)
        return 1


def demonstrate(console: Console, options: argparse.Namespace) -> int:
    """Set up what the play needs, and have it played."""
    fedmsg = choose_fedmsg(console, wanted=not options.without_fedmsg)
    console.print("Starting a RabbitMQ of its own ...", end=" ")
    began = time.monotonic()
    with PrivateNode(ports=dict.fromkeys(cast.PORTS, 0)) as node:
        console.print(f"ready at {node.amqp_url} after {time.monotonic() - began:.1f} s")
        folder = node.folder / "demo"  # which the node's guard deletes, whatever ends this process
        folder.mkdir()
        return asyncio.run(run(console, node, fedmsg, folder, options))


def choose_fedmsg(console: Console, *, wanted: bool) -> cast.Fedmsg:
    """fedmsg, where it installs; and say which it is."""
    if not wanted:
        fedmsg = cast.standin("as asked for")
    else:
        console.print("Looking for fedmsg; the first time it is installed into .cache ...")
        try:
            fedmsg = cast.real_fedmsg()
        except RuntimeError as error:
            fedmsg = cast.standin(f"which does not install here: {error}")
    console.print(f"Those who have not moved use {fedmsg.said}.", markup=False)
    return fedmsg


async def run(
    console: Console, node: PrivateNode, fedmsg: cast.Fedmsg, folder: Path, options: argparse.Namespace
) -> int:
    """Play it until its end, or until a program fails or somebody interrupts; then nothing runs any more."""
    async with Stage(folder) as stage:
        play = Play(
            stage, cast.Cast(node, fedmsg, folder), node.amqp_url, options.rate, options.seconds, options.lose
        )
        playing = asyncio.create_task(perform(console, play, options))

        def interrupt() -> None:
            if options.stay and play.step == len(STEPS) - 1:
                play.enough.set()
            else:
                playing.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, interrupt)
        stage.failed.add_done_callback(lambda _: playing.cancel())
        await asyncio.wait({playing})
        if stage.failed.done():
            await stage.failed
        return await playing


async def perform(console: Console, play: Play, options: argparse.Namespace) -> int:
    """The play with what one sees of it; returns the exit code."""
    began = time.monotonic()
    console.print("Starting everyone, until all hear each other ...", end=" ")
    await play.prepare()
    console.print(f"{time.monotonic() - began:.1f} s")
    console.print(f"The verifier watches both worlds, and shows it at http://{play.page}/", soft_wrap=True)
    if options.stay:
        console.print("After the last step messages go on flowing until Ctrl-C.")
    async with shown(console, play):
        await play.perform(stay=options.stay)
        await play.conclude()
    console.print(view.report(play.accounts))
    console.print(view.books(play.books))
    if play.lose:
        code, sentence = ledger.found(play.faults, play.verdicts)
    else:
        code, sentence = ledger.verdict(play.accounts)
    console.print(sentence)
    return code


@contextlib.asynccontextmanager
async def shown(console: Console, play: Play) -> AsyncIterator[None]:
    """While the block lasts: live tables on a terminal, a line now and then elsewhere."""
    painter = asyncio.create_task(draw(console, play) if console.is_terminal else tell(console, play))
    try:
        yield
    finally:
        painter.cancel()
        await asyncio.wait({painter})


async def draw(console: Console, play: Play) -> None:
    """The tables, several times a second; the last picture stays."""
    with Live(console=console, auto_refresh=False) as screen:
        try:
            while True:
                screen.update(view.live(play), refresh=True)
                await asyncio.sleep(REFRESH)
        finally:
            screen.update(view.live(play), refresh=True)


async def tell(console: Console, play: Play) -> None:
    """A line for each step, and one every few seconds."""
    told, at = -1, 0.0
    while True:
        if play.step != told:
            told = play.step
            console.print(view.step(play), soft_wrap=True)
        if play.elapsed - at >= LINES:
            at = play.elapsed
            console.print(view.line(play), soft_wrap=True)
        await asyncio.sleep(REFRESH)


if __name__ == "__main__":
    sys.exit(main())
