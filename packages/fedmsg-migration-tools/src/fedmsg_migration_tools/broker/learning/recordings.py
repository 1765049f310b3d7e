# SPDX-License-Identifier: MIT
"""Files with messages, read a line at a time, and what could not be read of them. What a line says: ``messages``."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from ...exceptions import ToolsError
from ...fedmsg.certificates import shown
from .messages import Sent
from .publishers import Unlearnt
from .wording import count

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from .messages import Reader

__all__ = ["STDIN", "Notes", "read"]

#: The file name for standard input.
STDIN = "-"
# A page of an archive is one line; no longer one is held.
_LONGEST_LINE = 64 * 2**20


@dataclass(slots=True)
class _Note:
    count: int
    place: str
    detail: str


class Notes:
    """Of what nothing could be learned, by kind; the first of each kind is kept."""

    def __init__(self) -> None:
        self._notes: dict[tuple[str, str], _Note] = {}

    def add(self, source: str, place: str, unlearnt: Unlearnt, count: int = 1) -> None:
        """Note it.

        Arguments:
            source: a file, an endpoint.
            place: in there, such as ``line 3``.
            unlearnt: what was wrong.
            count: how many messages it was wrong with.
        """
        key = source, unlearnt.why
        if key in self._notes:
            self._notes[key].count += count
        else:
            self._notes[key] = _Note(count, place, unlearnt.detail)

    @property
    def count(self) -> int:
        """How many messages these are."""
        return sum(note.count for note in self._notes.values())

    def lines(self) -> list[str]:
        """One line for each kind."""
        return [
            f"{shown(source)}: {count(note.count, 'time')} {why}, the first in {note.place}"
            + (f" ({note.detail})" if note.detail else "")
            for (source, why), note in self._notes.items()
        ]


def read(path: str, reader: Reader, notes: Notes) -> Iterator[Sent]:
    """The messages of a file; what cannot be read is noted.

    Arguments:
        path: of a file with a JSON text a line, or of one JSON text; ``-``: standard input.
        reader: of each text.
        notes: is added to.

    Raises:
        ToolsError: the file cannot be read, or there is not one message in it.
    """
    found = False
    try:
        with _opened(path) as file:
            for place, text in _texts(file):
                for sent in _of_text(path, place, text, reader, notes):
                    found = True
                    yield sent
    except OSError as error:
        raise ToolsError(f"{path} cannot be read: {error.strerror or error}") from error
    if not found:
        why = next((line for line in notes.lines() if line.startswith(f"{shown(path)}: ")), f"{path}: empty")
        raise ToolsError(f"no message in this recording: {why}")


def _of_text(path: str, place: str, text: bytes | None, reader: Reader, notes: Notes) -> Iterator[Sent]:
    if text is None:
        notes.add(path, place, Unlearnt(f"a line of more than {_LONGEST_LINE >> 20} MiB"))
        return
    try:
        for one in reader.document(text):
            if isinstance(one, Sent):
                yield one
            else:
                notes.add(path, place, one)
    except Unlearnt as error:
        notes.add(path, place, error)


def _opened(path: str) -> AbstractContextManager[IO[bytes]]:
    if path == STDIN:
        return nullcontext(sys.stdin.buffer)
    try:
        return Path(path).open("rb")
    except ValueError as error:  # a zero byte
        raise ToolsError(f"{shown(path)} is no file name") from error


def _texts(file: IO[bytes]) -> Iterator[tuple[str, bytes | None]]:
    """Each text and where it is; None for one that is too long. A pretty-printed file is one text."""
    number = 0
    while line := file.readline(_LONGEST_LINE + 1):
        number += 1
        if len(line) > _LONGEST_LINE:
            while line and not line.endswith(b"\n"):
                line = file.readline(_LONGEST_LINE)
            yield f"line {number}", None
        elif line.strip() in {
            b"{",
            b"[",
        }:  # JSON that is spread over lines begins so, and a line of JSON never
            rest = file.read(_LONGEST_LINE + 1)
            yield f"line {number} and all that follows", line + rest if len(rest) <= _LONGEST_LINE else None
            return
        elif line.strip():
            yield f"line {number}", line
