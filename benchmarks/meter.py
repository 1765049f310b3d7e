# SPDX-License-Identifier: MIT
"""Wall time and CPU time of this process between two moments. Standard library alone: every contestant uses it."""

from __future__ import annotations

import resource
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def cpu_seconds() -> float:
    """CPU time that this process, all its threads, has used: user and system."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


class Meter:
    """Runs from its creation, or from the last :meth:`restart`, until :meth:`stop`."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Forget what was, and start."""
        self._wall, self._cpu = time.perf_counter(), cpu_seconds()
        self._stopped: tuple[float, float] | None = None

    def stop(self) -> None:
        """Time that passes from here on does not count."""
        self._stopped = time.perf_counter(), cpu_seconds()

    def result(self, messages: int) -> dict[str, float]:
        """``rate`` in messages a second and ``cpu_us`` a message. Stops the meter if nobody did."""
        if self._stopped is None:
            self.stop()
        assert self._stopped is not None
        wall, cpu = self._stopped[0] - self._wall, self._stopped[1] - self._cpu
        return {"messages": messages, "rate": messages / wall, "cpu_us": cpu / messages * 1e6}


def quantile(samples: Sequence[float], share: float) -> float:
    """The sample that ``share`` (0 to 1) of all samples do not exceed, by the nearest rank."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def latencies(seconds: Sequence[float]) -> dict[str, float]:
    """Median and 99th percentile, in microseconds."""
    return {"p50_us": quantile(seconds, 0.5) * 1e6, "p99_us": quantile(seconds, 0.99) * 1e6}
