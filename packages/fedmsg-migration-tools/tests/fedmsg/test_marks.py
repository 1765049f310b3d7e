# SPDX-License-Identifier: MIT
"""A bridge knows what a bridge has brought."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given

from fedmsg_migration_tools.fedmsg import envelope, marks

from .json_texts import REAL, envelopes


def parsed(rest: bytes) -> envelope.Envelope:
    return envelope.parse([b"a", b'{"msg":{"username":"amqp-bridge"}' + rest + b"}"])


@pytest.mark.parametrize(
    "rest",
    [
        b',"username":"amqp-bridge"',
        b',"username":"amqp\\u002dbridge"',
        b',"username":"fred","username":"amqp-bridge"',
        b',"headers":{"fedmsg_bridge":"amqp_to_zmq@host"}',
        b',"headers":{ "a" : NaN , "fedmsg\\u005fbridge" : null }',
        b',"username":"fred","headers":{"fedmsg_bridge":' + b"1" * 5000 + b"}",
    ],
)
def test_messages_that_a_bridge_brought(rest: bytes) -> None:
    assert marks.bears_mark(parsed(rest))


@pytest.mark.parametrize(
    "rest",
    [
        b"",
        b',"username":"fred"',
        b',"username":"fred","username ":"amqp-bridge"',
        b',"username":["amqp\\u002dbridge"]',
        b',"username":"\\ud800"',
        b',"username":null,"headers":null',
        b',"headers":["fedmsg_bridge"]',
        b',"headers":{"a":"fedmsg_bridge"}',
        b',"headers":{"a":{"fedmsg_bridge":"x"}}',
        b',"headers":{"fedmsg_bridges":"\\"fedmsg_bridge\\""}',
    ],
)
def test_messages_that_none_brought(rest: bytes) -> None:
    assert not marks.bears_mark(parsed(rest))


def test_no_real_message_of_a_publisher_bears_one() -> None:
    messages = [envelope.parse([b"a", text]) for text in REAL]
    assert sum(map(marks.bears_mark, messages)) == sum(b"amqp-bridge" in text for text in REAL)


@given(envelopes())
def test_a_mark_is_what_the_decoded_envelope_says(frames: tuple[bytes, bytes]) -> None:
    message = envelope.parse(frames)
    headers = message.value("headers")
    expected = message.value("username") == marks.BRIDGE_USER or (
        isinstance(headers, dict) and marks.BRIDGE in headers
    )
    assert marks.bears_mark(message) == expected


def test_headers_of_amqp_bear_it_by_name() -> None:
    assert marks.headers_bear_mark({marks.BRIDGE: "zmq_to_amqp@host"})
    assert not marks.headers_bear_mark({"fedmsg_bridges": marks.BRIDGE})
    assert not marks.headers_bear_mark({})
    assert not marks.headers_bear_mark(None)


def test_all_headers_of_ours_begin_alike_and_are_explained() -> None:
    own = {name: value for name, value in vars(marks).items() if name.isupper()}
    names = {own[name] for name in own.keys() - {"TYPE_CHECKING", "BRIDGE_USER", "PREFIX"}}
    assert len(names) == 15
    assert all(name.startswith(marks.PREFIX) for name in names)
    page = (Path(__file__).parents[4] / "docs" / "reference" / "bridge-wire.md").read_text()
    assert names <= set(re.findall(r"`(fedmsg_\w+)`", page))
