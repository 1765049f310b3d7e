# SPDX-License-Identifier: MIT
"""Our verifier and the older tools' one on the same faulty stream: false alarms and misses of each, as a table.

``python -m benchmarks.verifiers`` takes some three minutes, most of them waiting. What is done to the stream is in
``faulty_stream``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import sqlite3
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedora_messaging.private_node import PrivateNode
from fedora_messaging.private_node.ports import free_port
from tests.interop import environments

from .faulty_stream import LEGS, Fate, Plan, Stream
from .processes import running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

OLD = Path(__file__).parent.parent / "tests" / "interop" / "old-verifier-packages.txt"
#: Without this it does not run with any release of fedora-messaging: see the file of its packages.
SHIM = """\
import collections, collections.abc
collections.Callable = collections.abc.Callable
from fedora_messaging import message
message.Message.body = property(lambda self: self._body)
"""
#: The old one waits for 20 s and looks each 10; ours counts numbers that nobody saw after two of its windows.
SETTLES = 45.0  # seconds
PATIENCE = 90.0
_UUID = 36  # characters
_MISSING = re.compile(r"Message (\S+) was only received in")

#: What is to be said of each, and nothing else.
RIGHT = {
    Fate.WELL: frozenset[str](),
    Fate.DROPPED: frozenset({"lost"}),
    Fate.LATE: frozenset({"late"}),
    Fate.DOUBLED: frozenset({"duplicated"}),
    Fate.ALTERED: frozenset({"changed"}),
    Fate.SET_ASIDE: frozenset({"quarantined"}),
}


@dataclass
class Row:
    """What was said of messages with one fate."""

    messages: int = 0
    old_false: int = 0
    old_missed: int = 0
    false: int = 0
    missed: int = 0
    unverifiable: int = 0


@dataclass
class Outcome:
    """What both said, by id without its year; ``kinds`` are our verdicts that stand."""

    stream: Stream
    kinds: dict[str, set[str]]
    books: Mapping[str, Any]
    missing: set[str] | None = None  # by the old one, if it took part
    blind: list[str] = field(default_factory=list)

    def wrong(self) -> dict[str, tuple[str, set[str]]]:
        """Messages out of blind time whose verdicts are not exactly what was done: id → fate, verdicts."""
        return {
            plain: (str(one.fate), self.kinds[plain])
            for plain, one in self.stream.sent.items()
            if not self.stream.blind(one) and self.kinds[plain] != RIGHT[one.fate]
        }

    def rows(self) -> dict[str, Row]:
        """The table."""
        rows: dict[str, Row] = {}
        for blind in (False, True):
            for fate in Fate:
                chosen = [
                    p
                    for p, one in self.stream.sent.items()
                    if one.fate is fate and self.stream.blind(one) is blind
                ]
                if chosen:
                    name = f"{fate}, while the verifiers could not see" if blind else str(fate)
                    rows[name] = self._row(fate, chosen)
        return rows

    def _row(self, fate: Fate, chosen: Iterable[str]) -> Row:
        row = Row()
        for plain in chosen:
            said, right = self.kinds[plain], RIGHT[fate]
            missing = plain in (self.missing or ())
            row.messages += 1
            row.unverifiable += "unverifiable" in said
            row.false += bool(said - right - {"unverifiable"})
            row.missed += bool(right - said) and "unverifiable" not in said
            row.old_false += missing and fate not in {Fate.DROPPED, Fate.SET_ASIDE}
            row.old_missed += (
                not missing
                if fate in {Fate.DROPPED, Fate.SET_ASIDE}
                else fate in {Fate.DOUBLED, Fate.ALTERED}
            )
        return row


class Ours:
    """What our service found, in its file and on its page."""

    def __init__(self, folder: Path, stream: Stream) -> None:
        self.page = f"127.0.0.1:{free_port()}"
        self.store = folder / "verify.sqlite"
        self.config = folder / "verify.toml"
        self.config.write_text(
            f"""
            [verify_missing]
            zmq_endpoints = {json.dumps(stream.publishers)}
            bridge_endpoints = ["{stream.bridge}"]
            shortest_window = 1.0
            longest_window = {stream.plan.window}
            store = "{self.store}"
            listen = "{self.page}"
            """
        )
        self.command = [
            *(sys.executable, "-m", "fedmsg_migration_tools", "--conf", str(self.config)),
            *("verify_missing", "--amqp-url", stream.broker),
        ]

    def snapshot(self) -> dict[str, Any]:
        """What its page shows; empty while it does not answer."""
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://{self.page}/api/snapshot", timeout=5) as answer,
        ):
            shown: dict[str, Any] = json.load(answer)
            return shown
        return {}

    async def until(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The snapshot, when it is so."""
        end = time.monotonic() + PATIENCE
        while not ((shown := await asyncio.to_thread(self.snapshot)) and condition(shown)):
            if time.monotonic() > end:
                raise TimeoutError(json.dumps(shown)[:2000])
            await asyncio.sleep(0.2)
        return shown

    def kinds(self) -> dict[str, set[str]]:
        """Verdicts that stand, by id without its year."""
        found: dict[str, set[str]] = defaultdict(set)
        with contextlib.closing(sqlite3.connect(self.store)) as opened:
            for kind, identifier in opened.execute("SELECT kind, id FROM verdicts WHERE NOT taken_back"):
                found[identifier[-_UUID:]].add(kind)
        return found


