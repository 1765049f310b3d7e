# SPDX-License-Identifier: MIT
"""Deliveries and confirms read by the short way are those that pika reads."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pika import BasicProperties, frame, spec

from fedora_messaging.transports.base import ChannelEvents, Incoming
from fedora_messaging.transports.shortcuts import Shortcuts

CONSUMER = "ctag1.0"
text = st.text(max_size=30).filter(lambda one: "\0" not in one)
values = st.one_of(
    st.booleans(), st.integers(-(2**31), 2**31 - 1), text, st.none(), st.lists(st.integers(0, 9))
)
properties = st.builds(
    BasicProperties,
    content_type=st.one_of(st.none(), text.filter(bool)),
    headers=st.one_of(st.none(), st.dictionaries(text.filter(bool), values, max_size=4)),
    delivery_mode=st.sampled_from([None, 1, 2]),
    message_id=st.one_of(st.none(), text.filter(bool)),
)


class Told(ChannelEvents):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.deliveries: list[Incoming] = []
        self.confirms: list[tuple[int, bool]] = []

    def delivered(self, message: Incoming) -> None:
        self.deliveries.append(message)

    def confirmed(self, tag: int, multiple: bool) -> None:
        self.confirms.append((tag, multiple))


def frames_of(message: Incoming, pieces: list[bytes]) -> list[bytes]:
    method = spec.Basic.Deliver(
        message.consumer, message.tag, message.redelivered, message.exchange, message.topic
    )
    head = [frame.Method(1, method), frame.Header(1, len(message.body), message.properties)]
    return [one.marshal() for one in [*head, *(frame.Body(1, piece) for piece in pieces)]]


def told_of(data: list[bytes]) -> tuple[Told, list[bool]]:
    told = Told()
    shortcuts = Shortcuts(told)
    shortcuts.consumers.add(CONSUMER)
    return told, [shortcuts.take(one) for one in data]


messages = st.builds(
    Incoming,
    st.integers(1, 2**63),
    text,
    text,
    properties,
    st.binary(max_size=60),
    st.booleans(),
    st.just(CONSUMER),
)


@given(messages, st.integers(1, 20))
def test_deliveries_are_read_as_they_were_sent(message: Incoming, size: int) -> None:
    pieces = [message.body[start : start + size] for start in range(0, len(message.body), size)]
    told, taken = told_of(frames_of(message, pieces) * 2)
    assert all(taken)
    assert len(told.deliveries) == 2
    for got in told.deliveries:
        assert (got.tag, got.exchange, got.topic) == (message.tag, message.exchange, message.topic)
        assert (got.body, got.redelivered, got.fault) == (message.body, message.redelivered, None)
        assert got.properties == message.properties


@given(st.integers(1, 2**64 - 1), st.booleans())
def test_confirms_are_read(tag: int, multiple: bool) -> None:
    told, taken = told_of([frame.Method(1, spec.Basic.Ack(tag, multiple)).marshal()])
    assert taken == [True]
    assert told.confirms == [(tag, multiple)]


def test_what_is_neither_is_left_to_pika() -> None:
    returned = frame.Method(1, spec.Basic.Return(312, "NO_ROUTE", "x", "y")).marshal()
    header = frame.Header(1, 1, BasicProperties()).marshal()
    others = [
        returned,
        header,
        frame.Body(1, b"x").marshal(),
        frame.Method(1, spec.Basic.Nack(1)).marshal(),
        frame.Method(1, spec.Basic.Deliver("another", 1, False, "x", "y")).marshal(),
        frame.Method(1, spec.Channel.Close(404, "NOT_FOUND", 0, 0)).marshal(),
    ]
    told, taken = told_of(others)
    assert not any(taken)
    assert not told.deliveries


def test_unreadable_properties_are_the_fault_of_their_message_alone() -> None:
    good = Incoming(2, "x", "t", BasicProperties(), b"{}", False, CONSUMER)
    header = (60).to_bytes(2, "big") + bytes(2) + (2).to_bytes(8, "big")
    table = b"\x01n" + b"?unknown"  # a header "n" of a type that is none
    payload = header + (1 << 13).to_bytes(2, "big") + len(table).to_bytes(4, "big") + table
    bad = bytes([2]) + (1).to_bytes(2, "big") + len(payload).to_bytes(4, "big") + payload + b"\xce"
    data = frames_of(good, [b"{}"])
    told, taken = told_of([data[0], bad, data[2], *data])
    assert all(taken)
    assert told.deliveries[0].fault is not None
    assert told.deliveries[1].fault is None
