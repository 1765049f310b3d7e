# SPDX-License-Identifier: MIT
"""Programs as child processes: fed by lines, heard by lines, ended in order. What they do does not belong here."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Mapping, Sequence

CHILD = Path(__file__).with_name("child.py")
PATIENCE = 15.0  # seconds that a program may take to end


class DemoError(Exception):
    """The demo cannot go on; the text says why, in a line or two."""


@dataclass(frozen=True)
class Command:
    """What to run: arguments, and environment variables beside those that every program gets."""

    arguments: Sequence[str]
    variables: Mapping[str, str] = field(default_factory=dict)


class Program:
    """A program that runs. Made by :meth:`Stage.start`."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self.ending = False
        self._process = process
        self._log = log
        self._said: deque[str] = deque(maxlen=3)
        self._heard: asyncio.Task[None] | None = None

    def listen(self, hear: Callable[[str], None], ended: Callable[[Program], None]) -> None:
        """Call ``hear`` with each line that it writes, and ``ended`` after the last."""
        self._heard = asyncio.create_task(self._listen(hear, ended))

    async def _listen(self, hear: Callable[[str], None], ended: Callable[[Program], None]) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self._said.append(line.decode().rstrip("\n"))
            hear(self._said[-1])
        await self._process.wait()
        ended(self)

    def feed(self, line: str) -> None:
        """Give it a line to read."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())

    async def finish(self) -> None:
        """Give it no more to read, and wait until it has done all and has ended, with exit code 0."""
        self.ending = True
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._end()

    async def stop(self, with_signal: signal.Signals) -> None:
        """Tell it to end, and wait until it has, with exit code 0."""
        self.ending = True
        self._process.send_signal(with_signal)
        await self._end()

    async def _end(self) -> None:
        assert self._heard is not None
        try:
            await asyncio.wait_for(asyncio.shield(self._heard), PATIENCE)
        except TimeoutError:
            raise DemoError(f"{self.name} does not end. {self.last_words()}") from None
        if self._process.returncode != 0:
            raise DemoError(self.obituary())

    async def kill(self) -> None:
        """End it, whatever it does."""
        self.ending = True
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        if self._heard is not None:
            await asyncio.wait([self._heard])

    def obituary(self) -> str:
        """That it ended, how, and what it said last."""
        return f"{self.name} ended with exit code {self._process.returncode}. {self.last_words()}"

    def last_words(self) -> str:
        """The end of what it wrote, to its standard error if anything."""
        lines = self._log.read_text(errors="replace").splitlines()[-3:] or list(self._said)
        return f"It said: {' / '.join(line.strip() for line in lines)}" if lines else "It said nothing."


class Stage:
    """The programs that run, in one folder. At the end of the ``async with`` block none of them does any more.

    Each is a session of its own, so that Ctrl-C reaches only the demo, which then ends them in order; should the demo
    itself be killed, the kernel kills them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._programs: list[Program] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(program.kill() for program in self._programs))
        self.failed.cancel()

    async def start(self, name: str, command: Command, hear: Callable[[str], None]) -> Program:
        """Start it. It runs until it is told to end: if it ends before, ``failed`` has a :class:`DemoError`."""
        log = self.folder / f"{len(self._programs):02}-{name.replace(' ', '-')}.log"
        with log.open("wb") as stderr:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", str(CHILD), str(os.getpid())),
                *command.arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
                cwd=self.folder,
                env={**variables(), **command.variables},
                start_new_session=True,
            )
        program = Program(name, process, log)
        self._programs.append(program)
        program.listen(hear, self._ended)
        return program

    def _ended(self, program: Program) -> None:
        if not program.ending and not self.failed.done():
            self.failed.set_exception(DemoError(program.obituary()))


def variables() -> dict[str, str]:
    """The environment of every program: nothing of this machine's own bus leaks in."""
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "TMPDIR", "USER"}}
    return {
        **kept,
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": "ignore",
        "FEDORA_MESSAGING_CONF": os.devnull,
    }
