# SPDX-License-Identifier: MIT
"""The outbox against whatever arrives, is refused, and crashes: nothing is lost, nothing goes twice, order is kept."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fedmsg_migration_tools.bridges.outbox import Item, Outbox
from fedmsg_migration_tools.exceptions import SpoolFull
from fedmsg_migration_tools.spool import Spool

CAPACITY = 6
FRAME = b"x" * 50


class Bridging(RuleBasedStateMachine):
    """A bridge that does what it likes, and a process that ends when it likes."""

    @initialize(durable=st.booleans(), tight=st.booleans())
    def begin(self, durable: bool, tight: bool) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.durable = durable
        self.max_bytes = 60 * len(FRAME) if tight else 2**20
        self.numbers = itertools.count(1)
        self.now = 1000.0
        self.waiting: dict[int, bool] = {}  # number → whether it is on disk; what is neither settled nor lost
        self.out: dict[int, Item] = {}
        self.off: dict[int, float] = {}  # put off until
        self.last = 0  # the highest number that was handed out, since the last time that order was given up
        self.open()

    def open(self) -> None:
        self.spool = Spool(self.folder / "spool.sqlite", self.max_bytes)
        self.outbox = Outbox(self.spool, CAPACITY, 10 * len(FRAME), durable=self.durable)

    def number(self, item: Item) -> int:
        return int(item.entry.frames[0])

    @rule(count=st.integers(1, 9))
    def arrive(self, count: int) -> None:
        before = self.spool.messages
        numbers = [next(self.numbers) for _ in range(count)]
        try:
            self.outbox.take([(b"%d" % n, FRAME) for n in numbers], self.now, self.now)
        except SpoolFull:
            assert self.spool.messages == before
            return
        spooled = self.spool.messages > before
        self.waiting.update(dict.fromkeys(numbers, spooled))

    @rule(limit=st.integers(1, 8))
    def hand_out(self, limit: int) -> None:
        items = self.outbox.next(limit, self.now, self.now)
        assert len(items) <= limit
        for item in items:
            number = self.number(item)
            assert number in self.waiting
            assert number not in self.out
            self.out[number] = item
            if number in self.off:
                assert self.off.pop(number) <= self.now
            else:
                assert number > self.last
                self.last = number
            assert item.entry.frames == (b"%d" % number, FRAME)

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def confirm(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.out)))
        self.outbox.settled(self.out.pop(number))
        del self.waiting[number]

    @precondition(lambda self: self.out)
    @rule(data=st.data(), pause=st.integers(1, 50))
    def refuse(self, data: st.DataObject, pause: int) -> None:
        number = data.draw(st.sampled_from(sorted(self.out)))
        item = self.out.pop(number)
        self.outbox.put_off(item, self.now + pause, "full")
        self.waiting[number] = item.spooled
        self.off[number] = self.now + pause

    @rule()
    def lose_the_broker(self) -> None:
        self.outbox.rewind()
        self.off.update(dict.fromkeys(self.out, 0.0))  # their order among all others is not followed here
        self.out.clear()

    @rule(seconds=st.integers(1, 40))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule(age=st.integers(0, 40))
    def secure(self, age: int) -> None:
        try:
            self.outbox.secure(self.now - age)
        except SpoolFull:
            return
        if age == 0:
            return

    @rule()
    def flush(self) -> None:
        self.outbox.flush()

    @rule()
    def stop_and_start(self) -> None:
        try:
            self.outbox.secure()
        except SpoolFull:
            return  # said, and counted as lost: not followed here
        self.outbox.flush()
        self.restart()
        assert self.spool.messages == len(self.waiting)

    @rule()
    def crash(self) -> None:
        on_disk = {int(entry.frames[0]) for entry in self.spool.read(0, 10_000)}
        on_disk |= {int(entry.frames[0]) for entry in self.spool.due(float("inf"), 10_000)}
        memory_only = self.outbox.unsecured
        assert len(self.waiting.keys() - on_disk) == memory_only
        if self.durable:
            assert memory_only == 0
        self.restart()
        # What was settled, and not removed yet, comes again: at least once.
        self.waiting = dict.fromkeys(on_disk, True)

    def restart(self) -> None:
        self.spool.close()
        self.out.clear()
        self.off = dict.fromkeys(self.off, 0.0)
        self.open()
        self.off = {int(entry.frames[0]): 0.0 for entry in self.spool.due(float("inf"), 10_000)}
        self.last = 0

    @invariant()
    def knows_how_many_wait(self) -> None:
        if hasattr(self, "outbox"):
            assert self.outbox.waiting == len(self.waiting)

    def teardown(self) -> None:
        if not hasattr(self, "outbox"):
            return
        self.outbox.rewind()
        self.now += 10_000
        left = {}
        while items := self.outbox.next(50, self.now, self.now):
            for item in items:
                number = self.number(item)
                assert number not in left
                left[number] = item
                self.outbox.settled(item)
        assert left.keys() == self.waiting.keys()
        self.outbox.flush()
        assert self.outbox.waiting == self.spool.messages == 0
        self.spool.close()
        shutil.rmtree(self.folder)


Bridging.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
test_whatever_happens_nothing_is_lost = Bridging.TestCase


def outbox(folder: Path, capacity: int = 100, *, durable: bool = False, max_bytes: int = 2**20) -> Outbox:
    return Outbox(Spool(folder / "spool.sqlite", max_bytes), capacity, 2**20, durable=durable)


def frames(numbers: range) -> list[tuple[bytes, bytes]]:
    return [(b"topic", b"%d" % n) for n in numbers]


def handed_out(box: Outbox, limit: int = 1000) -> list[int]:
    return [int(item.entry.frames[1]) for item in box.next(limit, 0.0, 0.0)]


def test_what_fits_in_memory_never_touches_the_disk(tmp_path: Path) -> None:
    box = outbox(tmp_path)
    box.take(frames(range(100)), 0.0, 0.0)
    assert box.unsecured == box.in_memory == 100
    assert handed_out(box) == list(range(100))


def test_what_does_not_fit_goes_to_disk_and_comes_back_in_order(tmp_path: Path) -> None:
    box = outbox(tmp_path, capacity=100)
    for start in range(0, 5000, 50):
        box.take(frames(range(start, start + 50)), 0.0, 0.0)
        assert box.in_memory <= 100
    assert box.waiting == 5000
    seen: list[int] = []
    while items := box.next(64, 0.0, 0.0):
        for item in items:
            seen.append(int(item.entry.frames[1]))
            box.settled(item)
        assert box.in_memory <= 200
    assert seen == list(range(5000))
    assert box.waiting == 0


def test_one_message_of_any_size_fits(tmp_path: Path) -> None:
    box = Outbox(Spool(tmp_path / "spool.sqlite", 2**20), 10, 100)
    box.take([(b"topic", b"x" * 5000)], 0.0, 0.0)
    assert box.in_memory == 1
    box.take([(b"topic", b"small")], 0.0, 0.0)
    assert box.in_memory == 1
    assert box.waiting == 2


def test_with_no_room_anywhere_nothing_of_a_batch_is_taken(tmp_path: Path) -> None:
    box = outbox(tmp_path, capacity=10, max_bytes=2000)
    box.take(frames(range(10)), 0.0, 0.0)
    with pytest.raises(SpoolFull):
        box.take([(b"topic", b"x" * 1000)] * 3, 0.0, 0.0)
    assert box.waiting == 10
    assert handed_out(box) == list(range(10))


def test_a_put_off_message_lets_the_others_go_and_comes_when_it_is_due(tmp_path: Path) -> None:
    box = outbox(tmp_path)
    box.take(frames(range(3)), 0.0, 0.0)
    first, *others = box.next(10, 0.0, 0.0)
    box.put_off(first, 5.0, "full")
    assert box.next(10, 4.0, 0.0) == []
    (again,) = box.next(10, 5.0, 0.0)
    assert again.entry == first.entry
    assert again.attempts == 1
    assert box.next(10, 5.0, 0.0) == []
    for item in [again, *others]:
        box.settled(item)
    assert box.waiting == 0
