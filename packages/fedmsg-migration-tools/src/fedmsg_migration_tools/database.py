# SPDX-License-Identifier: MIT
"""One SQLite file of our own: opened alone, kept writable on a full disk, set aside when corrupt, small when empty.

What lies in it is the business of `spool` and `archive`; no SQL about messages belongs here.

A full disk: SQLite's write-ahead log (WAL) is where each change goes first, and a checkpoint moves it into the file.
Both have room that is allocated beforehand: the WAL a fixed reserve, and the file what the WAL may add to it. So a
checkpoint succeeds without a free byte on the disk, hence the WAL can be begun anew, hence a removal can be written.
Where the file system promises no such room (btrfs, ZFS), the caller remembers the removal and tries again.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sqlite3
import time
from typing import TYPE_CHECKING, TypeVar

from .exceptions import SpoolFull, ToolsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["PAGE", "Database", "is_corrupt", "one_line"]

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

PAGE = 4096
_RESERVE = 4 * 1024 * 1024  # bytes of WAL kept allocated; less on a disk with little room
_LEAST_RESERVE = 256 * 1024
_SLACK = 32  # pages: what the estimates of callers may be wrong by
_SHRINK_FROM = 1024  # pages (4 MiB): a smaller file is left as it is
_SHRINK_TO = 256  # pages (1 MiB) that a shrinking may copy, so that it takes milliseconds

_SETTINGS = (
    "PRAGMA locking_mode=EXCLUSIVE",  # SQLite's lock on the file: the kernel drops it when the process ends, however
    "PRAGMA synchronous=NORMAL",
    "PRAGMA wal_autocheckpoint=0",  # checkpoints are ours: theirs hide a full disk
    "PRAGMA journal_size_limit=-1",  # the WAL keeps its reserve
    "PRAGMA temp_store=MEMORY",
    "PRAGMA secure_delete=OFF",
    "PRAGMA cache_size=-2000",
)


class Database:
    """A SQLite file that one process has open.

    Args:
        path: the file. Its folder is made (0700) if it is missing, the file with 0600.
        schema: the statements that make the tables of a new file.
        kind: the number that marks such files (SQLite's application_id).

    Raises:
        ToolsError: the file cannot be opened, is open elsewhere, or is something else.
    """

    def __init__(self, path: Path, schema: str, kind: int) -> None:
        self.path = path
        self.set_aside: Path | None = None
        self._schema = schema
        self._kind = kind
        self._file = -1
        self._frames = 0  # pages in the WAL since its last checkpoint, at a rough guess
        self._allocated = 0  # bytes that the file system has promised to the file
        self._reserve = 0  # bytes that the WAL is to have
        self._reserved = False
        self._failing = False  # whether the last checkpoint failed
        self.connection = sqlite3.connect(":memory:")
        self._open_or_replace()

    @property
    def frames(self) -> int:
        """How many changed pages the WAL is sure to hold."""
        return self._reserve // PAGE

    def replace(self, why: Exception) -> None:
        """Set a corrupt file aside, with its WAL, and begin a new one.

        Args:
            why: what SQLite said.

        Raises:
            ToolsError: the file cannot be renamed.
        """
        self._disconnect()
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        aside = _free_name(self.path.with_name(f"{self.path.name}.corrupt-{stamp}"))
        try:
            with contextlib.suppress(FileNotFoundError):
                _wal(self.path).rename(_wal(aside))  # first: a new file must never meet the old one's log
            self.path.rename(aside)
        except OSError as exc:
            raise ToolsError(
                f"{self.path} is corrupt and cannot be renamed ({exc.strerror}): move it away"
            ) from exc
        self.set_aside = aside
        _log.error(
            "%s is corrupt (%s): it is set aside as %s, and a new one is begun; what can still be read of it comes out"
            " with: sqlite3 %s .recover",
            self.path,
            one_line(why),
            aside,
            aside,
        )
        self._open()

    def run(self, action: Callable[[], _T], begun_anew: Callable[[], None]) -> _T:
        """Do it; if the file turns out to be corrupt, replace the file and do it in the new one.

        Args:
            action: reads or writes the file.
            begun_anew: called between the two, to forget what was in the old one.
        """
        try:
            return action()
        except sqlite3.DatabaseError as exc:
            if not is_corrupt(exc):
                raise
            self.replace(exc)
        begun_anew()
        return action()

    def close(self) -> None:
        """Close the file; SQLite then moves its WAL into it and deletes the WAL."""
        if not self._failing:
            with contextlib.suppress(sqlite3.Error):
                self.shrink()
        self._disconnect()

    # --- Writing ---

    @contextlib.contextmanager
    def transaction(self, frames: int) -> Iterator[sqlite3.Connection]:
        """A transaction that is either written as a whole or not at all.

        Args:
            frames: how many pages it will change, at a rough guess.

        Raises:
            sqlite3.Error: nothing of it is written.
        """
        frames += 4
        if self._frames and self._frames + frames > self._reserve // PAGE:
            self.checkpoint()
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield self.connection
            self.connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
            raise
        finally:
            self._frames += frames
        if self._frames * PAGE > _wal_bound(self._reserve):
            self.checkpoint()

    def make_room(self, pages: int) -> None:
        """Have the file system promise what the next transaction may add to the file.

        Args:
            pages: how many pages it may add.

        Raises:
            SpoolFull: there is no such room.
        """
        missing = pages + _SLACK - self._number("freelist_count")
        end = (self._number("page_count") + max(missing, 0)) * PAGE
        if end <= self._allocated or missing <= 0:
            return
        for size in (end + self._reserve, end):
            if self._allocate(self._file, size):
                self._allocated = size
                return
        raise SpoolFull(f"{self.path}: no space left on the disk: free some, or name another path")

    def checkpoint(self) -> None:
        """Move the WAL into the file, so that the WAL is begun anew. A failure is said in the log, once."""
        try:
            frames = self.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1]
            if frames * PAGE > 2 * max(self._reserve, _LEAST_RESERVE):
                self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                self._reserved = False
        except sqlite3.OperationalError as exc:
            if not self._failing:
                _log.warning(
                    "%s: its write-ahead log cannot be moved into it yet: %s", self.path, one_line(exc)
                )
            self._failing = True
            return
        self._failing = False
        self._frames = 0
        self._allocated = 0  # SQLite cuts the file to its pages
        self._reserve_log()

    def shrink(self) -> None:
        """Give back the disk space of a file that has become nearly empty; does nothing for others."""
        pages, free = self._number("page_count"), self._number("freelist_count")
        if pages < _SHRINK_FROM or pages - free > min(_SHRINK_TO, self._reserve // PAGE // 2):
            return
        self.checkpoint()
        try:
            self.connection.execute("VACUUM")
        except sqlite3.OperationalError as exc:
            _log.debug("%s stays as large as it is: %s", self.path, one_line(exc))
            return
        self.checkpoint()

    # --- Opening ---

    def _open_or_replace(self) -> None:
        try:
            self._open()
        except sqlite3.DatabaseError as exc:
            if not is_corrupt(exc):
                self._disconnect()
                raise ToolsError(_refusal(self.path, exc)) from exc
            try:
                self.replace(exc)
            except sqlite3.DatabaseError as again:
                self._disconnect()
                raise ToolsError(_refusal(self.path, again)) from again

    def _open(self) -> None:
        self._frames = self._allocated = 0
        self._reserved = self._failing = False
        _create(self.path)
        self._reserve = _reserve_for(self.path.parent)
        self.connection = sqlite3.connect(self.path, timeout=0, isolation_level=None, check_same_thread=False)
        for setting in _SETTINGS:
            self.connection.execute(setting)
        self._recognise()
        self.connection.execute("PRAGMA journal_mode=WAL")
        if not self._number("application_id"):
            self._begin()
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as exc:
            self._disconnect()
            raise ToolsError(_unwritable(self.path, exc.strerror or str(exc))) from exc
        self.checkpoint()

    def _recognise(self) -> None:
        kind = self._number("application_id")
        tables = self.connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        if kind != self._kind and (kind or tables):
            self._disconnect()
            raise ToolsError(f"{self.path} is another program's SQLite file: name another path")

    def _begin(self) -> None:
        with self.transaction(8) as connection:
            for statement in self._schema.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id={self._kind}")

    def _disconnect(self) -> None:
        """Close SQLite's file first: closing another descriptor of it would drop the lock (POSIX)."""
        with contextlib.suppress(sqlite3.Error):
            self.connection.close()
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    # --- Room ---

    def _reserve_log(self) -> None:
        if self._reserved:
            return
        with contextlib.suppress(OSError):
            log = os.open(_wal(self.path), os.O_RDWR | os.O_CLOEXEC)
            try:
                self._reserved = self._allocate(log, self._reserve)
            finally:
                os.close(log)

    def _allocate(self, file: int, size: int) -> bool:
        """Whether the file system has promised the room, or cannot promise any."""
        try:
            os.posix_fallocate(file, 0, size)
        except OSError as exc:
            return exc.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
        return True

    def _number(self, pragma: str) -> int:
        number: int = self.connection.execute(f"PRAGMA {pragma}").fetchone()[0]
        return number


def is_corrupt(exc: sqlite3.Error) -> bool:
    """Whether SQLite says that the file is damaged, or none of its files."""
    return _code(exc) in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def one_line(exc: BaseException) -> str:
    """What SQLite said, in one line."""
    return " ".join(str(exc).split()) or type(exc).__name__


def _code(exc: sqlite3.Error) -> int:
    return getattr(exc, "sqlite_errorcode", 0) & 0xFF  # the low byte is the kind, the others its details


def _refusal(path: Path, exc: sqlite3.Error) -> str:
    if _code(exc) == sqlite3.SQLITE_BUSY:
        return f"{path} is open in another process: stop that one, or give each its own path"
    if _code(exc) == sqlite3.SQLITE_FULL:
        return f"{path} cannot be begun: no space left on the disk: free some, or name another path"
    return _unwritable(path, one_line(exc))


def _unwritable(path: Path, why: str) -> str:
    return f"{path} cannot be opened ({why}): make it and {path.parent} writable for this user, or name another path"


def _create(path: Path) -> None:
    """Make the folder and an empty file with their permissions; SQLite gives its WAL those of the file."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError as exc:
        if path.is_dir():
            raise ToolsError(f"{path} is a folder: name a file in it") from exc
        if not path.parent.is_dir():
            raise ToolsError(f"{path.parent} is not a folder: name another path") from exc
    except OSError as exc:
        raise ToolsError(_unwritable(path, exc.strerror or str(exc))) from exc


def _reserve_for(folder: Path) -> int:
    """An eighth of what is free, within bounds, in whole pages."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return _LEAST_RESERVE
    eighth = disk.f_bavail * disk.f_frsize // 8
    return min(max(eighth, _LEAST_RESERVE), _RESERVE) // PAGE * PAGE


def _wal_bound(reserve: int) -> int:
    return reserve * 3 // 4


def _wal(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _free_name(path: Path) -> Path:
    number, candidate = 1, path
    while candidate.exists():
        number += 1
        candidate = path.with_name(f"{path.name}-{number}")
    return candidate
