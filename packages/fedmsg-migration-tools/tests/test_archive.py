# SPDX-License-Identifier: MIT
"""The archive: what it answers, what it forgets, and numbers that only rise."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedmsg_migration_tools.archive import Archive, Record
from fedmsg_migration_tools.exceptions import ToolsError
from fedmsg_migration_tools.fedmsg import replay

NOW = 1_564_513_942.0


class Clock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def archive(tmp_path: Path, clock: Clock) -> Iterator[Archive]:
    archive = Archive(tmp_path / "archive.sqlite", 1000, 3600.0, clock=clock)
    yield archive
    archive.close()


def fill(archive: Archive, count: int, size: int = 10) -> list[Record]:
    records = []
    for number in range(count):
        seq_id = archive.next_seq()
        envelope = b'{"seq_id":%d,"msg":"%s"}' % (seq_id, b"x" * size)
        records.append(Record(seq_id, f"2019-{number}", NOW + number, "org.example.topic", envelope))
    archive.add(records)
    return records


def ask(archive: Archive, **query: object) -> list[bytes]:
    return archive.answer(json.dumps(query).encode())


def test_each_form_of_request_finds_what_it_names_in_order(archive: Archive) -> None:
    records = fill(archive, 30)
    first = records[0].seq_id
    sent = [record.envelope for record in records]
    assert ask(archive, seq_id=first + 5) == [sent[5]]
    assert ask(archive, seq_ids=[first + 9, first + 2, first + 9, 1]) == [sent[2], sent[9]]
    assert ask(archive, seq_id_range=[first + 10, first + 20]) == sent[10:21]
    assert ask(archive, seq_id_range=[0, first + 1]) == sent[:2]
    assert ask(archive, msg_id="2019-7") == [sent[7]]
    assert ask(archive, msg_ids=["2019-8", "2019-3", "2018-1"]) == [sent[3], sent[8]]
    assert ask(archive, time=[NOW + 3, NOW + 5]) == sent[3:6]
    assert ask(archive, time=[NOW + 3.5, NOW + 5.5]) == sent[4:6]
    assert ask(archive, msg_id="2019-7", seq_id=first) == [sent[0], sent[7]]


def test_what_is_not_there_and_what_is_no_request_are_told_apart(archive: Archive) -> None:
    fill(archive, 3)
    assert ask(archive, msg_id="2018-1") == replay.error("no message here matches")
    assert ask(archive, seq_id_range=[20, 10]) == replay.error("no message here matches")
    assert ask(archive, seq_id="5") == replay.error("seq_id has to be a whole number")
    assert archive.answer(b"\xff") == replay.error("the request is no JSON")


def test_an_answer_is_bounded_by_messages(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive.sqlite", 20_000)
    first = fill(archive, 10_001)[0].seq_id
    assert len(ask(archive, seq_id_range=[first, first + 9_999])) == 10_000
    [told] = ask(archive, seq_id_range=[first, first + 10_000])
    assert told == b"error: 'more than 10000 messages match: ask for fewer at a time'"
    archive.close()


def test_an_answer_is_bounded_by_bytes(archive: Archive) -> None:
    first = fill(archive, 9, size=8_000_000)[0].seq_id
    assert len(ask(archive, seq_id_range=[first, first + 7])) == 8
    [told] = ask(archive, seq_id_range=[first, first + 8])
    assert told == b"error: 'more than 67108864 bytes match: ask for fewer at a time'"


def test_the_oldest_beyond_the_number_go(archive: Archive) -> None:
    first = fill(archive, 700)[0].seq_id
    fill(archive, 700)
    assert archive.messages == 1000
    assert len(ask(archive, seq_id_range=[0, first + 1399])) == 1000
    assert ask(archive, seq_id=first + 399) == replay.error("no message here matches")
    assert len(ask(archive, seq_id=first + 400)) == 1


def test_what_is_too_old_goes_in_small_steps(archive: Archive, clock: Clock) -> None:
    fill(archive, 900)
    clock.now += 3601
    last = fill(archive, 1)[0].seq_id
    assert archive.messages == 901 - 201
    for _ in range(5):
        archive.add([])
    assert archive.messages == 1
    assert len(ask(archive, seq_id_range=[0, last])) == 1


def test_a_smaller_number_after_a_restart_is_reached_in_steps(tmp_path: Path) -> None:
    path = tmp_path / "archive.sqlite"
    archive = Archive(path, 1000)
    fill(archive, 1000)
    archive.close()
    archive = Archive(path, 300)
    for _ in range(4):
        archive.add([])
    assert archive.messages == 300
    archive.close()


def test_numbers_rise_over_a_restart(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "archive.sqlite"
    archive = Archive(path, 10, clock=clock)
    given = [archive.next_seq() for _ in range(2500)]
    assert given == list(range(given[0], given[0] + 2500))
    archive.close()
    archive = Archive(path, 10, clock=clock)
    assert archive.next_seq() == given[-1] + 1
    archive.close()


KILLED = """
import os, sys
from pathlib import Path
from fedmsg_migration_tools.archive import Archive
archive = Archive(Path(sys.argv[1]), 10, clock=lambda: 1_564_513_942.0)
numbers = [archive.next_seq() for _ in range(int(sys.argv[2]))]
print(numbers[-1], flush=True)
os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("count", [1, 1001, 1002, 5000])
def test_numbers_rise_over_a_kill_even_if_nothing_was_added(tmp_path: Path, clock: Clock, count: int) -> None:
    path = tmp_path / "archive.sqlite"
    command = [sys.executable, "-c", KILLED, str(path), str(count)]
    last = int(subprocess.run(command, capture_output=True, text=True, check=False).stdout)
    archive = Archive(path, 10, clock=clock)
    assert last < archive.next_seq() <= last + 1002
    archive.close()


