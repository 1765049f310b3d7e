# SPDX-License-Identifier: MIT
"""What goes through a header comes back as it was."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal

import pytest
from hypothesis import given

from fedmsg_migration_tools.fedmsg import canonical, values

from .json_texts import texts


@given(texts.map(str.encode))
def test_what_goes_into_a_header_comes_back_in_the_same_text(text: bytes) -> None:
    value = values.text(text.strip())
    if value is not None:
        assert canonical.dumps(value) == text.strip()
        value.encode()
    count = values.number(text.strip())
    if count is not None:
        assert canonical.dumps(count) == text.strip()
        assert count < 2**63


@pytest.mark.parametrize("text", ["", "fred", "a\nb", "é€😀", 'a\x7f\0\\"/', "a" * 300])
def test_strings_in_canonical_form_are_values(text: str) -> None:
    assert values.text(json.dumps(text).encode()) == text


@pytest.mark.parametrize(
    "text",
    [b"null", b"1", b"[]", b'"\xc3\xa9"', b'"\\u0061"', b'"\\/"', b'"\\ud800"', b'"\x7f"', b'"\\u00E9"'],
)
def test_other_texts_are_none(text: bytes) -> None:
    assert values.text(text) is None


@pytest.mark.parametrize("text", [b"-1", b"1.0", b"1e3", b'"1"', b"true", b"1" * 19, b"1" * 5000, b"-0"])
def test_numbers_that_stay_text(text: bytes) -> None:
    assert values.number(text) is None


@pytest.mark.parametrize("text", [b"0", b"1", b"9" * 18])
def test_numbers_that_need_not(text: bytes) -> None:
    assert values.number(text) == int(text)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sent-at", "yesterday"), ("fedora_messaging_severity", 40), ("fedora_messaging_user_é", True), ("a", -(2**63)),
        ("a", ""), ("a", "\0"), ("a" * 255, 2**63 - 1), ("priority", 0), ("cc", "a"),
    ],
)  # fmt: skip
def test_values_that_may_be_headers(name: str, value: object) -> None:
    assert values.is_header(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("a", None), ("a", 1.5), ("a", []), ("a", {}), ("a", 2**63), ("a", -(2**63) - 1), ("a", "\ud800"),
        ("\ud800", 1), ("", 1), ("a\0", 1), ("a" * 256, 1), ("é" * 128, 1), ("CC", "a"), ("BCC", "a"),
        ("x-death", "a"),
        ("fedmsg_i", 1), ("sent-at", 1), ("sent-at", True), ("fedora_messaging_schema", 5),
        ("fedora_messaging_schema_package", False),
        ("fedora_messaging_severity", True), ("fedora_messaging_severity", 25), ("fedora_messaging_severity", "20"),
    ],
)  # fmt: skip
def test_values_that_may_not(name: str, value: object) -> None:
    assert not values.is_header(name, value)


def test_tables_become_json() -> None:
    table = {
        "a": 1, "b": None, "c": b"\xff\xc3\xa9", b"d": [b"x", {"e": dt.datetime(2019, 7, 30, tzinfo=dt.UTC)}],
        "f": Decimal("1.10"), "g": 1.5, "h": bytearray(b"h"), "i": True,
    }  # fmt: skip
    found = values.as_json(table)
    assert found == {
        "a": 1, "b": None, "c": "\udcffé", "d": ["x", {"e": "2019-07-30T00:00:00+00:00"}], "f": "1.10", "g": 1.5,
        "h": "h", "i": True,
    }  # fmt: skip
    canonical.dumps(found)


def test_a_plain_table_is_copied() -> None:
    table = {"a": 1}
    assert values.as_json(table) == table
    assert values.as_json(table) is not table
