# SPDX-License-Identifier: MIT
"""What was published and who had it: the arithmetic. Nothing here starts a program or reads a clock.

Messages are counted by name, not by number, so one that is missing is not made up for by another that came twice.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

STRAIGHT, BRIDGE = "straight", "bridge"


@dataclass(frozen=True, slots=True)
class Account:
    """How one consumer fared.

    ``twice`` counts the times that a message came again, ``changed`` the messages that did not come as they were
    published; ``straight`` and ``bridged`` are the arrivals on each path.
    """

    consumer: str
    should: int
    had: int
    twice: int = 0
    changed: int = 0
    straight: int = 0
    bridged: int = 0

    @property
    def missing(self) -> int:
        """How many it should have had and has not."""
        return self.should - self.had


class Ledger:
    """Arrivals against departures.

    ``hello`` in a name marks a trial, which is not counted; ``hellos`` says who heard which.
    """

    def __init__(self) -> None:
        self.sent: Counter[str] = Counter()
        self.departures: dict[tuple[str, str], int] = defaultdict(int)
        self.hellos: dict[str, set[str]] = defaultdict(set)
        self._had: dict[str, Counter[str]] = defaultdict(Counter)
        self._ways: dict[str, Counter[str]] = defaultdict(Counter)
        self._checksums: dict[str, int] = {}
        self._changed: Counter[str] = Counter()

    def expect(self, name: str, checksum: int) -> None:
        """The body of the message ``name`` will have this checksum."""
        self._checksums[name] = checksum

    def published(self, publisher: str, over: str, name: str) -> None:
        """``publisher`` has published it, over ZeroMQ or AMQP."""
        if not is_hello(name):
            self.sent[name] += 1
            self.departures[publisher, over] += 1

    def had(self, consumer: str, way: str, checksum: int, name: str) -> None:
        """It arrived at ``consumer``."""
        if is_hello(name):
            self.hellos[consumer].add(name.rstrip("0123456789"))
            return
        self._had[consumer][name] += 1
        self._ways[consumer][way] += 1
        self._changed[consumer] += self._checksums.get(name, checksum) != checksum

    def account(self, consumer: str) -> Account:
        """How it stands with ``consumer``, at this moment."""
        had, ways = self._had[consumer], self._ways[consumer]
        missing = (self.sent - had).total()
        return Account(
            consumer,
            should=self.sent.total(),
            had=self.sent.total() - missing,
            twice=sum(had[name] - count for name, count in self.sent.items() if had[name] > count),
            changed=self._changed[consumer],
            straight=ways[STRAIGHT],
            bridged=ways[BRIDGE],
        )

    def reactions(self, consumer: str, releases: str) -> Account:
        """How it stands with hotness: it should have started one build for each release that ``releases`` published."""
        started = {
            name.removeprefix("started "): count for name, count in self.sent.items() if is_build(name)
        }
        should = sum(count for (publisher, _), count in self.departures.items() if publisher == releases)
        return Account(consumer, should, had=len(started), twice=sum(started.values()) - len(started))

    def over(self, over: str) -> int:
        """How many messages were published over ZeroMQ, or over AMQP."""
        return sum(count for (_, way), count in self.departures.items() if way == over)


def is_hello(name: str) -> bool:
    """Whether it is the name of a trial."""
    return "hello" in name.split(" ")[:2]


def is_build(name: str) -> bool:
    """Whether it is the name of a message of hotness."""
    return name.startswith("started ")


def verdict(accounts: list[Account]) -> tuple[int, str]:
    """The exit code, and the closing sentence: 0 only when messages flowed, and each came to all, as it was."""
    missing = sum(account.missing for account in accounts)
    changed = sum(account.changed for account in accounts)
    twice = sum(account.twice for account in accounts)
    if not accounts or not all(account.should for account in accounts):
        return 1, "Nothing was published."
    again = f" {twice:,} came more than once." if twice else ""
    if missing or changed:
        return 1, f"{missing:,} are missing, and {changed:,} came changed.{again}"
    return 0, f"All {accounts[0].should:,} messages arrived everywhere, none is missing.{again}"


def found(faults: set[tuple[str, str]], verdicts: set[tuple[str, str]]) -> tuple[int, str]:
    """The exit code, and the closing sentence, where a bridge did wrong on purpose: 0 only when the verifier found just
    what it did. Both are pairs of a kind and an id.
    """
    kinds = Counter(kind for kind, _ in faults)
    did = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())) or "nothing"
    missed, alarms = len(faults - verdicts), len(verdicts - faults)
    if not faults:
        return 1, "The bridge did nothing wrong: let messages flow for longer."
    if missed or alarms:
        return (
            1,
            f"The bridge did {did}; the verifier missed {missed} of it, and found {alarms} that were not.",
        )
    return 0, f"The bridge did {did}, on purpose, and the verifier found just that."