def _sees(shown: Mapping[str, Any]) -> bool:
    return all(one["seeing"] for one in shown["witnesses"].values())


def _settled(shown: Mapping[str, Any]) -> bool:
    return not any(shown["legs"][leg]["books"]["in_flight"] for leg in LEGS)


@contextlib.contextmanager
def _old(folder: Path, stream: Stream) -> Iterator[Path]:
    """The old verifier; its log."""
    environment = environments.create("old-verifier", environments.pins(OLD))
    (folder / "fedmsg.d").mkdir()
    (folder / "fedmsg.d" / "base.py").write_text(
        'config = {"validate_signatures": False, "sign_messages": False}\n'
    )
    (folder / "shim").mkdir()
    (folder / "shim" / "sitecustomize.py").write_text(SHIM)
    messaging = folder / "messaging.toml"
    messaging.write_text(f'amqp_url = "{stream.broker}"\n')
    names = {"FEDMSG_CONFIG": str(folder / "fedmsg.d"), "FEDORA_MESSAGING_CONF": str(messaging)}
    listening = [option for one in (*stream.publishers, stream.bridge) for option in ("--zmq-endpoint", one)]
    log = folder / "old.log"
    command = [str(environment.script("fedmsg-migration-tools")), "verify-missing", *listening]
    with (
        log.open("wb") as output,
        running(
            command,
            environment.variables({**names, "PYTHONPATH": str(folder / "shim"), "PYTHONUNBUFFERED": "1"}),
            output=output.fileno(),
            cwd=folder,
        ),
    ):
        yield log


async def compare(plan: Plan, amqp_url: str, amqp_port: int, folder: Path, *, old: bool) -> Outcome:
    """Let the stream flow past our verifier, and past the old one, too."""
    async with Stream(amqp_url, amqp_port, plan) as stream:
        ours = Ours(folder, stream)
        with contextlib.ExitStack() as stack:
            log = stack.enter_context(_old(folder, stream)) if old else None
            with (folder / "ours.log").open("wb") as output:
                stack.enter_context(running(ours.command, dict(os.environ), output=output.fileno()))
            await ours.until(_sees)
            await asyncio.sleep(3.0)  # the old one is ready some 2 s after its start
            await stream.play()
            if old:
                await asyncio.sleep(SETTLES)
            shown = await ours.until(_settled)
        missing = None
        if log is not None:
            missing = {found[-_UUID:] for found in _MISSING.findall(log.read_text("utf-8", "replace"))}
        blind = [f"{name}: {one['blind_seconds']:.1f} s" for name, one in shown["witnesses"].items()]
        return Outcome(stream, ours.kinds(), shown["legs"], missing, blind)


def table(outcome: Outcome) -> str:
    """In Markdown."""
    lines = [
        "| what was done | messages | 0.1.2: false alarms | 0.1.2: misses | false alarms | misses | unverifiable |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, row in outcome.rows().items():
        figures = (row.messages, row.old_false, row.old_missed, row.false, row.missed, row.unverifiable)
        lines.append(f"| {name} | {' | '.join(f'{figure:,}' for figure in figures)} |")
    return "\n".join(lines)


def main() -> None:
    """Run both, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, help="a folder for logs and files")
    asked = parser.parse_args()
    with PrivateNode(plugins=()) as node, tempfile.TemporaryDirectory() as made:
        folder = asked.keep or Path(made)
        outcome = asyncio.run(compare(Plan(), node.amqp_url, node.amqp_port, folder, old=True))
    print(table(outcome))
    for leg in LEGS:
        print(leg, json.dumps(outcome.books[leg]["books"]), "unwitnessed:", outcome.books[leg]["unwitnessed"])
    print("blind:", ", ".join(outcome.blind))
    print("not exact out of blind time:", outcome.wrong() or "none")


if __name__ == "__main__":
    main()
