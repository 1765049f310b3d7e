# SPDX-License-Identifier: MIT
"""Messages that are none, from a real broker: set aside, counted, logged once, and the next one is processed."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from struct import pack
from typing import TYPE_CHECKING

import pytest

from fedora_messaging.aio import Session

from .raw import ENCODING, HEADERS, ID, MODE, TYPE, Raw, long, short
from .support import channel, consuming, drain, eventually, numbered, settings, soon

if TYPE_CHECKING:
    from fedora_messaging.message import Message

GOOD = TYPE | ENCODING | HEADERS | MODE | ID
NAME = b"message-of-test"


def properties(fields: bytes = b"", encoding: bytes = b"utf-8", kind: bytes = b"application/json") -> bytes:
    """Such as every client sends, with these bytes as the table of headers."""
    return short(kind) + short(encoding) + long(fields) + b"\x02" + short(NAME)


def field(name: bytes, value: bytes) -> bytes:
    """A header: ``value`` begins with the letter of its type."""
    return short(name) + value


def nested(depth: int) -> bytes:
    return b'{"n": ' + b"[" * depth + b"]" * depth + b"}"


def nested_table(depth: int) -> bytes:
    table = b""
    for _ in range(depth):
        table = field(b"t", b"F" + long(table))
    return table


BODY = b'{"n": 7}'
SEVERITY = b"fedora_messaging_severity"
# RabbitMQ lets no header through that is cut off or of a type it does not know: it ends that publisher's connection.
UNDECODABLE = {
    "not JSON": (b"{'n': 7}", properties()),
    "empty": (b"", properties()),
    "an array": (b"[1, 2]", properties()),
    "a string": (b'"text"', properties()),
    "null": (b"null", properties()),
    "cut off": (b'{"n": 7', properties()),
    "invalid UTF-8": (b'{"n": "\xff\xfe"}', properties()),
    "unknown encoding": (BODY, properties(encoding=b"no-such-encoding")),
    "an encoding that is none": (BODY, properties(encoding=b"hex")),
    "encoding with a zero": (BODY, properties(encoding=b"utf\x008")),
    "nested 100,000 times": (nested(100_000), properties()),
    "time out of range": (BODY, properties(field(b"x", b"T" + b"\xff" * 8))),
    "headers nested 15,000 times": (BODY, properties(nested_table(15_000))),
    "severity is a table": (BODY, properties(field(SEVERITY, b"F" + long(field(b"a", b"V"))))),
    "severity out of range": (BODY, properties(field(SEVERITY, b"l" + pack(">q", -(2**63))))),
    "schema is a number": (BODY, properties(field(b"fedora_messaging_schema", b"I" + pack(">i", 7)))),
    "schema is not UTF-8": (BODY, properties(field(b"fedora_messaging_schema", b"S" + long(b"\xff\xfe")))),
}
READABLE = {
    "10 MB": (json.dumps({"n": 7, "filling": "x" * 10_000_000}).encode(), GOOD, properties()),
    "nested 200 times": (nested(200), GOOD, properties()),
    "no headers": (BODY, TYPE | ENCODING | MODE | ID, properties().replace(long(b""), b"")),
    "no properties": (BODY, 0, b""),
    "no encoding": (BODY, TYPE | HEADERS | MODE, short(b"application/json") + long(b"") + b"\x02"),
    "another content type": (BODY, GOOD, properties(kind=b"text/plain")),
    "headers of odd types": (
        BODY,
        GOOD,
        properties(
            field(b"void", b"V")
            + field(b"float", b"f" + pack(">f", 1.5))
            + field(b"double", b"d" + pack(">d", 2.5))
            + field(b"byte", b"b\xff")
            + field(b"unsigned", b"B\xff")
            + field(b"short", b"s" + pack(">h", -7))
            + field(b"long", b"l" + pack(">q", 2**62))
            + field(b"time", b"T" + pack(">Q", 1_700_000_000))
            + field(b"bytes", b"x" + long(b"\xff\0"))
            + field(b"array", b"A" + long(b"t\1" + b"S" + long(b"x")))
            + field(b"decimal", b"D\x02" + pack(">I", 314))
            + field(b"table", b"F" + long(field(b"inner", b"t\0")))
        ),
    ),
}


def prepare(url: str) -> dict[str, object]:
    """Settings with a dead-letter exchange; the queues are there."""
    arguments = {"x-dead-letter-exchange": "amq.fanout"}
    with channel(url) as ch:
        ch.queue_declare("dead", durable=True)
        ch.queue_bind("dead", "amq.fanout")
        ch.queue_declare("faults", durable=True, arguments=arguments)
        ch.queue_bind("faults", "amq.topic", "#")
    queue = {"durable": True, "auto_delete": False, "exclusive": False, "arguments": arguments}
    return settings(url, queues={"faults": queue})


def dead(url: str) -> int:
    """How many messages are in the dead-letter queue; they are not read: some clients cannot."""
    with channel(url) as ch:
        return int(ch.queue_declare("dead", passive=True).method.message_count)


@pytest.mark.parametrize("what", UNDECODABLE)
def test_it_is_set_aside(amqp_url: str, caplog: pytest.LogCaptureFixture, what: str) -> None:
    body, props = UNDECODABLE[what]
    conf = prepare(amqp_url)
    with Raw(amqp_url) as raw:
        raw.publish(body, GOOD, props)
    taken: list[Message] = []

    async def scenario() -> None:
        async with Session(conf) as session, consuming(session, taken.append):
            await session.publish(numbered([1])[0])
            await soon(lambda: taken, "the next message", 20)
            assert session.statistics.invalid == 1
            assert session.statistics.reconnects == 0

    with caplog.at_level(logging.WARNING, "fedora_messaging"):
        asyncio.run(scenario())
    assert [message.body["n"] for message in taken] == [1]
    about = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(about) == 1
    text = about[0].getMessage()
    assert "faults.raw" in text
    assert NAME.decode() in text or "cannot be read" in text
    assert "\n" not in text
    assert len(text) < 1000
    assert dead(amqp_url) == 1
    assert not drain(amqp_url)


@pytest.mark.parametrize("what", READABLE)
def test_it_is_taken(amqp_url: str, what: str) -> None:
    body, flags, props = READABLE[what]
    conf = prepare(amqp_url)
    with Raw(amqp_url) as raw:
        raw.publish(body, flags, props)
    taken: list[Message] = []

    async def scenario() -> None:
        async with Session(conf) as session, consuming(session, taken.append):
            await soon(lambda: taken, "the message", 20)
            assert session.statistics.invalid == 0

    asyncio.run(scenario())
    assert taken[0].topic == "faults.raw"
    assert taken[0].body == json.loads(body)
    assert dead(amqp_url) == 0
    assert not drain(amqp_url)


def test_ten_thousand_bad_ones_do_not_hold_up_the_good(
    amqp_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    conf = prepare(amqp_url)
    taken: list[Message] = []
    with channel(amqp_url) as ch:
        for _ in range(10_000):
            ch.basic_publish("amq.topic", "faults.bad", b"[]")

    async def scenario() -> float:
        async with Session(conf) as session, consuming(session, taken.append):
            started = time.monotonic()
            await session.publish(numbered([1])[0])
            await soon(lambda: taken, "the good message")
            assert session.statistics.invalid == 10_000
            return time.monotonic() - started

    caplog.set_level(logging.CRITICAL, "fedora_messaging")
    asyncio.run(scenario())
    eventually(
        lambda: dead(amqp_url) == 10_000, "10,000 dead letters: the broker writes them when it has time"
    )
