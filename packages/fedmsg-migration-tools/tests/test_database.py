# SPDX-License-Identifier: MIT
"""A spool's file on a full disk (a small tmpfs), under other owners, corrupt, and open twice."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedmsg_migration_tools.exceptions import SpoolFull, ToolsError
from fedmsg_migration_tools.spool import Entry, Spool

PLENTY = 1 << 40


def entry(position: int, size: int = 450) -> Entry:
    return Entry(position, 1.5, (b"topic", (b"%d " % position * size)[:size]))


def positions(spool: Spool) -> list[int]:
    return [one.position for one in spool.read(0, 1_000_000, PLENTY)]


def on_disk(spool: Spool, folder: Path) -> list[int]:
    """What a start after SIGKILL would find now."""
    folder.mkdir()
    for file in spool.path.parent.glob(spool.path.name + "*"):
        shutil.copy(file, folder)
    copy = Spool(folder / spool.path.name, PLENTY)
    found = positions(copy)
    copy.close()
    shutil.rmtree(folder)
    return found


class SmallDisk:
    """A file system of two megabytes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self) -> None:
        """Take the last free byte."""
        with self._filler.open("ab", buffering=0) as filler:
            for size in (65536, 4096, 1):
                try:
                    while True:
                        filler.write(b"\1" * size)
                except OSError:
                    continue
        free = os.statvfs(self.folder)
        assert free.f_bavail == 0

    def free(self) -> None:
        """Give back what `fill` took."""
        self._filler.unlink()

    def mount(self, *options: str) -> None:
        """Mount it, or mount it again with other options."""
        command = ["mount", "-t", "tmpfs", "-o", ",".join(("size=2m", *options)), "none", str(self.folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"a file system cannot be mounted here: {done.stderr.strip()}")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    disk = SmallDisk(folder)
    disk.mount()
    yield disk
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def append_until_full(spool: Spool) -> int:
    """How many batches of ten the disk took."""
    batches = 0
    try:
        while True:
            first = spool.last_position + 1
            spool.append([entry(first + number) for number in range(10)])
            batches += 1
    except SpoolFull:
        return batches


def test_a_full_disk_refuses_the_batch_and_keeps_what_was_there(disk: SmallDisk, tmp_path: Path) -> None:
    spool = Spool(disk.folder / "spool.sqlite", PLENTY)
    batches = append_until_full(spool)
    assert batches * 10 * 450 > 900_000  # of two megabytes
    expected = list(range(1, batches * 10 + 1))
    assert positions(spool) == on_disk(spool, tmp_path / "copy") == expected
    assert (spool.messages, spool.last_position) == (len(expected), len(expected))
    with pytest.raises(SpoolFull, match="no space left on the disk: free some"):
        spool.append([entry(100_000, 100_000)])
    spool.close()
    spool = Spool(disk.folder / "spool.sqlite", PLENTY)
    assert positions(spool) == expected
    spool.close()


def test_removing_goes_on_without_a_free_byte_and_makes_room(disk: SmallDisk, tmp_path: Path) -> None:
    spool = Spool(disk.folder / "spool.sqlite", PLENTY)
    batches = append_until_full(spool)
    disk.fill()
    for turn in range(5):
        here = positions(spool)
        spool.remove(here[: len(here) // 2 : 2])
        assert positions(spool) == on_disk(spool, tmp_path / "copy"), turn
        rest = positions(spool)
        spool.remove(rest[: len(rest) // 2])
        assert positions(spool) == on_disk(spool, tmp_path / "copy") == rest[len(rest) // 2 :]
        append_until_full(spool)
        assert spool.messages > batches * 10 * 0.8, turn
    for position in positions(spool):
        spool.remove([position])
    assert positions(spool) == on_disk(spool, tmp_path / "copy") == []
    assert (spool.messages, spool.bytes) == (0, 0)
    spool.close()


def test_deferring_goes_on_without_a_free_byte(disk: SmallDisk) -> None:
    path = disk.folder / "spool.sqlite"
    spool = Spool(path, PLENTY)
    append_until_full(spool)
    disk.fill()
    here = positions(spool)
    spool.defer(here[:100], 7.0, "the queue is full")
    assert positions(spool) == here[100:]
    assert [one.position for one in spool.due(7.0, 1000)] == here[:100]
    spool.close()
    spool = Spool(path, PLENTY)
    assert spool.deferred == 100
    assert positions(spool) == here[100:]
    spool.close()


def test_others_that_take_all_the_room_do_not_stop_the_removal(disk: SmallDisk, tmp_path: Path) -> None:
    """The log has its room from the start, before anything was written to it."""
    path = disk.folder / "spool.sqlite"
    spool = Spool(path, PLENTY)
    spool.append([entry(position) for position in range(1, 201)])
    spool.close()
    spool = Spool(path, PLENTY)
    disk.fill()
    spool.remove(range(1, 200))
    assert on_disk(spool, tmp_path / "copy") == positions(spool) == [200]
    spool.close()


def test_a_removal_that_cannot_be_written_is_remembered_and_tried_again(
    disk: SmallDisk, tmp_path: Path
) -> None:
    """After a clean end the log is gone; if others then take all the room, it cannot be begun."""
    path = disk.folder / "spool.sqlite"
    spool = Spool(path, PLENTY)
    spool.append([entry(position) for position in range(1, 101)])
    spool.close()
    disk.fill()
    spool = Spool(path, PLENTY)
    assert positions(spool) == list(range(1, 101))
    spool.remove(range(1, 51))
    spool.defer([51, 52], 1.0, "refused")
    assert positions(spool) == list(range(53, 101))
    assert spool.messages == 50
    assert on_disk(spool, tmp_path / "copy") == list(range(1, 101))
    assert [one.position for one in spool.due(1.0, 10)] == [51, 52]
    with pytest.raises(SpoolFull):
        spool.append([entry(position) for position in range(200, 300)])
    disk.free()
    spool.remove([60])
    assert on_disk(spool, tmp_path / "copy") == [one for one in range(53, 101) if one != 60]
    assert (spool.messages, spool.deferred) == (49, 2)
    spool.append([entry(200)])
    assert positions(spool)[-1] == 200
    spool.close()


def test_a_disk_without_room_for_a_new_file_is_said_in_one_line(disk: SmallDisk) -> None:
    disk.fill()
    with pytest.raises(ToolsError, match=r"no space left on the disk: free some, or name another path$"):
        Spool(disk.folder / "spool.sqlite", PLENTY)
    disk.free()
    Spool(disk.folder / "spool.sqlite", PLENTY).close()


@pytest.mark.parametrize("there_already", [False, True])
def test_a_read_only_file_system_is_said_in_one_line(disk: SmallDisk, there_already: bool) -> None:
    path = disk.folder / "spool.sqlite"
    if there_already:
        Spool(path, PLENTY).close()
    disk.mount("remount", "ro")
    with pytest.raises(
        ToolsError, match=r"^\S+spool\.sqlite cannot be opened \(.*\): make it and .* writable"
    ):
        Spool(path, PLENTY)


def test_what_is_no_place_for_a_file_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ToolsError, match=r"is a folder: name a file in it$"):
        Spool(tmp_path, PLENTY)
    with pytest.raises(ToolsError, match=r"/file is not a folder: name another path$"):
        Spool(tmp_path / "file" / "spool.sqlite", PLENTY)
    with pytest.raises(ToolsError, match=r"cannot be opened \(File name too long\)"):
        Spool(tmp_path / ("x" * 300), PLENTY)


AS_NOBODY = """
import os, sys
from pathlib import Path
from fedmsg_migration_tools.exceptions import ToolsError
from fedmsg_migration_tools.spool import Spool
os.setegid(65534), os.seteuid(65534)
try:
    Spool(Path(sys.argv[1]), 1)
except ToolsError as exc:
    print(exc)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("there_already", [False, True])
def test_a_folder_of_another_user_is_said_in_one_line(tmp_path: Path, there_already: bool) -> None:
    path = tmp_path / "spool" / "spool.sqlite"
    path.parent.mkdir(mode=0o755)
    if there_already:
        Spool(path, PLENTY).close()
    for folder in (tmp_path, *tmp_path.parents[:-2]):
        folder.chmod(0o755)
    command = [sys.executable, "-c", AS_NOBODY, str(path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert re.fullmatch(rf"{path} cannot be opened \(.*\): make it and .* writable for this user.*\n", said)


def test_file_and_folder_belong_to_the_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "spool.sqlite"
    spool = Spool(path, PLENTY)
    spool.append([entry(1)])
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}
    spool.close()


HOLDER = """
import sys
from pathlib import Path
from fedmsg_migration_tools.spool import Spool
spool = Spool(Path(sys.argv[1]), 1 << 30)
print("open", flush=True)
sys.stdin.read()
"""


def test_a_second_process_is_refused_until_the_first_has_ended_however(tmp_path: Path) -> None:
    path = tmp_path / "spool.sqlite"
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "open\n"
        for _ in range(2):
            with pytest.raises(ToolsError, match=rf"^{path} is open in another process: stop that one"):
                Spool(path, PLENTY)
        holder.kill()
    spool = Spool(path, PLENTY)
    with pytest.raises(ToolsError, match="is open in another process"):
        Spool(path, PLENTY)
    done = subprocess.run(command, input="", capture_output=True, text=True, check=False)
    assert "is open in another process" in done.stderr  # the refusal in this process has not dropped the lock
    spool.append([entry(1)])
    spool.close()


@pytest.mark.parametrize("damage", ["head", "schema", "all", "text"])
def test_a_corrupt_file_is_set_aside_and_a_new_one_begun(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "spool.sqlite"
    spool = Spool(path, PLENTY)
    spool.append([entry(position) for position in range(1, 500)])
    spool.close()
    content = bytearray(path.read_bytes())
    content[
        {"head": slice(0, 60), "schema": slice(100, 4096), "all": slice(0, None), "text": slice(0, None)}[
            damage
        ]
    ] = {
        "head": b"\xa5" * 60,
        "schema": b"\xa5" * 3996,
        "all": b"\xa5" * len(content),
        "text": b"not a database, but somebody's notes " * 40,
    }[damage]
    path.write_bytes(content)
    spool = Spool(path, PLENTY)
    assert spool.set_aside
    assert re.fullmatch(r"spool\.sqlite\.corrupt-\d{8}T\d{6}Z", spool.set_aside.name)
    assert spool.set_aside.read_bytes() == content
    [record] = [one for one in caplog.records if one.levelname == "ERROR"]
    assert str(path) in record.getMessage()
    assert str(spool.set_aside) in record.getMessage()
    spool.append([entry(1)])
    spool.close()
    spool = Spool(path, PLENTY)
    assert (positions(spool), spool.set_aside) == ([1], None)
    spool.close()


def test_corruption_that_shows_later_is_set_aside_then(tmp_path: Path) -> None:
    path = tmp_path / "spool.sqlite"
    spool = Spool(path, PLENTY)
    spool.append([entry(position) for position in range(1, 5000)])
    spool.close()
    content = path.read_bytes()
    path.write_bytes(content[:100_000] + b"\xa5" * (len(content) - 100_000))
    spool = Spool(path, PLENTY)
    asides = [spool.set_aside]
    assert positions(spool) == []
    asides.append(spool.set_aside)
    assert asides[0] is None
    assert asides[1]
    assert (spool.messages, spool.bytes, spool.last_position) == (0, 0, 4999)
    spool.append([entry(5000)])
    assert positions(spool) == [5000]
    spool.close()


def test_another_programs_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (value)")
    other.close()
    with pytest.raises(ToolsError, match="is another program's SQLite file: name another path"):
        Spool(path, PLENTY)
    assert [file.name for file in tmp_path.iterdir()] == ["other.sqlite"]


def test_a_file_of_ours_that_lacks_a_table_is_said_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "spool.sqlite"
    Spool(path, PLENTY).close()
    other = sqlite3.connect(path)
    other.execute("DROP TABLE state")
    other.close()
    with pytest.raises(ToolsError, match=r"spool\.sqlite cannot be read: no such table: state$"):
        Spool(path, PLENTY)


def test_reading_stays_fast_at_the_end_of_a_long_drain(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.sqlite", PLENTY)
    for first in range(1, 60_001, 500):
        spool.append([entry(first + number, 100) for number in range(500)])
    times = []
    for first in range(1, 60_001, 500):
        began = time.perf_counter()
        batch = spool.read(0, 500)
        times.append(time.perf_counter() - began)
        assert batch[0].position == first
        spool.remove([one.position for one in batch])
    early, late = sorted(times[:40])[20], sorted(times[-40:])[20]
    assert late < 3 * early
    spool.close()
