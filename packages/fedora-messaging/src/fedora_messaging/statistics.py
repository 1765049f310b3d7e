# SPDX-License-Identifier: MIT
"""What a session has done so far: plain counters, read by monitoring. Nothing here does I/O."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Statistics:
    """Counters of one session, written on its event loop and read from anywhere.

    ``received`` counts deliveries that decoded; of these ``processed`` were acknowledged, ``rejected`` returned
    to the queue (``Nack``), ``dropped`` rejected for good (``Drop``), and ``failed`` met a callback that raised.
    ``invalid`` counts deliveries that did not decode or validate, and never reached the callback.
    """

    published: int = 0
    publish_failures: Counter[str] = field(default_factory=Counter)
    received: int = 0
    processed: int = 0
    dropped: int = 0
    rejected: int = 0
    failed: int = 0
    invalid: int = 0
    reconnects: int = 0
    connected: bool = False
    consuming: bool = False

    def count_failure(self, error: BaseException) -> None:
        """A message was not published because of ``error``; counted by the name of its class."""
        self.publish_failures[type(error).__name__] += 1