def test_numbers_rise_over_the_loss_of_the_file(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "archive.sqlite"
    archive = Archive(path, 10, clock=clock)
    last = [archive.next_seq() for _ in range(5000)][-1]
    archive.close()
    path.write_bytes(b"\xa5" * 8192)
    clock.now += 10
    archive = Archive(path, 10, clock=clock)
    assert archive.set_aside
    assert archive.next_seq() > last
    archive.close()


def test_a_corrupt_archive_does_not_stop_the_bridge(tmp_path: Path) -> None:
    path = tmp_path / "archive.sqlite"
    archive = Archive(path, 10_000)
    fill(archive, 3000, size=400)
    archive.close()
    content = path.read_bytes()
    path.write_bytes(content[:50_000] + b"\xa5" * (len(content) - 50_000))
    archive = Archive(path, 10_000)
    records = fill(archive, 5)
    assert archive.set_aside
    assert ask(archive, seq_id_range=[0, records[-1].seq_id]) == [record.envelope for record in records]
    assert (archive.messages, archive.failed) == (5, 0)
    archive.close()


def test_a_second_process_is_refused(tmp_path: Path, archive: Archive) -> None:
    with pytest.raises(ToolsError, match=r"archive\.sqlite is open in another process"):
        Archive(tmp_path / "archive.sqlite", 10)
    assert archive.messages == 0


def test_on_a_full_disk_the_oldest_make_room(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a file system cannot be mounted here")
    try:
        archive = Archive(disk / "archive.sqlite", 1_000_000)
        for _ in range(200):
            records = fill(archive, 50, size=400)
            assert ask(archive, seq_id=records[-1].seq_id) == [records[-1].envelope]
        assert archive.failed == 0
        assert 500 < archive.messages < 5000
        big = fill(archive, 1, size=1_800_000)
        assert archive.failed == 1
        assert ask(archive, seq_id=big[0].seq_id) == replay.error("no message here matches")
        assert "replays will lack messages" in caplog.text
        assert fill(archive, 1)[0].envelope in ask(archive, seq_id_range=[0, 2**60])
        archive.close()
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
