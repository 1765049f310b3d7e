# SPDX-License-Identifier: MIT
"""What is measured and what must come of it: the scenarios, who takes part with how many messages, the bounds.

Pure data. All contestants of a scenario use the same durable queue, message, persistence and prefetch; a slower
one gets fewer messages, since a rate needs seconds and not numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

WINDOW = 1000
THREADS = 16
DEFAULT_PREFETCH = 10
DEEP_PREFETCH = 500


class Role(Enum):
    """Who takes part."""

    LIMIT = "limit"
    PEER = "peer"
    OURS = "ours"
    #: The bare socket held to the number of messages in flight that the scenario allows.
    NARROW = "narrow"


@dataclass(frozen=True)
class Task:
    """One process to run: a module of ``contestants`` and its options.

    ``count`` and ``warm_up`` are messages; a warm-up is never shortened. ``consumes`` tells a task that empties the
    queue from one that fills it.
    """

    module: str
    count: int
    warm_up: int = 0
    consumes: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    def shortened(self, divisor: int) -> Task:
        """The same task with fewer messages."""
        return replace(self, count=self.count // divisor)


class Probe(Enum):
    """What is measured of a process from outside, without messages."""

    IMPORT = "import"
    HELP = "help"
    IDLE = "idle"


@dataclass(frozen=True)
class Scenario:
    """One comparison. Its contestants run in the order given, round after round: the limit next to ours."""

    name: str
    title: str
    contestants: Mapping[Role, Task | Probe]
    prefetch: int = DEFAULT_PREFETCH


def _bare_publish(window: int = WINDOW) -> Task:
    return Task("bare", 20_000, WINDOW, options={"task": "publish", "window": window})


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
            Role.NARROW: _bare_publish(THREADS),
            Role.LIMIT: _bare_publish(),
            Role.OURS: Task("publish_threads", 8_000, 160, options={"threads": THREADS}),
        },
    ),
    Scenario(
        "many",
        "publish_many",
        {Role.LIMIT: _bare_publish(), Role.OURS: Task("publish_many", 20_000, 100)},
    ),
    Scenario(
        "asyncio",
        f"asyncio, {WINDOW:,} tasks",
        {
            Role.LIMIT: _bare_publish(),
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
)


class Bar(Enum):
    """What a bound holds ours against."""

    AT_MOST = "at most"
    AT_MOST_OF_LIMIT = "at most, times the limit"
    AT_LEAST_OF_LIMIT = "at least, times the limit"
    AT_MOST_OF_PEER = "at most, times the peer"


@dataclass(frozen=True)
class Figure:
    """One number that a scenario yields, and the bound on it, if there is one.

    ``peer_scenario`` is where the peer's value comes from when it cannot do this: what its users do instead.
    """

    scenario: str
    key: str
    what: str
    bar: Bar | None = None
    bound: float = 0.0
    peer_scenario: str | None = None


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
)
