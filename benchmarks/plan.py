# SPDX-License-Identifier: MIT
"""What is measured and what must come of it: the scenarios, who takes part with how many messages, the bounds.

Pure data; what is measured of the bridges is in ``plan_bridges``, of the verifier in
``verification_plan``. All contestants of a scenario use the same durable
queue, message, persistence and prefetch; a slower one gets fewer messages, since a rate needs seconds and not numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import plan_bridges, verification_plan
from .terms import DEFAULT_PREFETCH, WINDOW, Bar, Figure, Probe, Role, Scenario, Task, bare_publish

if TYPE_CHECKING:
    from collections.abc import Mapping

THREADS = 16
DEEP_PREFETCH = 500


def _consume(prefetch: int, *, asynchronous: bool, peer: bool) -> Mapping[Role, Task]:
    how = {"asynchronous": asynchronous}
    tasks = {
        Role.PEER: Task("consume", 1_500, 200, True, how),
        Role.LIMIT: Task("bare", 20_000, 1_000, True, {"task": "consume", "prefetch": prefetch}),
        Role.OURS: Task("consume", 20_000, 1_000, True, how),
    }
    return {role: task for role, task in tasks.items() if peer or role is not Role.PEER}


SCENARIOS = (
    Scenario(
        "blocking",
        "publish, one at a time",
        {
            Role.PEER: Task("publish_blocking", 400, 20),
            Role.LIMIT: Task("bare", 1_000, 50, options={"task": "round_trips"}),
            Role.OURS: Task("publish_blocking", 2_000, 50),
        },
    ),
    Scenario(
        "threads",
        f"publish in {THREADS} threads",
        {
            Role.PEER: Task("publish_threads", 800, 160, options={"threads": THREADS}),
            Role.NARROW: bare_publish(THREADS),
            Role.LIMIT: bare_publish(),
            Role.OURS: Task("publish_threads", 8_000, 160, options={"threads": THREADS}),
        },
    ),
    Scenario(
        "many",
        "publish_many",
        {Role.LIMIT: bare_publish(), Role.OURS: Task("publish_many", 20_000, 100)},
    ),
    Scenario(
        "asyncio",
        f"asyncio, {WINDOW:,} tasks",
        {
            Role.LIMIT: bare_publish(),
            Role.OURS: Task("publish_asyncio", 20_000, WINDOW, options={"tasks": WINDOW}),
        },
    ),
    Scenario(
        "consume-plain",
        "consume plain",
        _consume(DEFAULT_PREFETCH, asynchronous=False, peer=True),
    ),
    Scenario(
        "consume-async",
        "consume async",
        _consume(DEFAULT_PREFETCH, asynchronous=True, peer=True),
    ),
    Scenario(
        "consume-plain-deep",
        "consume plain",
        _consume(DEEP_PREFETCH, asynchronous=False, peer=False),
        DEEP_PREFETCH,
    ),
    Scenario(
        "consume-async-deep",
        "consume async",
        _consume(DEEP_PREFETCH, asynchronous=True, peer=False),
        DEEP_PREFETCH,
    ),
    Scenario(
        "import",
        "import the api",
        {Role.PEER: Probe.IMPORT, Role.OURS: Probe.IMPORT},
    ),
    Scenario("help", "fedora-messaging --help", {Role.PEER: Probe.HELP, Role.OURS: Probe.HELP}),
    Scenario("idle", "idle consumer", {Role.PEER: Probe.IDLE, Role.OURS: Probe.IDLE}),
    *plan_bridges.SCENARIOS,
    *verification_plan.SCENARIOS,
)


def _consume_figures(scenario: str, peer_scenario: str | None = None) -> tuple[Figure, Figure]:
    return (
        Figure(scenario, "rate", "messages", Bar.AT_LEAST_OF_LIMIT, 0.5, peer_scenario),
        Figure(scenario, "cpu_us", "CPU a message", Bar.AT_MOST, 60, peer_scenario),
    )


FIGURES = (
    Figure("blocking", "p50_us", "median", Bar.AT_MOST_OF_LIMIT, 1.5),
    Figure("blocking", "cpu_us", "CPU a message", Bar.AT_MOST, 200),
    Figure("threads", "rate", "messages", Bar.AT_LEAST_OF_LIMIT, 0.5),
    Figure("threads", "cpu_us", "CPU a message"),
    Figure("many", "rate", "messages", Bar.AT_LEAST_OF_LIMIT, 0.9, "blocking"),
    Figure("many", "cpu_us", "CPU a message", peer_scenario="blocking"),
    Figure("asyncio", "rate", "messages", Bar.AT_LEAST_OF_LIMIT, 0.9, "threads"),
    Figure("asyncio", "cpu_us", "CPU a message", peer_scenario="threads"),
    *_consume_figures("consume-plain"),
    *_consume_figures("consume-async"),
    *_consume_figures("consume-plain-deep"),
    *_consume_figures("consume-async-deep"),
    Figure("import", "seconds", "time", Bar.AT_MOST_OF_PEER, 0.35),
    Figure("help", "seconds", "time", Bar.AT_MOST_OF_PEER, 0.25),
    Figure("idle", "rss_mb", "resident memory", Bar.AT_MOST, 45),
    *plan_bridges.FIGURES,
    *verification_plan.FIGURES,
)
