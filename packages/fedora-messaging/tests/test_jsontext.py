# SPDX-License-Identifier: MIT
"""JSON in and out is that of Python's ``json``, whichever parser read it."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fedora_messaging import jsontext

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None))
    | st.just(10**40),
    lambda children: st.lists(children) | st.dictionaries(st.text(st.characters(codec=None)), children),
    max_leaves=10,
)
# Pieces of JSON, well put together or not.
PIECES = st.sampled_from(
    [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        '"a"',
        '"',
        "1",
        "-0",
        "-0.0",
        "1e999",
        "-1E400",
        "1e-400",
        "0.1",
        "01",
        "1.",
        ".5",
        "18446744073709551616",
        "9" * 40,
        "123456789012345678901234567890.5",
        "5e-324",
        "2.2250738585072011e-308",
        "true",
        "null",
        "NaN",
        "Infinity",
        "-Infinity",
        r'"\ud800"',
        r'"\ud83d\ude00"',
        r'"\u0000"',
        '"\x01"',
        '"\x7f"',
        " ",
        "\n",
        "\x0c",
        "\ufeff",
        '{"a":1,"a":2}',
        r'"\/"',
        r'"\x"',
        "'a'",
        "é",
        '"é"',
        "//",
        "\x00",
    ]
)


def same(one: Any, other: Any) -> bool:
    """Equality that tells 1 from 1.0 and True, 0.0 from -0.0, and takes NaN for itself."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float):
        equal = one == other and math.copysign(1, one) == math.copysign(1, other)
        return equal or (math.isnan(one) and math.isnan(other))
    return bool(one == other)


@given(VALUES)
def test_encoding_is_json_dumps(value: Any) -> None:
    assert jsontext.encode(value) == json.dumps(value).encode()


@given(VALUES)
def test_what_was_encoded_comes_back(value: Any) -> None:
    assert same(jsontext.decode(jsontext.encode(value), "utf-8"), json.loads(json.dumps(value)))


@given(
    st.lists(PIECES, max_size=6).map("".join)
    | VALUES.map(lambda v: json.dumps(v, ensure_ascii=True, indent=1))
)
@example("9" * 5000)
@example("[" * 100_000)
@example("")
def test_decoding_is_json_loads(text: str) -> None:
    body = text.encode()
    try:
        expected = json.loads(text)
    except (ValueError, RecursionError) as exc:
        with pytest.raises(type(exc)):
            jsontext.decode(body, "utf-8")
    else:
        assert same(jsontext.decode(body, "utf-8"), expected)


@given(st.binary(max_size=8))
@example(b'"\xed\xa0\x80"')
def test_any_bytes_are_json_or_a_value_error(body: bytes) -> None:
    try:
        value = jsontext.decode(body, "utf-8")
    except ValueError:
        return
    assert same(value, json.loads(body.decode()))


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "UTF-8", "utf8"])
def test_other_encodings(encoding: str) -> None:
    assert jsontext.decode('{"é": NaN}'.encode(encoding), encoding).keys() == {"é"}
