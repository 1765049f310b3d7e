# SPDX-License-Identifier: MIT
"""Files of messages: each is read as far as it can be, and what cannot be is said once."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING

import pytest

from fedmsg_migration_tools.broker.learning import publishers, recordings
from fedmsg_migration_tools.broker.learning.messages import Reader
from fedmsg_migration_tools.broker.learning.recordings import Notes, read
from fedmsg_migration_tools.exceptions import ToolsError

if TYPE_CHECKING:
    from pathlib import Path

GOOD = b'{"topic": "org.fedoraproject.prod.bodhi.x", "msg": {}}'


@pytest.fixture
def reader() -> Reader:
    return Reader(publishers.unverified)


def file(folder: Path, content: bytes) -> str:
    (folder / "recording").write_bytes(content)
    return str(folder / "recording")


def test_what_is_wrong_is_counted_by_kind_and_the_rest_is_read(tmp_path: Path, reader: Reader) -> None:
    notes = Notes()
    lines = [GOOD, b"", b"nonsense", b"\xff", b"{}", GOOD, GOOD[:-3]]
    path = file(tmp_path, b"\n".join(lines))
    assert len(list(read(path, reader, notes))) == 2
    first, second = notes.lines()
    assert first.startswith(f"{path}: 3 times no JSON object, the first in line 3 (")
    assert second.startswith(f"{path}: 1 time a form that is not known, the first in line 5 (")
    assert notes.count == 4


def test_a_pretty_printed_page_is_one_text(tmp_path: Path, reader: Reader) -> None:
    page = json.dumps({"raw_messages": [json.loads(GOOD)] * 3}, indent=4).encode()
    assert len(list(read(file(tmp_path, page), reader, Notes()))) == 3
    notes = Notes()
    with pytest.raises(ToolsError, match="line 1 and all that follows"):
        list(read(file(tmp_path, page[:-1]), reader, notes))


def test_a_line_too_long_is_left_out_and_not_held(
    tmp_path: Path, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recordings, "_LONGEST_LINE", 1024 * 1024)
    notes = Notes()
    path = file(tmp_path, GOOD + b"\n" + b"x" * 5_000_000 + b"\n" + GOOD + b"\n[\n" + b" " * 2_000_000)
    assert len(list(read(path, reader, notes))) == 2
    assert notes.lines() == [f"{path}: 2 times a line of more than 1 MiB, the first in line 2"]


def test_standard_input(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(GOOD)))
    assert len(list(read("-", reader, Notes()))) == 1


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("missing", "No such file"),
        (".", "Is a directory"),
        ("a\0b", "no file name"),
        ("empty", "empty"),
        ("bad", "no JSON"),
    ],
)
def test_a_file_without_messages_is_an_error_of_one_line(
    tmp_path: Path, reader: Reader, name: str, said: str
) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "bad").write_bytes(b"\x1f\x8b\x08 compressed\n")
    with pytest.raises(ToolsError, match=said) as caught:
        list(read(str(tmp_path / name), reader, Notes()))
    assert "\n" not in str(caught.value)
