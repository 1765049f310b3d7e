# SPDX-License-Identifier: MIT
"""The frames of a publish are, byte for byte, those that pika makes."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from pika import BasicProperties, frame, spec

from fedora_messaging.transports.base import Outgoing
from fedora_messaging.transports.frames import publish

short = st.text(max_size=40).filter(lambda text: len(text.encode()) <= 255 and "\0" not in text)
values = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.text(max_size=200),
    st.none(),
    st.lists(st.integers(0, 9), max_size=3),
    st.just(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
)
optional = st.one_of(st.none(), short.filter(bool))
properties = st.builds(
    BasicProperties,
    content_type=optional,
    content_encoding=optional,
    headers=st.one_of(st.none(), st.dictionaries(short.filter(bool), values, max_size=6)),
    delivery_mode=st.sampled_from([None, 1, 2]),
    priority=st.one_of(st.none(), st.integers(0, 255)),
    correlation_id=optional,
    expiration=st.sampled_from([None, "1000"]),
    message_id=optional,
    timestamp=st.sampled_from([None, 1_500_000_000]),
    user_id=optional,
)


def by_pika(channel: int, message: Outgoing, limit: int) -> bytes:
    method = spec.Basic.Publish(
        exchange=message.exchange, routing_key=message.topic, mandatory=message.mandatory
    )
    frames = [
        frame.Method(channel, method),
        frame.Header(channel, len(message.body), message.properties),
    ]
    count = math.ceil(len(message.body) / limit)
    frames += [frame.Body(channel, message.body[i * limit : (i + 1) * limit]) for i in range(count)]
    return b"".join(one.marshal() for one in frames)


@given(
    st.integers(1, 2047),
    st.builds(Outgoing, short, short, properties, st.binary(max_size=100), st.booleans()),
    st.integers(1, 40),
)
def test_publish_is_what_pika_encodes(channel: int, message: Outgoing, limit: int) -> None:
    assert publish(channel, message, limit) == by_pika(channel, message, limit)


def test_equal_headers_of_different_types_are_not_confused() -> None:
    for value in (1, True, 0, False):
        message = Outgoing("x", "t", BasicProperties(headers={"n": value}, delivery_mode=2), b"{}")
        assert publish(1, message, 100) == by_pika(1, message, 100)
