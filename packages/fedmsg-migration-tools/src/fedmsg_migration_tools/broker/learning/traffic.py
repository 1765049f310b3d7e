# SPDX-License-Identifier: MIT
"""Who published what, counted: bounded, since names and topics come from messages. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .messages import Sent
    from .publishers import Proof

__all__ = ["MOST", "Tally", "Traffic", "Way"]

#: Different ways that are counted: for these a command needs some 150 MB.
MOST = 50_000


class Way(NamedTuple):
    """What somebody publishes: by whom, to which exchange, with which topic."""

    publisher: str
    exchange: str
    topic: str


@dataclass(slots=True)
class Tally:
    """How often, from when to when (seconds since the epoch, as the messages say), an example's id, by which proofs."""

    count: int = 0
    first: float | None = None
    last: float | None = None
    example: str = ""
    proofs: set[Proof] = field(default_factory=set)

    @property
    def is_claim(self) -> bool:
        """Whether nothing but the messages' own word says who sent them."""
        return all(proof.is_claim for proof in self.proofs)


class Traffic:
    """All that was seen.

    Arguments:
        exchange: where what a recording has was published to, unless it says so itself.
        most: different ways that are kept; further ones are only counted.
    """

    def __init__(self, exchange: str, most: int = MOST) -> None:
        self._exchange = exchange
        self._most = most
        self.tallies: dict[Way, Tally] = {}
        self.messages = 0
        self.left_out = 0

    def add(self, sent: Sent) -> None:
        """Count a message."""
        self.messages += 1
        exchange = self._exchange if sent.exchange is None else sent.exchange
        way = Way(sent.publisher.name, exchange, sent.topic)
        tally = self.tallies.get(way)
        if tally is None:
            if len(self.tallies) >= self._most:
                self.left_out += 1
                return
            tally = self.tallies[way] = Tally(example=sent.message_id)
        tally.count += 1
        tally.proofs.add(sent.publisher.proof)
        if sent.at is not None:
            tally.first = sent.at if tally.first is None else min(tally.first, sent.at)
            tally.last = sent.at if tally.last is None else max(tally.last, sent.at)
