# SPDX-License-Identifier: MIT
"""Canonical JSON, which is what is signed: this project's and fedmsg's are the same, byte for byte."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedmsg_migration_tools.fedmsg import canonical
from tests.interop import bridging

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.interop.bridging import Lines

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]

# Lone surrogates, NaN, the infinities, and integers beyond 64 bits are all in it.
TEXT = st.text(st.characters(), max_size=20)
LEAVES = st.none() | st.booleans() | st.integers(-(10**40), 10**40) | st.floats() | TEXT
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5)
)


@pytest.fixture(scope="module")
def encoder(fedmsg_python: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lines]:
    with bridging.Lines(fedmsg_python, tmp_path_factory.mktemp("canonical"), "canonical", {}) as lines:
        yield lines


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(value=VALUES)
def test_we_write_what_fedmsg_writes(encoder: Lines, value: Any) -> None:
    theirs = encoder.ask(value)
    assert canonical.dumps(value).decode() == theirs
    assert canonical.dumps(canonical.loads(theirs.encode())).decode() == theirs


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(value=VALUES, encode=st.sampled_from([json.dumps, lambda value: json.dumps(value, indent=1)]))
def test_what_any_json_becomes_is_what_fedmsg_makes_of_it(
    encoder: Lines, value: Any, encode: Callable[[Any], str]
) -> None:
    text = encode(value)
    assert canonical.dumps(canonical.loads(text.encode())).decode() == encoder.ask(json.loads(text))


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "a": 2}',
        "1e400",
        "-0.0",
        "-0",
        "0.1e1",
        "1E5",
        "123456789012345678901234567890",
        "1.7976931348623157e308",
        "5e-324",
        "0.30000000000000004",
        '"\\ud83d"',
        '"\\ud83d\\ude00"',
        '"\\u0000\\u007f\\u2028\\/"',
        "[NaN, Infinity, -Infinity]",
        '{"é": "é", "z": 1, "Z": 2, "": 3, "\\ud800": 4}',
    ],
)
def test_odd_texts_are_read_as_fedmsg_reads_them(encoder: Lines, text: str) -> None:
    assert canonical.dumps(canonical.loads(text.encode())).decode() == encoder.ask_text(text)


def test_every_real_message(encoder: Lines) -> None:
    for line in bridging.REAL.read_text("utf-8").splitlines():
        assert canonical.dumps(canonical.loads(line.encode())).decode() == encoder.ask_text(line)
