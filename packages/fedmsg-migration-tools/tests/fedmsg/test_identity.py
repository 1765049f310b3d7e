# SPDX-License-Identifier: MIT
"""The same message has the same id, and the same second, on both sides."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmsg_migration_tools.fedmsg import envelope, identity

from .json_texts import REAL

DERIVED = re.compile(
    r"(\d{4}-)?[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
).fullmatch


def identified(text: bytes, topic: bytes = b"org.example.a") -> str:
    return identity.message_id(envelope.parse([topic, text]))


@pytest.mark.parametrize("msg_id", ["2018-1fe3e85a", "x", "é", "a" * 255])
def test_the_id_of_the_message_is_the_id(msg_id: str) -> None:
    assert identified(b'{"msg":{},"msg_id":"%s"}' % msg_id.encode()) == msg_id


@pytest.mark.parametrize(
    "msg_id",
    [b"null", b"1", b'""', b'"%s"' % (b"a" * 256), b'"\\u0000"', b'"\\ud800"', b'["a"]', b"1" * 5000],
)
def test_what_cannot_be_an_id_is_part_of_what_one_is_derived_from(msg_id: bytes) -> None:
    found = identified(b'{"msg":{},"msg_id":%s}' % msg_id)
    assert DERIVED(found)
    assert found != identified(b'{"msg":{}}')


def test_what_is_derived_can_be_derived_by_others() -> None:
    digest = hashlib.sha256(b'org.example.a\0"i"\x003\0"msg"\0{"a": 1}\0"timestamp"\x001564513942').digest()
    expected = f"2019-{uuid.UUID(bytes=digest[:16], version=5)}"
    assert (
        identified(b'{"timestamp":1564513942,"i":3,"topic":"b","msg":{"a": 1},"crypto":"x509"}') == expected
    )


def test_what_is_added_on_the_way_changes_nothing() -> None:
    plain = identified(b'{"msg":{},"i":1}')
    for key in (
        "crypto",
        "signature",
        "certificate",
        "headers",
        "seq_id",
        "source_name",
        "source_version",
        "topic",
    ):
        assert identified(b'{"%s":"x","i":1,"msg":{}}' % key.encode()) == plain
    for other in (
        b'{"msg":{"a":1},"i":1}',
        b'{"msg":{},"i":2}',
        b'{"msg":{},"i":1,"link":""}',
        b'{"msg":{}}',
    ):
        assert identified(other) != plain
    assert identified(b'{"msg":{},"i":1}', b"org.example.b") != plain


def test_different_real_messages_get_different_ids() -> None:
    messages = [envelope.parse([json.loads(text)["topic"].encode(), text]) for text in REAL]
    without = [one for one in messages if "msg_id" not in one.fields]
    different = {(one.topic, one.body, one.fields.get("timestamp"), one.fields.get("i")) for one in without}
    assert len({identity.message_id(one) for one in without}) == len(different) > 100
    assert all(DERIVED(identity.message_id(one)) for one in without)


@pytest.mark.parametrize(
    ("timestamp", "second"),
    [
        (b"0", 0), (b"1564513942", 1564513942), (b"1564513942.9", 1564513942), (b"1.5e9", 1500000000), (b"-1", -1),
        (b"-1.5", -2), (b"-62135596800", -62135596800), (b"253402300799", 253402300799), (b"-0.0", 0),
    ],
)  # fmt: skip
def test_timestamps_that_name_a_second(timestamp: bytes, second: int) -> None:
    assert identity.second_of(timestamp) == second
    assert identity.seconds(identity.iso(second)) == second


@pytest.mark.parametrize(
    "timestamp",
    [b"null", b"true", b'"1564513942"', b"NaN", b"-Infinity", b"1e300", b"1e400", b"253402300800", b"-62135596801",
     b"9" * 5000, b"[1]", b"-62135596800.5"],
)  # fmt: skip
def test_timestamps_that_name_none(timestamp: bytes) -> None:
    assert identity.second_of(timestamp) is None


def test_sent_at_is_written_as_the_bus_writes_it() -> None:
    assert identity.iso(1564513942) == "2019-07-30T19:12:22+00:00"
    assert identity.iso(-62135596800) == "0001-01-01T00:00:00+00:00"


@pytest.mark.parametrize(
    "sent_at",
    [
        "2019-07-30T19:12:22+00:00", "2019-07-30T21:12:22+02:00", "2019-07-30T19:12:22", "2019-07-30T19:12:22.75Z",
        dt.datetime(2019, 7, 30, 19, 12, 22, tzinfo=dt.UTC),
    ],
)  # fmt: skip
def test_sent_at_is_read_in_any_zone(sent_at: object) -> None:
    assert identity.seconds(sent_at) == 1564513942


@pytest.mark.parametrize(
    "sent_at", [None, "", "yesterday", 1564513942, b"2019-07-30", "2019-13-01", ["2019"]]
)
def test_what_is_no_sent_at_is_none(sent_at: object) -> None:
    assert identity.seconds(sent_at) is None


@given(st.text() | st.datetimes(timezones=st.timezones()).map(dt.datetime.isoformat))
def test_no_sent_at_is_an_error(sent_at: str) -> None:
    second = identity.seconds(sent_at)
    assert identity.with_year("id", second or 0).endswith("id")


def test_the_year_is_put_in_front_once() -> None:
    assert identity.with_year("1fe3e85a-0000", 1564513942) == "2019-1fe3e85a-0000"
    assert identity.with_year("2018-1fe3e85a-0000", 1564513942) == "2018-1fe3e85a-0000"
    assert identity.with_year("12345678-0000", 1564513942) == "2019-12345678-0000"
    assert identity.with_year("a", -62135596801) == "a"
