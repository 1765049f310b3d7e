# SPDX-License-Identifier: MIT
"""Frames are cut as Python's json would, and what cannot be is refused with its reason."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmsg_migration_tools.exceptions import Reason, Unbridgeable
from fedmsg_migration_tools.fedmsg import envelope

from .json_texts import REAL, envelopes, objects, strings, texts

TOPIC = b"org.example.prod.shop.order.paid"
TOKENS = [
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    '"',
    "\\",
    "\\u",
    "d800",
    "-",
    "0",
    "1",
    ".",
    "e",
    "NaN",
    "tru",
    " ",
    "\x1f",
    "é",
]


def reason_of(frames: list[bytes]) -> Reason:
    with pytest.raises(Unbridgeable) as caught:
        envelope.parse(frames)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
    return caught.value.reason


def outcome(call: Any, data: bytes) -> Any:
    try:
        return call(data)
    except ValueError:
        return "refused"


def as_python_reads(data: bytes) -> Any:
    value = json.loads(data.decode())
    return repr(value) if isinstance(value, dict) else "refused"


def decoded(call: Any, data: bytes) -> str:
    return repr({key: json.loads(text) for key, text in call(data).items()})


def test_every_real_message_is_cut_into_its_values() -> None:
    for text in REAL:
        expected = json.loads(text)
        message = envelope.parse([expected["topic"].encode(), text])
        assert message.topic == expected["topic"]
        assert message.as_dict() == expected
        assert message.body in text
        assert message.value("msg") == expected["msg"]
        assert message.value("no such key") is None


@given(
    st.one_of(
        objects(texts),
        texts,
        st.lists(st.sampled_from(TOKENS), max_size=12).map("".join),
        st.tuples(strings(), texts, st.lists(st.sampled_from(TOKENS), max_size=3)).map(
            lambda parts: "{" + parts[0] + ":" + parts[1] + "".join(parts[2]) + "}"
        ),
    ).map(str.encode)
    | st.binary(max_size=20)
    | st.binary(max_size=6).map(lambda raw: b'{"a":"' + raw + b'"}')
)
def test_both_scanners_take_what_python_takes_and_cut_alike(data: bytes) -> None:
    expected = outcome(as_python_reads, data)
    assert outcome(lambda text: decoded(envelope.split, text), data) == expected
    assert outcome(envelope._split_slowly, data) == outcome(envelope.split, data)


@given(envelopes())
def test_values_are_kept_in_the_text_they_came_in(frames: tuple[bytes, bytes]) -> None:
    message = envelope.parse(frames)
    assert all(text in frames[1] and text.strip() == text for text in message.fields.values())
    assert repr(message.as_dict()) == repr(json.loads(frames[1]))


def test_the_frame_rules_over_the_topic_within() -> None:
    message = envelope.parse([TOPIC, b'{"topic": "other", "msg": {}}'])
    assert message.topic == TOPIC.decode()
    assert message.fields["topic"] == b'"other"'


@pytest.mark.parametrize("frames", [[], [b""], [TOPIC], [TOPIC, b"{}", b""]], ids=len)
def test_not_two_frames(frames: list[bytes]) -> None:
    assert reason_of(frames) is Reason.FRAMES


@pytest.mark.parametrize("topic", [b"\xff", b"a" * 256, "é".encode() * 128, b"a\0b"])
def test_topics_that_amqp_does_not_hold(topic: bytes) -> None:
    assert reason_of([topic, b'{"msg":{}}']) is Reason.TOPIC


@pytest.mark.parametrize("topic", [b"", b"a" * 255, "é".encode() * 127, b"a b\n*.#"])
def test_topics_that_it_does(topic: bytes) -> None:
    assert envelope.parse([topic, b'{"msg":{}}']).topic.encode() == topic


@pytest.mark.parametrize(
    "text",
    [
        b"", b"\0", b"null", b"[]", b"{", b'{"msg":{}}x', b'{"msg":{}}\0', b'{"msg":{"a":"\xff"}}',
        b'\xef\xbb\xbf{"msg":{}}',
        b'{"msg":' + b"[" * 100_000, b'{"msg":' + b'{"a":' * 100_000, b'{"msg":' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"msg":NaN,' + b"[" * 100_000, b" " * 5_000_000, b'{"a":NaN' + b" " * 5_000_000 + b"x", b"{" * 10_000_000,
        b'{"msg":{"a":"' + b"a" * 10_000_000,
    ],
    ids=range(17),
)  # fmt: skip
def test_envelopes_that_are_no_json_object(text: bytes) -> None:
    assert reason_of([TOPIC, text]) is Reason.JSON


@pytest.mark.parametrize(
    "text", [b"{}", b'{"msg":[]}', b'{"msg":null}', b'{"msg":{},"msg":1}', b'{"msg":"{}"}']
)
def test_bodies_that_are_no_object(text: bytes) -> None:
    assert reason_of([TOPIC, text]) is Reason.BODY


def test_large_messages_pass() -> None:
    text = b'{"msg":{"a":"' + b"a" * 10_000_000 + b'"}}'
    assert len(envelope.parse([TOPIC, text]).body) == len(text) - 8


def test_an_integer_beyond_what_python_reads_passes_until_it_is_asked_for() -> None:
    digits = b"1" * 5000
    message = envelope.parse([TOPIC, b'{"msg":{"a":%s},"i":%s,"b":NaN}' % (digits, digits)])
    assert message.body == b'{"a":%s}' % digits
    with pytest.raises(Unbridgeable, match="'i' cannot be decoded"):
        message.value("i")
    with pytest.raises(Unbridgeable):
        message.as_dict()


@given(st.lists(st.binary(max_size=300) | texts.map(str.encode), max_size=3))
def test_nothing_but_unbridgeable_comes_of_garbage(frames: list[bytes]) -> None:
    with contextlib.suppress(Unbridgeable):
        envelope.parse(frames)
