# SPDX-License-Identifier: MIT
"""Snapshots in JSON, and what changed between two of them."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmsg_migration_tools.web import parts

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters()), inner, max_size=3),
    max_leaves=8,
)


def finite(value: Any) -> Any:
    """What a browser is to read: JSON knows no infinity."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, list):
        return [finite(inner) for inner in value]
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    return value


@given(values)
def test_whatever_a_message_holds_becomes_json_on_one_line(value: Any) -> None:
    text = parts.in_json(value)
    assert b"\n" not in text
    assert b"\r" not in text
    assert json.loads(text) == finite(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("1.5"), b'"1.5"'),
        (2**70, b"1180591620717411303424"),
        ({1: {"\ud800": {2}}}, b'{"1": {"\\ud800": [2]}}'),
    ],
)
def test_what_json_has_no_words_for(value: Any, text: bytes) -> None:
    assert parts.in_json(value) == text


def test_only_what_changed_is_sent_again() -> None:
    before = parts.of({"now": 1, "map": [1, 2], "gate": {}})
    after = parts.of({"now": 2, "map": [1, 2], "gate": {}})
    assert parts.changed(before, after) == {"now": b"2"}
    assert parts.changed({}, after) == after
    assert parts.event(parts.changed(before, after)) == b'data: {"now":2}\n\n'
    assert json.loads(parts.whole(after)) == {"now": 2, "map": [1, 2], "gate": {}}
