# SPDX-License-Identifier: MIT
"""What the bridges count: messages by application and fate, delays, and the summary of a minute."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..exceptions import Reason
from ..figures import Counter, Gauge, Histogram
from .crossing import application

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ..figures import Metric

__all__ = ["Shown", "Tally"]

_TOPICS = 4096  # topics whose application is remembered


class Tally:
    """Counters of one bridge.

    Arguments:
        prefix: of the names, ``zmq_to_amqp`` or ``amqp_to_zmq``.
        done: the last step, for the help texts: ``confirmed by the broker``.
    """

    def __init__(self, prefix: str, done: str) -> None:
        self.prefix = prefix
        by_application = ("application",)
        self.received = Counter(f"{prefix}_received", "Messages that came in.", by_application)
        self.bridged = Counter(f"{prefix}_bridged", f"Messages {done}.", by_application)
        self.loops = Counter(
            f"{prefix}_loops", "Messages dropped because a bridge had carried them already.", by_application
        )
        # All reasons from the start: Prometheus sees no growth in a series that begins with its first message.
        self.quarantined = Counter(
            f"{prefix}_quarantined",
            "Messages set aside, by reason.",
            ("reason",),
            {(str(reason),): 0 for reason in Reason},
        )
        self.put_off = Counter(
            f"{prefix}_put_off",
            "Times that a message could not go yet and was put off, by reason.",
            ("reason",),
        )
        self.lost = Counter(
            f"{prefix}_lost", "Messages given up because neither memory nor disk had room.", ()
        )
        self.lag = Histogram(f"{prefix}_lag_seconds", f"From a message's timestamp until it was {done}.")
        self._lag_of_late = self._new_lag()
        self._applications: dict[str, str] = {}
        self._before: dict[str, float] = {}

    def application(self, topic: str) -> str:
        """Of a topic; remembered, since it is asked for with each message."""
        found = self._applications.get(topic)
        if found is None:
            if len(self._applications) >= _TOPICS:
                self._applications.clear()
            found = self._applications[topic] = application(topic)
        return found

    def _new_lag(self) -> Histogram:
        return Histogram(self.lag.name, self.lag.help)

    def arrived(self, topic: str, timestamp: float | None, now: float) -> None:
        """A message has crossed; both times are in seconds since the epoch."""
        self.bridged.add(1, self.application(topic))
        if timestamp is not None:
            lag = max(0.0, now - timestamp)
            self.lag.observe(lag)
            self._lag_of_late.observe(lag)

    def metrics(self) -> list[Metric]:
        """All of them."""
        return [
            self.received,
            self.bridged,
            self.loops,
            self.quarantined,
            self.put_off,
            self.lost,
            self.lag,
        ]

    def summary(self, **now: float) -> str:
        """What was counted since the last summary, and ``now`` whatever stands as it is."""
        parts = []
        for counter, word in (
            (self.received, "in"),
            (self.bridged, "out"),
            (self.quarantined, "quarantined"),
            (self.put_off, "put off"),
            (self.loops, "loops dropped"),
            (self.lost, "lost"),
        ):
            total = counter.total
            parts.append(f"{word} {total - self._before.get(word, 0):.0f}")
            self._before[word] = total
        parts += [f"{name.replace('_', ' ')} {value:.0f}" for name, value in now.items()]
        lag, self._lag_of_late = self._lag_of_late, self._new_lag()
        if lag.count:
            parts.append(
                f"lag up to {lag.quantile(0.5):g} s for half, {lag.quantile(0.99):g} s for 99 of 100"
            )
        return ", ".join(parts)


class Shown:
    """What monitoring shows of a bridge.

    Arguments:
        tally: its counters.
        gauges: tells what stands as it is now.
        ready: tells whether messages move, and why not.
    """

    def __init__(
        self,
        tally: Tally,
        gauges: Callable[[], Iterable[Gauge | Counter]],
        ready: Callable[[], tuple[bool, Mapping[str, Any]]],
    ) -> None:
        self._tally = tally
        self._gauges = gauges
        self.ready = ready

    def metrics(self) -> Iterable[Metric]:
        """Counters first."""
        return [*self._tally.metrics(), *self._gauges()]
