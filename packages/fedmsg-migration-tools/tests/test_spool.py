# SPDX-License-Identifier: MIT
"""The spool against a plain dict, against SIGKILL, and against a last write that is cut or garbled."""

import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from fedmsg_migration_tools.exceptions import SpoolFull
from fedmsg_migration_tools.spool import Entry, Spool

PLENTY = 1 << 40
NOW = 1_564_513_942.25


def entry(position: int, size: int = 450) -> Entry:
    body = (b"%d " % position) * size
    return Entry(position, NOW + position, (b"org.example.topic", body[:size]))


def everything(spool: Spool) -> list[Entry]:
    return spool.read(0, 1_000_000, PLENTY)


def test_what_was_appended_comes_back_in_order_and_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "spool.sqlite"
    entries = [
        Entry(3, NOW, (b"topic", b"{}")),
        Entry(7, NOW + 0.5, ()),
        Entry(8, NOW, (b"", b"", b"\x00\xff" * 3000)),
    ]
    spool = Spool(path, PLENTY)
    spool.append(entries)
    assert everything(spool) == entries
    spool.close()
    spool = Spool(path, PLENTY)
    assert everything(spool) == entries
    assert (spool.messages, spool.last_position) == (3, 8)
    assert [file.name for file in tmp_path.iterdir()] == ["spool.sqlite", "spool.sqlite-wal"]
    spool.close()
    assert [file.name for file in tmp_path.iterdir()] == ["spool.sqlite"]


