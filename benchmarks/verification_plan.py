# SPDX-License-Identifier: MIT
"""What is measured of the verifier and what must come of it. Pure data."""

from __future__ import annotations

from .terms import Bar, Figure, Role, Scenario
from .verification_terms import Verification, Work

ROUNDS = 3
IN_FLIGHT = (1_000, 10_000, 100_000, 1_000_000)
MILLION = 1_000_000
FLOOD = 20_000
#: The service's shortest window, in ms: what it is behind by less than that, it never calls missing.
WINDOW_MS = 2_000


def core(in_flight: int) -> str:
    """The name of the scenario with so many messages in flight."""
    return f"verify-{in_flight}"


def _core(in_flight: int) -> Scenario:
    ours = Verification(Work.RATE, 200_000, in_flight=in_flight)
    return Scenario(core(in_flight), f"verify, {in_flight:,} in flight", {Role.OURS: ours}, rounds=ROUNDS)


SCENARIOS = (
    *(_core(in_flight) for in_flight in IN_FLIGHT),
    Scenario(
        "verify-held",
        "verify, a million held",
        {Role.OURS: Verification(Work.HOLD, MILLION)},
        rounds=ROUNDS,
    ),
    Scenario(
        "verify-pause",
        "verify, a million lost",
        {Role.OURS: Verification(Work.PAUSE, MILLION)},
        rounds=ROUNDS,
    ),
    Scenario(
        "verify-service",
        "verify_missing, both legs",
        {Role.OURS: Verification(Work.SERVICE, FLOOD, 1_000)},
        rounds=ROUNDS,
    ),
)


def _core_figures(in_flight: int) -> tuple[Figure, Figure]:
    rate = Figure(core(in_flight), "rate", "observations", Bar.AT_LEAST, 300_000)
    what = "CPU an observation"
    if in_flight == IN_FLIGHT[0]:
        return rate, Figure(core(in_flight), "cpu_us", what)
    first = core(IN_FLIGHT[0])
    return rate, Figure(core(in_flight), "cpu_us", what, Bar.AT_MOST_OF_FIRST, 1.25, first=first)


FIGURES = (
    *(figure for in_flight in IN_FLIGHT for figure in _core_figures(in_flight)),
    Figure("verify-held", "held_bytes", "memory a message", Bar.AT_MOST, 300),
    Figure("verify-held", "rss_mb", "memory", Bar.AT_MOST, 350),
    Figure("verify-pause", "pause_ms", "longest call, CPU", Bar.AT_MOST, 20),
    Figure("verify-pause", "pause_wall_ms", "longest call, clock"),
    Figure("verify-service", "rate", "messages"),
    Figure("verify-service", "behind_ms", "behind the bridges", Bar.AT_MOST, WINDOW_MS),
    Figure("verify-service", "cpu_us", "CPU a message"),
    Figure("verify-service", "rss_mb", "memory, afterwards"),
)
