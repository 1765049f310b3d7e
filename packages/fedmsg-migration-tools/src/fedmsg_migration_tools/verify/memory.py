# SPDX-License-Identifier: MIT
"""What the page asks for every second, in memory, and how it is found again after a restart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .counted import IN, History, Seen
from .recent import Recent

if TYPE_CHECKING:
    from .tables import Tables

__all__ = ["Memory"]

_HISTORY = 25 * 60  # minutes
_WEEK = 7 * 24  # hours
_RECENT = 1000  # verdicts
_APPLICATIONS = 1000


class Memory:
    """The newest verdicts, the counts of the last day by minute, and the applications. The caller locks."""

    def __init__(self) -> None:
        self.recent = Recent(_RECENT)
        self.history = History(_HISTORY)
        self.seen = Seen(_APPLICATIONS)

    def restore(self, tables: Tables, minute: int) -> None:
        """As it was before a restart.

        Arguments:
            tables: read.
            minute: now.
        """
        for row in reversed(tables.latest(_RECENT + 1)):
            self.recent.add(row)
        first = tables.first_minute()
        self.history.complete = first is None or first >= minute - _HISTORY
        for at, leg, cell in tables.totals(minute - _HISTORY, minute + _HISTORY):
            self.history.add(at, leg, cell)
        for application, leg, first, last in tables.applications()[: 2 * _APPLICATIONS]:
            self.seen.restore(application, leg, first, last)
        for hour, leg, application, cell in tables.cells("hours", minute // 60 - _WEEK):
            self.seen.restore_hour(application, leg, hour, cell.kinds.get(IN, 0))
        for at, leg, application, cell in tables.cells("minutes", minute - 60):
            self.seen.restore_minute(application, leg, at, cell.kinds.get(IN, 0))