def test_a_batch_is_bounded_by_count_and_by_bytes_but_never_empty(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.sqlite", PLENTY)
    spool.append([entry(position, 1000) for position in range(1, 11)])
    assert [one.position for one in spool.read(0, 3)] == [1, 2, 3]
    assert [one.position for one in spool.read(3, 10, 2500)] == [4, 5]
    assert [one.position for one in spool.read(5, 10, 1)] == [6]
    assert spool.read(10, 10) == []
    spool.close()


def test_the_bound_refuses_the_whole_batch(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.sqlite", 10_000)
    spool.append([entry(position, 1000) for position in range(1, 9)])
    with pytest.raises(SpoolFull, match=r"is full: .* of 10000 bytes"):
        spool.append([entry(9, 1000), entry(10, 1000)])
    assert [one.position for one in everything(spool)] == list(range(1, 9))
    assert spool.last_position == 8
    spool.remove([1, 2])
    spool.append([entry(9, 1000), entry(10, 1000)])
    assert spool.messages == 8
    spool.close()


def test_deferred_messages_come_when_due_the_earliest_first_and_outlive_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "spool.sqlite"
    spool = Spool(path, PLENTY)
    spool.append([entry(position) for position in range(1, 7)])
    spool.defer([5, 2], NOW + 60, "queue full")
    spool.defer([3], NOW + 30, "queue full")
    assert [one.position for one in everything(spool)] == [1, 4, 6]
    spool.close()
    spool = Spool(path, PLENTY)
    assert (spool.messages, spool.deferred) == (6, 3)
    assert spool.due(NOW + 29, 10) == []
    assert spool.due(NOW + 60, 10) == [entry(3), entry(2), entry(5)]
    assert spool.due(NOW + 60, 1) == [entry(3)]
    spool.defer([3], NOW + 90, "again")
    assert [one.position for one in spool.due(NOW + 60, 10)] == [2, 5]
    spool.remove([2, 3, 5])
    assert (spool.messages, spool.deferred) == (3, 0)
    spool.close()


def test_a_file_that_has_drained_is_small_however_often(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.sqlite", PLENTY)
    sizes = []
    for cycle in range(12):
        first = cycle * 15_000 + 1
        positions = range(first, first + 15_000)
        spool.append([entry(position) for position in positions])
        full = sum(file.stat().st_size for file in tmp_path.iterdir())
        for start in range(0, 15_000, 500):
            spool.remove(positions[start : start + 500])
        assert spool.messages == spool.bytes == 0
        sizes.append(sum(file.stat().st_size for file in tmp_path.iterdir()))
    assert full > 6_000_000 + max(sizes)
    assert sizes[-1] <= sizes[1]
    spool.close()
    assert (tmp_path / "spool.sqlite").stat().st_size < 4_300_000


class Model(RuleBasedStateMachine):
    """The same operations on a spool and on two dicts, with restarts in between."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp()
        self.path = Path(self.folder) / "spool.sqlite"
        self.spool = Spool(self.path, PLENTY)
        self.waiting: dict[int, Entry] = {}
        self.deferred: dict[int, tuple[float, Entry]] = {}
        self.last = 0

    positions = st.lists(st.integers(1, 60), max_size=20)

    @rule(positions=positions, size=st.sampled_from([0, 30, 450, 9000]))
    def append(self, positions: list[int], size: int) -> None:
        self.spool.append([entry(position, size) for position in positions])
        for position in positions:
            if position not in self.deferred:
                self.waiting.setdefault(position, entry(position, size))
            self.last = max(self.last, position)

    @rule(count=st.integers(1, 400))
    def append_next(self, count: int) -> None:
        entries = [entry(self.last + 1 + number) for number in range(count)]
        self.spool.append(entries)
        self.waiting.update((one.position, one) for one in entries)
        self.last += count

    @rule(positions=positions)
    def remove(self, positions: list[int]) -> None:
        self.spool.remove(positions)
        for position in positions:
            self.waiting.pop(position, None)
            self.deferred.pop(position, None)

    @rule(count=st.integers(1, 700))
    def remove_first(self, count: int) -> None:
        positions = sorted(self.waiting)[:count]
        self.spool.remove(positions)
        for position in positions:
            del self.waiting[position]

    @rule(positions=positions, due=st.integers(0, 5))
    def defer(self, positions: list[int], due: int) -> None:
        self.spool.defer(positions, due, "refused")
        for position in positions:
            if position in self.waiting:
                self.deferred[position] = (due, self.waiting.pop(position))
            elif position in self.deferred:
                self.deferred[position] = (due, self.deferred[position][1])

    @rule(now=st.integers(-1, 6), limit=st.integers(1, 30))
    def due(self, now: int, limit: int) -> None:
        expected = sorted((due, one.position, one) for due, one in self.deferred.values() if due <= now)
        assert self.spool.due(now, limit) == [one for _, _, one in expected[:limit]]

    @rule(after=st.integers(0, 70), limit=st.integers(1, 30))
    def read(self, after: int, limit: int) -> None:
        expected = [one for position, one in sorted(self.waiting.items()) if position > after]
        assert self.spool.read(after, limit) == expected[:limit]

    @rule()
    def restart(self) -> None:
        self.spool.close()
        self.spool = Spool(self.path, PLENTY)

    @invariant()
    def totals(self) -> None:
        entries = [*self.waiting.values(), *(one for _, one in self.deferred.values())]
        assert self.spool.messages == len(entries)
        assert self.spool.deferred == len(self.deferred)
        assert self.spool.last_position == self.last
        overhead = self.spool.bytes - sum(len(frame) for one in entries for frame in one.frames)
        assert overhead == 28 * len(entries)

    def teardown(self) -> None:
        assert everything(self.spool) == [one for _, one in sorted(self.waiting.items())]
        self.spool.close()
        shutil.rmtree(self.folder)


Model.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
test_whatever_is_asked_of_it_it_does_as_the_model_does = Model.TestCase


BACKLOG = """
import sys
from pathlib import Path
from fedmsg_migration_tools.spool import Entry, Spool

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

spool = Spool(Path(sys.argv[1]), 1 << 40)
spool.append([Entry(1, 1.5, (b"topic", b"x" * 450))])
before = resident()
for first in range(2, 100_000, 500):
    spool.append([Entry(first + n, 1.5, (b"topic", b"x" * 450)) for n in range(500)])
after = 0
while batch := spool.read(after, 500):
    after = batch[-1].position
    spool.remove([one.position for one in batch])
print(resident() - before)
"""


def test_memory_does_not_grow_with_the_backlog(tmp_path: Path) -> None:
    command = [sys.executable, "-c", BACKLOG, str(tmp_path / "spool.sqlite")]
    grown = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert grown < 8_000_000  # of a backlog of 45 MB


WRITER = """
import sys
from pathlib import Path
from fedmsg_migration_tools.spool import Entry, Spool
spool = Spool(Path(sys.argv[1]), 1 << 40)
position = spool.last_position
while True:
    spool.append([Entry(position + n, 1.5, (b"topic", b"%d" % (position + n) * 90)) for n in range(1, 8)])
    position += 7
    if position % 5 == 0:
        spool.remove(range(position - 6, position - 3))
    print(position, flush=True)
"""


def removed(last: int) -> set[int]:
    return {one for end in range(35, last + 1, 35) for one in range(end - 6, end - 3)}


@pytest.mark.parametrize("lines", [1, 40, 700])
def test_what_a_killed_process_has_reported_is_there(tmp_path: Path, lines: int) -> None:
    path = tmp_path / "spool.sqlite"
    with subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout
        for _ in range(lines):
            writer.stdout.readline()
        writer.kill()
        reported = int((["0", *writer.stdout.read().split("\n")[:-1]])[-1]) or lines * 7
    spool = Spool(path, PLENTY)
    entries = everything(spool)
    there = [one.position for one in entries]
    assert there == sorted(there)
    assert set(range(1, reported + 1)) - removed(reported) <= set(there)
    assert not removed(reported) & set(there)
    assert all(one.frames[1] == b"%d" % one.position * 90 for one in entries)
    assert spool.messages == len(entries)
    assert spool.bytes == sum(28 + sum(map(len, one.frames)) for one in entries)
    spool.append([entry(spool.last_position + 1)])
    spool.close()


def state(path: Path) -> tuple[bytes, bytes]:
    return path.read_bytes(), path.with_name(path.name + "-wal").read_bytes()


def last_write(before: bytes, after: bytes) -> range:
    """Where two states of a file differ, from the first such byte to the last."""
    size = max(len(before), len(after))
    before, after = before.ljust(size, b"\0"), after.ljust(size, b"\0")
    first = next(
        place for place in range(0, size, 4096) if before[place : place + 4096] != after[place : place + 4096]
    )
    last = next(
        place
        for place in range(size, 0, -4096)
        if before[max(place - 4096, 0) : place] != after[max(place - 4096, 0) : place]
    )
    while before[first] == after[first]:
        first += 1
    while before[last - 1] == after[last - 1]:
        last -= 1
    return range(first, last)


@pytest.fixture
def memory_folder() -> Iterator[Path]:
    """A folder in memory where there is one, for hundreds of files that need not reach a disk."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


@pytest.mark.parametrize("round_of_the_log", [1, 2])
def test_no_cut_of_the_last_write_takes_what_was_written_before(
    memory_folder: Path, round_of_the_log: int
) -> None:
    """In the first round the log is new; in the second, frames of the first lie behind the last write."""
    chance = random.Random(20190730)
    path = memory_folder / "spool.sqlite"
    spool = Spool(path, PLENTY)
    position = 0
    if round_of_the_log == 2:
        spool.append([entry(number) for number in range(1, 601)])
        spool.remove(range(1, 500))
        spool._database.checkpoint()
        position = 600
    for batch in (1, 5, 40):
        entries = [entry(position + 1 + number, chance.choice((30, 450, 6000))) for number in range(batch)]
        before, expected = state(path), everything(spool)
        spool.append(entries)
        position += batch
        after = state(path)
        assert before[0].rstrip(b"\0") == after[0].rstrip(b"\0")  # only the log was written
        written = last_write(before[1], after[1])
        frames = range(written.start, written.stop, 4120)  # a page and its header of 24 bytes
        cuts = {place + step for place in frames for step in (-1, 0, 1, 23, 24, 25)} | {written.stop - 1}
        cuts |= {chance.choice(written) for _ in range(25)}
        cuts &= set(written)
        for cut in [*chance.sample(sorted(cuts), min(len(cuts), 60)), written.start]:
            for tail in (b"", b"\0" * (written.stop - cut), chance.randbytes(written.stop - cut)):
                behind = after[1][written.stop :] if tail else b""
                spoiled = memory_folder / "spoiled" / "spool.sqlite"
                spoiled.parent.mkdir()
                spoiled.write_bytes(after[0])
                spoiled.with_name("spool.sqlite-wal").write_bytes((after[1][:cut] + tail + behind)[:700_000])
                again = Spool(spoiled, PLENTY)
                assert again.set_aside is None
                assert everything(again) in (expected, expected + entries)
                assert again.messages == len(everything(again))
                again.append([entry(position + 1)])
                again.close()
                shutil.rmtree(spoiled.parent)
    spool.close()
