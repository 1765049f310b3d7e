# SPDX-License-Identifier: MIT
"""What these tests have in common: the real messages, and ways to make messages and files."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from fedmsg_migration_tools.broker.bus.file import check
from fedmsg_migration_tools.broker.learning import fragment, publishers, recordings
from fedmsg_migration_tools.broker.learning.messages import Reader, Sent
from fedmsg_migration_tools.broker.learning.oldbus import OldBus
from fedmsg_migration_tools.broker.learning.proposing import Rules, propose
from fedmsg_migration_tools.broker.learning.publishers import Proof, Publisher
from fedmsg_migration_tools.broker.learning.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fedmsg_migration_tools.broker.bus.shape import Bus
    from fedmsg_migration_tools.broker.learning.proposing import Proposal

REAL = Path(__file__).parents[5] / "tests" / "data" / "real-fedmsg-messages.jsonl"
RULES = Rules("amq.topic")
NOW = 1_700_000_000.0


def real() -> list[Sent]:
    """The 542 real messages."""
    return list(recordings.read(str(REAL), Reader(publishers.unverified), recordings.Notes()))


def sent(topic: str, by: str, proof: Proof = Proof.SIGNED, at: float | None = NOW) -> Sent:
    return Sent(topic, Publisher(by, proof), "2023-an-id", at)


def traffic(messages: Iterable[Sent], most: int = 10_000) -> Traffic:
    seen = Traffic("amq.topic", most)
    for one in messages:
        seen.add(one)
    return seen


def proposed(messages: Iterable[Sent] = (), old: OldBus | None = None, rules: Rules = RULES) -> Proposal:
    return propose(old or OldBus(), traffic(messages), rules)


def written(
    messages: Iterable[Sent] = (), old: OldBus | None = None, rules: Rules = RULES, vhost: str = "/"
) -> str:
    """The fragment."""
    old, seen = old or OldBus(), traffic(messages)
    return fragment.text(propose(old, seen, rules), old, seen, vhost=vhost, notes=[], now=NOW)


def understood(text: str) -> Bus:
    """A file, as ``plan`` and ``apply`` would read it."""
    return check(tomllib.loads(text))


def topics(proposal: Proposal, user: str, exchange: str = "amq.topic") -> list[str]:
    """What it lets the user publish."""
    return sorted(proposal.accounts[user].publish.get(exchange, {}))
