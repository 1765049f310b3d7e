# SPDX-License-Identifier: MIT
"""From samples to what is said of them: medians, ratios, bounds kept or missed. Pure; prints nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from .plan import FIGURES, SCENARIOS, Bar, Figure, Role, Scenario

#: By scenario and role: the samples of one key's contestants, one mapping a round.
Samples = Mapping[str, Mapping[Role, Sequence[Mapping[str, float]]]]

TITLES = {scenario.name: scenario for scenario in SCENARIOS}


@dataclass(frozen=True)
class Row:
    """One figure, measured: medians, None where nobody was measured.

    ``ratio`` is ours to the limit's, or to the peer's where the bound is on that: the median of the rounds' ratios,
    since what else the machine does touches the neighbours in one round alike.
    """

    figure: Figure
    limit: float | None
    narrow: float | None
    peer: float | None
    ours: float | None
    ratio: float | None = None

    @property
    def scenario(self) -> Scenario:
        """Where the figure comes from."""
        return TITLES[self.figure.scenario]

    @property
    def peer_is_another(self) -> bool:
        """Whether the peer's value is that of something else that its users do instead."""
        return self.figure.peer_scenario is not None

    @property
    def kept(self) -> bool | None:
        """Whether the bound is kept; None without a bound, or when it could not be measured."""
        bar = self.figure.bar
        value = self.ours if bar is Bar.AT_MOST else self.ratio
        if bar is None or value is None:
            return None
        return value >= self.figure.bound if bar is Bar.AT_LEAST_OF_LIMIT else value <= self.figure.bound

    @property
    def missed(self) -> bool:
        """A bound that is not kept, or that nobody could measure."""
        return self.figure.bar is not None and not self.kept


def middle(samples: Samples, scenario: str, role: Role, key: str) -> float | None:
    """The median of one number over the rounds."""
    values = [sample[key] for sample in samples.get(scenario, {}).get(role, ()) if key in sample]
    return median(values) if values else None


def middle_ratio(samples: Samples, scenario: str, against: Role, key: str) -> float | None:
    """The median over the rounds of ours divided by that of ``against`` in the same round."""
    roles = samples.get(scenario, {})
    pairs = zip(roles.get(Role.OURS, ()), roles.get(against, ()), strict=False)
    ratios = [ours[key] / other[key] for ours, other in pairs if key in ours and other.get(key)]
    return median(ratios) if ratios else None


def row(samples: Samples, figure: Figure) -> Row:
    """One figure from the samples."""
    name, key = figure.scenario, figure.key
    limit, narrow, ours = (middle(samples, name, role, key) for role in (Role.LIMIT, Role.NARROW, Role.OURS))
    peer = middle(samples, figure.peer_scenario or name, Role.PEER, key)
    against = Role.PEER if figure.bar is Bar.AT_MOST_OF_PEER else Role.LIMIT
    return Row(figure, limit, narrow, peer, ours, middle_ratio(samples, name, against, key))


def rows(samples: Samples, names: Sequence[str]) -> list[Row]:
    """All figures of the scenarios ``names``."""
    return [row(samples, figure) for figure in FIGURES if figure.scenario in names]


def missed(measured: Sequence[Row]) -> list[Row]:
    """The rows whose bound is not reached."""
    return [one for one in measured if one.missed]


def number(key: str, value: float | None) -> str:
    """A value with its unit; empty where there is none."""
    if value is None:
        return ""
    if key == "rate":
        return f"{value:,.0f}/s"
    if key == "seconds":
        return f"{value * 1000:,.0f} ms"
    if key == "rss_mb":
        return f"{value:.3g} MB"
    return f"{value:,.0f} µs" if value >= 10 else f"{value:.1f} µs"


def bound(figure: Figure) -> str:
    """The bound in short; empty where there is none."""
    if figure.bar is None:
        return ""
    if figure.bar is Bar.AT_MOST:
        return f"≤ {number(figure.key, figure.bound)}"
    sign = "≥" if figure.bar is Bar.AT_LEAST_OF_LIMIT else "≤"
    return f"{sign} {figure.bound:g} x {'3.9.1' if figure.bar is Bar.AT_MOST_OF_PEER else 'limit'}"


def verdict(measured: Row) -> str:
    """``ok``, ``MISSED``, ``FAILED`` where ours could not be measured, or nothing where there is no bound."""
    if measured.figure.bar is None:
        return ""
    if measured.kept is None:
        return "FAILED"
    return "ok" if measured.kept else "MISSED"


def closing(measured: Sequence[Row]) -> str:
    """How many bounds were kept, in a sentence."""
    bounds = [one for one in measured if one.figure.bar is not None]
    failed = len(missed(bounds))
    if not failed:
        return f"All {len(bounds)} bounds are kept."
    return f"{failed} of {len(bounds)} bounds {'is' if failed == 1 else 'are'} missed."


def as_json(
    samples: Samples, measured: Sequence[Row], facts: Mapping[str, object], errors: Sequence[str]
) -> dict[str, object]:
    """Everything of a run as JSON data: raw samples, what follows from them, and what it was measured on."""
    return {
        "facts": dict(facts),
        "figures": [
            {
                "scenario": one.figure.scenario,
                "key": one.figure.key,
                "limit": one.limit,
                "narrow": one.narrow,
                "peer": one.peer,
                "peer_scenario": one.figure.peer_scenario or one.figure.scenario,
                "ours": one.ours,
                "ratio": one.ratio,
                "bound": bound(one.figure) or None,
                "kept": one.kept,
            }
            for one in measured
        ],
        "samples": {
            name: {role.value: list(taken) for role, taken in roles.items()}
            for name, roles in samples.items()
        },
        "errors": list(errors),
    }
