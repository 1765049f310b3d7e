# SPDX-License-Identifier: MIT
"""The owner's end of the guard: orders, reports, and what is known of the guarded programs.

What the programs are does not belong here.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ..exceptions import NodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

SCRIPT = Path(__file__).with_name("guard.py")


class GuardClient:
    """Starts a guard, and the programs under it. Not for several threads at a time.

    Arguments:
        folder: where the programs live; locked against a second guard.
        temporary: whether the guard deletes the folder at the end.

    Raises:
        NodeError: another guard has the folder, or this one did not start.
    """

    def __init__(self, folder: Path, *, temporary: bool) -> None:
        kind = "temporary" if temporary else "kept"
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable or "python3", "-I", "-S", SCRIPT, str(os.getpid()), folder, kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            cwd="/",
            start_new_session=True,
        )
        self._unread = b""
        self._ready = self._locked = False
        self.over = False
        self.pids: dict[str, int] = {}
        self.stopped: set[str] = set()
        self.exits: dict[str, int] = {}
        self.error = ""
        self.wait(lambda: self._ready or self._locked, 10)
        if self._locked:
            self.close()
            raise NodeError(f"The folder {folder} is in use by another private node.")
        if not self._ready:
            self.close()
            raise NodeError("The guard process of the private node did not start.")

    def fileno(self) -> int:
        """What becomes readable when there is something to :meth:`hear`."""
        assert self._process.stdout is not None  # noqa: S101 - a pipe, see above
        return self._process.stdout.fileno()

    @property
    def pid(self) -> int:
        """The guard's own."""
        return self._process.pid

    def spawn(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str],
        cwd: Path,
        log: Path,
        needed: bool = False,
    ) -> None:
        """Start a program with that environment, its output appended to ``log``; see the guard for ``needed``."""
        self.exits.pop(name, None)
        command = [str(word) for word in argv]
        order = {"name": name, "argv": command, "env": dict(env), "cwd": str(cwd), "log": str(log)}
        self._order(do="spawn", needed=needed, **order)

    def signal(self, name: str, number: int) -> None:
        """Send a signal to a program, if it still runs."""
        self._order(do="signal", name=name, signal=int(number))

    def runs(self, name: str) -> bool:
        """Whether the program was started and has not ended, as far as heard."""
        return name in self.pids and not self.over

    def hear(self, timeout: float = 0.0) -> bool:
        """Take in reports; waits up to ``timeout`` seconds for one. Returns whether something came."""
        if self.over or not select.select([self], [], [], max(timeout, 0))[0]:
            return False
        data = os.read(self.fileno(), 65536)
        if not data:
            self.over = True
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            self._note(json.loads(line))
        return True

    def wait(self, condition: Callable[[], bool], timeout: float | None) -> bool:
        """Hear reports until the condition holds (True), or time or the guard is over. None waits for ever."""
        end = None if timeout is None else time.monotonic() + timeout
        while not condition():
            if self.over:
                return False
            left = 3600.0 if end is None else end - time.monotonic()
            if left <= 0:
                return False
            self.hear(left)
        return True

    def end_all(self, timeout: float = 10.0) -> None:
        """SIGKILL all programs and wait until they are gone; the guard goes on."""
        for name in list(self.pids):
            self.signal(name, 9)
        self.wait(lambda: not self.pids, timeout)

    def close(self, timeout: float = 10.0) -> None:
        """Have everything killed and cleaned up, and wait for it."""
        self._order(do="end")
        with contextlib.suppress(OSError):
            self._process.stdin.close()  # type: ignore[union-attr]
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()  # type: ignore[union-attr]
        self.over = True
        self._wait_for_orphans()

    def _wait_for_orphans(self) -> None:
        """Should the guard have been killed, the kernel kills its programs a moment later."""
        end = time.monotonic() + 2
        while any(map(_exists, self.pids.values())) and time.monotonic() < end:
            time.sleep(0.005)
        self.pids.clear()

    def _order(self, **order: object) -> None:
        with contextlib.suppress(OSError, ValueError):  # the guard is gone: the next wait says so
            os.write(self._process.stdin.fileno(), json.dumps(order).encode() + b"\n")  # type: ignore[union-attr]

    def _note(self, report: dict[str, object]) -> None:
        name = str(report.get("name"))
        match report["event"]:
            case "ready":
                self._ready = True
            case "locked":
                self._locked = True
            case "failed":
                self.error = str(report["error"])
            case "started":
                self.pids[name] = int(str(report["pid"]))
            case "stopped":
                self.stopped.add(name)
            case "continued":
                self.stopped.discard(name)
            case "exited":
                self.pids.pop(name, None)
                self.stopped.discard(name)
                self.exits[name] = int(str(report["status"]))


def _exists(pid: int) -> bool:
    """Whether the process is there and has not ended (a zombie waits for its parent only)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
