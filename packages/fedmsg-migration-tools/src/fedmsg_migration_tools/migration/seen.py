# SPDX-License-Identifier: MIT
"""What has been seen of the applications on both sides, as the map, the linter and the gate need it. Pure.

Where it comes from, the store of the verification service, does not belong here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["DAY", "UNKNOWN", "Application", "Seen", "Traffic"]

DAY = 86400.0
UNKNOWN = "unknown"  # the application of a topic with fewer than four words


@dataclass(frozen=True, slots=True)
class Traffic:
    """Messages that originated on one side.

    Attributes:
        hour, day, week: how many, in the time before now.
        first_seen, last_seen: seconds since the epoch; None: never.
    """

    hour: int = 0
    day: int = 0
    week: int = 0
    first_seen: float | None = None
    last_seen: float | None = None

    def since(self, moment: float) -> bool:
        """Whether anything was seen after ``moment``."""
        return self.last_seen is not None and self.last_seen > moment


@dataclass(frozen=True, slots=True)
class Application:
    """One application, by what originated where."""

    name: str
    zmq: Traffic = Traffic()
    amqp: Traffic = Traffic()

    def moved(self, quiet_since: float) -> bool:
        """Whether it publishes on AMQP, and nothing of it came over ZeroMQ after ``quiet_since``."""
        return self.amqp.first_seen is not None and not self.zmq.since(quiet_since)


@dataclass(frozen=True, slots=True)
class Seen:
    """All that has been seen.

    Attributes:
        since: when the looking began, in seconds since the epoch.
        now: when it was asked.
        applications: by name.
        topics: every topic that was seen; None when these are not known.
    """

    since: float
    now: float
    applications: Mapping[str, Application] = field(default_factory=dict)
    topics: frozenset[str] | None = None

    @classmethod
    def of(
        cls,
        applications: Iterable[Application],
        since: float,
        now: float,
        topics: Iterable[str] | None = None,
    ) -> Seen:
        """From a list of applications."""
        known = {one.name: one for one in applications}
        return cls(since, now, known, None if topics is None else frozenset(topics))

    @property
    def days(self) -> float:
        """How long the looking has gone on."""
        return max(0.0, self.now - self.since) / DAY
