# SPDX-License-Identifier: MIT
"""Where messages are kept while their fate is open, and a while after: columns of numbers and 256 small dicts.

Pure. A *unit* is one message that was seen at one end of a leg and must be seen at the other; it has a slot, an index
into the columns. Units with the same key form a chain, the oldest first; and each unit is in one queue, in order of
time. So nothing is ever searched for, and there is nothing in here that the garbage collector would have to look at.
"""

from __future__ import annotations

from array import array
from enum import IntEnum

__all__ = ["AWAITING", "CALLED", "FIRST", "GIVEN_UP", "SETTLED", "State", "Units"]

# Queues, which are slots of their own: circles of `before` and `after`. 0 and 1 are the open units of each leg.
# CALLED are those whose verdict a blind time takes back that is only told later.
SETTLED, CALLED, GIVEN_UP, AWAITING = 2, 3, 4, 5
#: The first slot that is a unit. No chain has a slot below, so 0 ends it.
FIRST = 6

_GROW = 4096  # slots made at a time


class State(IntEnum):
    """Of a unit; the column has twice this, plus the leg."""

    FREE = 0
    SENT = 1  # at the origin, not yet at the far end
    AHEAD = 2  # at the far end, not yet at the origin
    SET_ASIDE = 3  # in quarantine, not yet at the origin
    MATCHED = 4
    LOST = 5
    UNVERIFIABLE = 6  # seen at the origin
    UNSEEN = 7  # unverifiable; not seen at the origin
    QUARANTINED = 8
    QUARANTINED_UNSEEN = 9  # not seen at the origin, so nobody knows its digest
    SURPLUS = 10  # a copy that nobody sent
    CHANGED = 11  # matched, but with another digest


class Units:
    """The columns, by slot.

    Attributes:
        state: twice :class:`State`, plus the leg.
        digest: of the content, 64 bits.
        at: when it was first seen.
        changed_at: when it got into the queue that it is in.
        number: what its sender counted, or -1.
        carriers: a bit for each bridge that carried it.
        application, source: numbers that stand for names.
        more: the next slot with the same key, or 0.
        before, after: the neighbours in the queue.
        sizes: units in each queue.
    """

    __slots__ = (
        "_free",
        "_fresh",
        "_keys",
        "after",
        "application",
        "at",
        "before",
        "carriers",
        "changed_at",
        "digest",
        "more",
        "number",
        "shards",
        "sizes",
        "source",
        "state",
    )

    def __init__(self) -> None:
        self.shards: list[dict[bytes, int]] = [{} for _ in range(256)]
        self.state = bytearray()
        self._keys = bytearray()
        self.digest, self.number = array("Q"), array("q")
        self.at, self.changed_at = array("d"), array("d")
        self.carriers, self.application, self.source = array("H"), array("H"), array("H")
        self.more, self.before, self.after = array("I"), array("I"), array("I")
        self.sizes = [0] * FIRST
        self._free, self._fresh = 0, FIRST
        self._grow()
        for queue in range(FIRST):
            self.before[queue] = self.after[queue] = queue

    def shard(self, key: bytes) -> dict[bytes, int]:
        """The dict that has the key. Bits of the hash choose it, since ids may be made up to look alike."""
        return self.shards[hash(key) >> 40 & 255]

    def add(
        self,
        key: bytes,
        state: int,
        digest: int,
        at: float,
        application: int,
        source: int,
        number: int,
        bits: int,
    ) -> int:
        """A new unit, the last of its chain and of its leg's queue; ``state`` has the leg in its lowest bit."""
        before, after = self.before, self.after
        slot = self._free
        if slot:
            self._free = after[slot]
        else:
            slot = self._fresh
            if slot == len(self.state):
                self._grow()
            self._fresh = slot + 1
        self.state[slot] = state
        self.digest[slot] = digest
        self.at[slot] = at
        self.application[slot] = application
        self.source[slot] = source
        self.number[slot] = number
        self.carriers[slot] = bits
        self.more[slot] = 0
        self._keys[slot * 16 : slot * 16 + 16] = key
        head = self.shards[hash(key) >> 40 & 255].setdefault(key, slot)
        if head != slot:
            self._chain(head, slot)
        queue = state & 1
        last = before[queue]
        after[last] = slot
        before[slot] = last
        after[slot] = queue
        before[queue] = slot
        self.sizes[queue] += 1
        return slot

    def move(self, slot: int, queue: int, to: int, at: float) -> None:
        """Take it out of one queue and put it at the end of another."""
        before, after = self.before, self.after
        left, right = before[slot], after[slot]
        after[left] = right
        before[right] = left
        last = before[to]
        after[last] = slot
        before[slot] = last
        after[slot] = to
        before[to] = slot
        self.changed_at[slot] = at
        sizes = self.sizes
        sizes[queue] -= 1
        sizes[to] += 1

    def remove(self, slot: int, queue: int) -> None:
        """Forget it."""
        before, after = self.before, self.after
        left, right = before[slot], after[slot]
        after[left] = right
        before[right] = left
        self.sizes[queue] -= 1
        key = self.key(slot)
        shard = self.shards[hash(key) >> 40 & 255]
        head, following = shard[key], self.more[slot]
        if head != slot:
            self._unchain(head, slot, following)
        elif following:
            shard[key] = following
        else:
            del shard[key]
        self.state[slot] = 0
        after[slot] = self._free
        self._free = slot

    def key(self, slot: int) -> bytes:
        """What the unit's message is known by."""
        return bytes(self._keys[slot * 16 : slot * 16 + 16])

    def chain(self, key: bytes) -> list[int]:
        """All units with this key, the oldest first."""
        slot = self.shard(key).get(key, 0)
        slots = []
        while slot:
            slots.append(slot)
            slot = self.more[slot]
        return slots

    def _chain(self, head: int, slot: int) -> None:
        more = self.more
        while more[head]:
            head = more[head]
        more[head] = slot

    def _unchain(self, head: int, slot: int, following: int) -> None:
        more = self.more
        while more[head] != slot:
            head = more[head]
        more[head] = following

    def _grow(self) -> None:
        """Longer columns. What they have stays where it is: large pieces of memory are moved by their page table."""
        self.state.extend(bytes(_GROW))
        self._keys.extend(bytes(_GROW * 16))
        for name in _COLUMNS:
            column = getattr(self, name)
            column.frombytes(bytes(_GROW * column.itemsize))


_COLUMNS = (
    "digest",
    "number",
    "at",
    "changed_at",
    "carriers",
    "application",
    "source",
    "more",
    "before",
    "after",
)
