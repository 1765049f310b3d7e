# SPDX-License-Identifier: MIT
"""What is written and read is what fedmsg writes and reads."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmsg_migration_tools.fedmsg import canonical

from .json_texts import REAL, texts

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner),
)


def as_python_writes(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


@given(values)
def test_what_is_written_is_what_fedmsg_writes(value: object) -> None:
    assert canonical.dumps(value) == as_python_writes(value)


@given(
    texts.map(str.encode)
    | st.binary()
    | st.text(st.sampled_from('{}[]":,-+.eE019\\u dNafin\x1f')).map(str.encode)
)
def test_what_is_read_is_what_fedmsg_reads(data: bytes) -> None:
    try:
        expected = repr(json.loads(data.decode()))
    except ValueError:
        expected = "refused"
    try:
        found = repr(canonical.loads(data))
    except ValueError:
        found = "refused"
    assert found == expected


@given(st.from_regex(r"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,3})?", fullmatch=True))
def test_numbers_are_the_same_to_the_last_bit(text: str) -> None:
    assert repr(canonical.loads(text.encode())) == repr(json.loads(text))


def test_real_messages_are_in_this_form_already() -> None:
    assert [canonical.dumps(canonical.loads(text)) for text in REAL] == REAL


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xef\xbb\xbf{}",
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b"[" * 100_000,
        b"1" * 5000,
        b"\0",
        b'"\x01"',
        b"{}{}",
    ],
    ids=["nothing", "mark", "latin", "surrogate", "deep", "digits", "zero", "control", "two"],
)
def test_what_is_no_json_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        canonical.loads(data)


def test_what_is_too_deep_to_write_is_a_value_error() -> None:
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(ValueError, match="nested too deeply"):
        canonical.dumps(value)
