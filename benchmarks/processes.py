# SPDX-License-Identifier: MIT
"""Processes that are measured from outside: their life, and what the kernel knows of them (proc(5))."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PR_SET_PDEATHSIG = 1
STOP_SECONDS = 20
_TICKS = os.sysconf("SC_CLK_TCK")


class MeasureError(Exception):
    """A contestant failed, or did not do what it was measured for."""


@contextmanager
def running(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    output: IO[bytes] | int = subprocess.DEVNULL,
    cwd: Path | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is stopped afterwards, and that ends with this one whatever happens."""
    process = subprocess.Popen(
        command,
        env=environment,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        preexec_fn=end_with_parent,  # noqa: PLW1509 - this process has no threads
    )
    try:
        yield process
    finally:
        stop(process)


def end_with_parent() -> None:
    """In a new process: SIGKILL when the one that started it is gone."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def stop(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, and SIGKILL if that does not end it."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, all its threads, in steps of the kernel's clock (10 ms)."""
    return cpu_seconds_of(Path(f"/proc/{pid}/stat").read_text())


def cpu_seconds_of(stat: str) -> float:
    """The same from the text of ``stat``: fields 14 and 15; the name before them may hold anything but ``)``."""
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def memory_of(pid: int) -> dict[str, float]:
    """``rss_mb`` and ``pss_mb`` now, ``peak_mb`` the most that was resident since it began; MB are 1,000,000 bytes."""
    status = kibibytes(Path(f"/proc/{pid}/status").read_text())
    return memory(Path(f"/proc/{pid}/smaps_rollup").read_text()) | {"peak_mb": status["VmHWM"] * 1024 / 1e6}


def memory(rollup: str) -> dict[str, float]:
    """Resident and proportional memory in MB (of 1,000,000 bytes), from the text of ``smaps_rollup``."""
    found = kibibytes(rollup)
    return {"rss_mb": found["Rss"] * 1024 / 1e6, "pss_mb": found["Pss"] * 1024 / 1e6}


def kibibytes(text: str) -> dict[str, int]:
    """The lines of one of the kernel's files that end in ``kB``."""
    return {line.split(":")[0]: int(line.split()[1]) for line in text.splitlines() if line.endswith(" kB")}
