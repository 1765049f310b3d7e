# SPDX-License-Identifier: MIT
"""The words in which a benchmark is planned: who takes part, in what, and what must come of it. Types alone."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

from .verification_terms import Verification

if TYPE_CHECKING:
    from collections.abc import Mapping

WINDOW = 1000
DEFAULT_PREFETCH = 10


class Role(Enum):
    """Who takes part."""

    LIMIT = "limit"
    PEER = "peer"
    OURS = "ours"
    #: The bare socket held to the number of messages in flight that the scenario allows.
    NARROW = "narrow"
    #: What ``openssl speed`` reaches on all cores.
    RSA = "rsa"


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
    VERIFY = "verify"
    SIGN = "sign"


class Load(Enum):
    """What a bridge is given to do."""

    #: ZeroMQ to AMQP, more than it can take at once.
    BURST = "burst"
    #: ZeroMQ to AMQP, as much as it takes with ease.
    PACED = "paced"
    #: ZeroMQ to AMQP, from a spool that was filled before.
    BACKLOG = "backlog"
    #: AMQP to ZeroMQ, from a queue that was filled before.
    OUTWARD = "outward"


@dataclass(frozen=True)
class Crossing:
    """One bridge at work, as a process of its own.

    ``count`` and ``warm_up`` are messages; a warm-up is never shortened. ``publishers`` is the number of sockets that
    it listens to, ``rate`` what these send in a second (0: all they can), ``held`` how many messages each of them keeps
    for a subscriber that is slow (0: all, which is fedmsg's default), ``signed`` whether signatures are checked
    or made.
    """

    load: Load
    count: int
    warm_up: int
    publishers: int = 1
    rate: int = 0
    held: int = 0
    signed: bool = False

    def shortened(self, divisor: int) -> Crossing:
        """The same with fewer messages."""
        return replace(self, count=self.count // divisor)


Contestant = Task | Probe | Crossing | Verification


@dataclass(frozen=True)
class Scenario:
    """One comparison. Its contestants run in the order given, round after round: the limit next to ours.

    ``rounds`` is how often it is measured at most.
    """

    name: str
    title: str
    contestants: Mapping[Role, Contestant]
    prefetch: int = DEFAULT_PREFETCH
    rounds: int | None = None

    @property
    def of_bridges(self) -> bool:
        """Whether bridges are compared here, and not libraries."""
        return isinstance(self.contestants[Role.OURS], Crossing)

    @property
    def of_verifier(self) -> bool:
        """Whether it is the verifier that is measured."""
        return isinstance(self.contestants[Role.OURS], Verification)


class Bar(Enum):
    """What a bound holds ours against."""

    AT_MOST = "at most"
    AT_LEAST = "at least"
    AT_MOST_OF_LIMIT = "at most, times the limit"
    AT_LEAST_OF_LIMIT = "at least, times the limit"
    AT_LEAST_OF_LOWER = "at least, times the limit or RSA, whichever is lower"
    AT_MOST_OF_PEER = "at most, times the peer"
    AT_MOST_OF_FIRST = "at most, times ours in another scenario"


@dataclass(frozen=True)
class Figure:
    """One number that a scenario yields, and the bound on it, if there is one.

    ``peer_scenario`` is where the peer's value comes from when it cannot do this: what its users do instead.
    ``first`` is the other scenario that ``AT_MOST_OF_FIRST`` compares with.
    """

    scenario: str
    key: str
    what: str
    bar: Bar | None = None
    bound: float = 0.0
    peer_scenario: str | None = None
    first: str | None = None


def bare_publish(window: int = WINDOW, kind: str = "") -> Task:
    """The limit of publishing, with at most ``window`` messages unconfirmed.

    ``kind`` is ``bridged`` or ``signed`` for messages as a bridge publishes them, with more headers.
    """
    return Task("bare", 20_000, WINDOW, options={"task": "publish", "window": window, "kind": kind})
