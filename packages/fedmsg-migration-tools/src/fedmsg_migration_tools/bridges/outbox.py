# SPDX-License-Identifier: MIT
"""What was received and is not settled yet, in order: in memory up to a bound, on disk beyond it.

No socket, no broker, no event loop: whoever publishes asks for what is next, and says what became of it. The rules:

* Messages are handed out in the order of their positions, except those that were put off.
* What is on disk is removed only when it is settled, so whatever a crash takes from memory comes again.
* While messages wait on disk, new ones go behind them, to disk.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from ..exceptions import SpoolFull
from ..spool import Entry

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..spool import Spool

__all__ = ["Item", "Outbox"]

_REFILL = 500  # messages read from the spool at a time
_APPEND = 500  # messages secured at a time: on a disk that is nearly full, as many as it takes
_REMOVE = 500  # settled ones removed from it at a time
_HELD = 4096  # messages that may be put off in memory while the disk is full


class Item:
    """One message on its way.

    ``spooled`` says that it is on disk as well; ``attempts`` counts how often it was put off; ``since`` is when it
    was received, in the clock of :meth:`Outbox.take`.
    """

    __slots__ = ("attempts", "entry", "since", "size", "spooled")

    def __init__(self, entry: Entry, since: float, *, spooled: bool) -> None:
        self.entry = entry
        self.since = since
        self.spooled = spooled
        self.size = sum(map(len, entry.frames))
        self.attempts = 0

    @property
    def position(self) -> int:
        """Its place in the order of arrival."""
        return self.entry.position


class Outbox:
    """Messages between their arrival and their confirm.

    Arguments:
        spool: what is on disk already is handed out first.
        capacity: messages in memory, at most.
        capacity_bytes: bytes of these; one message of any size always fits.
        durable: write each message to disk before it is handed out.
    """

    def __init__(self, spool: Spool, capacity: int, capacity_bytes: int, *, durable: bool = False) -> None:
        self._spool = spool
        self._capacity = capacity
        self._capacity_bytes = capacity_bytes
        self._durable = durable
        self._ready: deque[Item] = deque()  # in memory, to be handed out
        self._out: dict[int, Item] = {}  # handed out and not settled, by position
        self._bytes = 0
        self._unsecured = 0  # messages that are in memory only
        self._settled: list[int] = []  # to be removed from the spool
        self._attempts: dict[int, int] = {}  # of those put off
        self._returned: set[int] = set()  # put off on disk, and in memory again
        self._parked: list[tuple[float, Item]] = []  # put off while the disk was full
        self._cursor = 0  # all that is on disk up to here is, or was, in memory
        self._last_spooled = spool.last_position
        self.last_position = spool.last_position

    # what comes in

    def take(self, frames: Iterable[Sequence[bytes]], received: float, since: float) -> None:
        """Take messages that have arrived, in order; each gets its position.

        Arguments:
            frames: of each message, its frames.
            received: when, in seconds since the epoch.
            since: the same by a clock that never goes back.

        Raises ``SpoolFull`` when they have to go to disk and cannot: then none of them was taken.
        """
        first = self.last_position + 1
        # A microsecond apart, so that two that are alike can be told from each other, in quarantine for one.
        entries = [Entry(first + n, received + n / 1e6, tuple(parts)) for n, parts in enumerate(frames)]
        if not entries:
            return
        direct = not self._behind and self._fits(entries)
        if self._durable or not direct:
            self._spool.append(entries)
            self._last_spooled = entries[-1].position
        self.last_position = entries[-1].position
        if direct:
            self._cursor = self.last_position
            self._ready.extend(self._counted(entries, since, spooled=self._durable))

    def _fits(self, entries: Sequence[Entry]) -> bool:
        held = len(self._ready) + len(self._out) + len(self._parked)
        if not held:
            return True
        size = sum(len(frame) for entry in entries for frame in entry.frames)
        return held + len(entries) <= self._capacity and self._bytes + size <= self._capacity_bytes

    def _counted(self, entries: Iterable[Entry], since: float, *, spooled: bool) -> list[Item]:
        items = [Item(entry, since, spooled=spooled) for entry in entries]
        self._unsecured += 0 if spooled else len(items)
        self._bytes += sum(item.size for item in items)
        return items

    @property
    def _behind(self) -> bool:
        """Whether there are messages on disk that have not been in memory yet."""
        return self._last_spooled > self._cursor

    # what goes out

    def next(self, limit: int, now: float, since: float) -> list[Item]:
        """Up to ``limit`` messages to publish now; each is settled or put off later.

        ``now`` is in seconds since the epoch, ``since`` by the clock that never goes back.
        """
        items = self._due(limit, now, since)
        while len(items) < limit and (self._ready or self._refill(since)):
            items.append(self._ready.popleft())
        for item in items:
            self._out[item.position] = item
        return items

    def _refill(self, since: float) -> bool:
        """Read on from the spool."""
        if not self._behind or len(self._out) >= self._capacity:
            return False
        if self._settled:
            self.flush()
        entries = self._spool.read(self._cursor, min(_REFILL, self._capacity))
        if not entries:
            self._cursor = self._last_spooled
            return False
        self._cursor = entries[-1].position
        self._ready.extend(self._counted(entries, since, spooled=True))
        return True

    def _due(self, limit: int, now: float, since: float) -> list[Item]:
        """Those whose time has come."""
        due = [item for when, item in self._parked if when <= now][:limit]
        if due:
            gone = {item.position for item in due}
            self._parked = [(when, item) for when, item in self._parked if item.position not in gone]
        if self._spool.deferred and len(due) < limit:
            self.flush()  # what is settled must not be found again
            entries = self._spool.due(now, limit + len(self._returned))  # which still has those
            entries = [entry for entry in entries if entry.position not in self._returned]
            fresh = self._counted(entries[: limit - len(due)], since, spooled=True)
            for item in fresh:
                item.attempts = self._attempts.get(item.position, 1)
                self._returned.add(item.position)
            due += fresh
        return due

    # what became of it

    def settled(self, item: Item) -> None:
        """It is confirmed, or was dropped on purpose: it is forgotten."""
        if self._out.pop(item.position, None) is None:
            return
        self._bytes -= item.size
        self._attempts.pop(item.position, None)
        self._returned.discard(item.position)
        if not item.spooled:
            self._unsecured -= 1
        else:
            self._settled.append(item.position)
            if len(self._settled) >= _REMOVE:
                self.flush()

    def put_off(self, item: Item, due: float, reason: str) -> None:
        """It cannot go now, while others can: hand it out again at ``due`` (seconds since the epoch)."""
        if self._out.pop(item.position, None) is None:
            return
        item.attempts += 1
        try:
            self._secure([item])
            self._spool.defer([item.position], due, reason)
        except SpoolFull:
            if len(self._parked) < _HELD:
                self._parked.append((due, item))
            else:
                self._ready.appendleft(item)
            return
        self._attempts[item.position] = item.attempts
        self._returned.discard(item.position)
        self._bytes -= item.size

    def rewind(self) -> None:
        """All that is handed out and not settled is to be handed out again, in order, before anything else."""
        again = sorted(self._out.values(), key=lambda item: item.position)
        self._out.clear()
        self._ready.extendleft(reversed(again))

    # to disk

    def secure(self, before: float = float("inf")) -> int:
        """Write to disk what is in memory only and was received before then; how many that were.

        ``before`` is by the clock that never goes back. Raises ``SpoolFull``.
        """
        return self._secure(
            [
                item
                for group in (self._out.values(), self._ready, [item for _, item in self._parked])
                for item in group
                if not item.spooled and item.since < before
            ]
        )

    def _secure(self, items: list[Item]) -> int:
        missing = sorted((item for item in items if not item.spooled), key=lambda item: item.position)
        for start in range(0, len(missing), _APPEND):
            some = missing[start : start + _APPEND]
            self._spool.append([item.entry for item in some])
            for item in some:
                item.spooled = True
            self._unsecured -= len(some)
        return len(missing)

    def flush(self) -> None:
        """Remove from disk what is settled."""
        settled, self._settled = self._settled, []
        if settled:
            self._spool.remove(settled)

    @property
    def oldest(self) -> float | None:
        """Since when the oldest message waits that is out, by the clock that never goes back."""
        return next((item.since for item in self._out.values()), None)

    @property
    def in_memory(self) -> int:
        """Messages held in memory."""
        return len(self._ready) + len(self._out) + len(self._parked)

    @property
    def unsecured(self) -> int:
        """Messages that are in memory only."""
        return self._unsecured

    @property
    def waiting(self) -> int:
        """All messages that are not settled; may be asked for in any thread."""
        return self._unsecured + max(0, self._spool.messages - len(self._settled))
