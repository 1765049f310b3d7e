# SPDX-License-Identifier: MIT
"""Programs that print a line for each message, and what came out of them."""

from __future__ import annotations

import subprocess
import threading
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

PATIENCE = 60.0  # seconds for what happens within one, on a machine that is busy


class Listener:
    """A program that runs until it is left; its lines, as they come."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], cwd: Path | None = None
    ) -> None:
        # It dies with us, however we do (prctl(2), PR_SET_PDEATHSIG).
        self._process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", *command],
            env=dict(environment),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.rstrip("\n"))

    def end(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()
        self._thread.join()

    def line_with(self, word: str) -> str:
        """Wait for a line with that in it."""
        eventually(lambda: any(word in line for line in self.lines), f"{word} in {self.lines}")
        return next(line for line in self.lines if word in line)


def run(
    command: Sequence[str], environment: Mapping[str, str], cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """A program that ends by itself."""
    return subprocess.run(
        command,
        env=dict(environment),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def eventually(condition: Callable[[], object], what: str) -> None:
    """Return as soon as ``condition`` holds; fail when it does not within :data:`PATIENCE`."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {PATIENCE:g} s: {what}")
        time.sleep(0.05)
