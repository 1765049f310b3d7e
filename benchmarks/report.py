# SPDX-License-Identifier: MIT
"""From samples to what is said of them: medians, ratios, bounds kept or missed. Pure; prints nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from .plan import FIGURES, SCENARIOS
from .terms import Bar, Figure, Role, Scenario

#: By scenario and role: the samples of one key's contestants, one mapping a round.
Samples = Mapping[str, Mapping[Role, Sequence[Mapping[str, float]]]]

AT_LEAST = (Bar.AT_LEAST, Bar.AT_LEAST_OF_LIMIT, Bar.AT_LEAST_OF_LOWER)
OF_WHAT = {
    Bar.AT_MOST_OF_LIMIT: "limit",
    Bar.AT_LEAST_OF_LIMIT: "limit",
    Bar.AT_LEAST_OF_LOWER: "lower",
    Bar.AT_MOST_OF_PEER: "3.9.1",
    Bar.AT_MOST_OF_FIRST: "one",
}
#: What is said in whole numbers, by the end of its key.
WHOLE = {"rate": "/s", "_ms": " ms", "_bytes": " bytes"}
Taken = Sequence[Mapping[str, float]]
TITLES = {scenario.name: scenario for scenario in SCENARIOS}


@dataclass(frozen=True)
class Row:
    """One figure, measured: medians, None where nobody was measured.

    ``ratio`` is ours to the limit's, or to that of whatever else the bound is on: the median of the rounds' ratios,
    since what else the machine does touches the neighbours in one round alike.
    """

    figure: Figure
    limit: float | None
    narrow: float | None
    peer: float | None
    ours: float | None
    ratio: float | None = None
    rsa: float | None = None

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
        value = self.ours if bar in (Bar.AT_MOST, Bar.AT_LEAST) else self.ratio
        if bar is None or value is None:
            return None
        return value >= self.figure.bound if bar in AT_LEAST else value <= self.figure.bound

    @property
    def missed(self) -> bool:
        """A bound that is not kept, or that nobody could measure."""
        return self.figure.bar is not None and not self.kept


def middle(samples: Samples, scenario: str, role: Role, key: str) -> float | None:
    """The median of one number over the rounds."""
    values = [sample[key] for sample in samples.get(scenario, {}).get(role, ()) if key in sample]
    return median(values) if values else None


def middle_ratio(ours: Taken, others: Sequence[Taken], key: str) -> float | None:
    """The median over the rounds of ours divided by the lowest of the others in the same round."""
    ratios = [
        own[key] / lowest
        for own, *against in zip(ours, *others, strict=False)
        if key in own and all(key in one for one in against) and (lowest := min(one[key] for one in against))
    ]
    return median(ratios) if ratios else None


def row(samples: Samples, figure: Figure) -> Row:
    """One figure from the samples."""
    name, key = figure.scenario, figure.key
    limit, narrow, ours, rsa = (
        middle(samples, name, role, key) for role in (Role.LIMIT, Role.NARROW, Role.OURS, Role.RSA)
    )
    peer = middle(samples, figure.peer_scenario or name, Role.PEER, key)
    taken = samples.get(name, {})
    others = [samples.get(other, {}).get(role, ()) for other, role in compared(figure)]
    return Row(figure, limit, narrow, peer, ours, middle_ratio(taken.get(Role.OURS, ()), others, key), rsa)


def compared(figure: Figure) -> list[tuple[str, Role]]:
    """Whom ours is divided by: scenario and role."""
    name = figure.scenario
    if figure.first is not None:
        return [(figure.first, Role.OURS)]
    if figure.bar is Bar.AT_LEAST_OF_LOWER:
        return [(name, Role.LIMIT), (name, Role.RSA)]
    return [(name, Role.PEER if figure.bar is Bar.AT_MOST_OF_PEER else Role.LIMIT)]


def rows(samples: Samples, names: Sequence[str]) -> list[Row]:
    """All figures of the scenarios ``names``."""
    return [row(samples, figure) for figure in FIGURES if figure.scenario in names]


def of_bridges(measured: Sequence[Row]) -> list[Row]:
    """The rows of bridges."""
    return [one for one in measured if one.scenario.of_bridges]


def of_verifier(measured: Sequence[Row]) -> list[Row]:
    """The rows of the verifier."""
    return [one for one in measured if one.scenario.of_verifier]


def of_libraries(measured: Sequence[Row]) -> list[Row]:
    """The others."""
    return [one for one in measured if not (one.scenario.of_bridges or one.scenario.of_verifier)]


def missed(measured: Sequence[Row]) -> list[Row]:
    """The rows whose bound is not reached."""
    return [one for one in measured if one.missed]


def number(key: str, value: float | None) -> str:
    """A value with its unit; empty where there is none."""
    if value is None:
        return ""
    whole = [unit for suffix, unit in WHOLE.items() if key.endswith(suffix)]
    if whole:
        return f"{value:,.0f}{whole[0]}"
    if key == "seconds":
        return f"{value * 1000:,.0f} ms"
    if key.endswith("_mb"):
        return f"{value:.3g} MB"
    if key == "arrived":
        return f"{math.floor(value * 1000) / 10:g} %"
    return f"{value:,.0f} µs" if value >= 10 else f"{value:.1f} µs"


def bound(figure: Figure) -> str:
    """The bound in short; empty where there is none."""
    if figure.bar is None:
        return ""
    sign = "≥" if figure.bar in AT_LEAST else "≤"
    if figure.bar not in OF_WHAT:
        return f"{sign} {number(figure.key, figure.bound)}"
    return f"{sign} {figure.bound:g} x {OF_WHAT[figure.bar]}"


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
                "rsa": one.rsa,
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
