# SPDX-License-Identifier: MIT
"""Requests as fedmsg's client sends them, and requests as nobody should."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmsg_migration_tools.fedmsg.replay import BadQuery, Query, error, parse


@pytest.mark.parametrize(
    ("request_", "query"),
    [
        (b'{"seq_id":5}', Query(seq_ids=(5,))),
        (b'{"seq_ids":[7,5,7]}', Query(seq_ids=(7, 5, 7))),
        (b'{"seq_id_range":[10,20]}', Query(seq_id_range=(10, 20))),
        (b'{"msg_id":"2019-1"}', Query(msg_ids=("2019-1",))),
        (b'{"msg_ids":["2019-1","2"]}', Query(msg_ids=("2019-1", "2"))),
        (b'{"time":[1564513942,1564513943.5]}', Query(time=(1564513942.0, 1564513943.5))),
        (b'{"msg_id":"2019-1","seq_id":3,"seq_ids":[1]}', Query(seq_ids=(1, 3), msg_ids=("2019-1",))),
        # What no message can have is nothing to find, and no reason to fail.
        (b'{"seq_ids":[-1,%d]}' % 10**30, Query()),
        (b'{"seq_id_range":[-%d,%d]}' % (10**30, 10**30), Query(seq_id_range=(-(2**63) + 1, 2**63 - 1))),
        (b'{"msg_id":"\\ud800"}', Query()),
        (b'{"time":[-Infinity,Infinity]}', Query(time=(float("-inf"), float("inf")))),
    ],
)
def test_what_fedmsg_asks_is_understood(request_: bytes, query: Query) -> None:
    assert parse(request_) == query


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        (b"", "is no JSON"),
        (b"\xff", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b'"seq_id"', "has to be an object with one of seq_id, seq_ids, "),
        (b"{}", "has to be an object with one of"),
        (b'{"seq_id":1,"foo":2}', "unknown field 'foo': ask for one of"),
        (b'{"seq_id":true}', "seq_id has to be a whole number"),
        (b'{"seq_id":1.0}', "seq_id has to be a whole number"),
        (b'{"seq_ids":5}', "seq_ids has to be a list of at most 10000 whole numbers"),
        (b'{"seq_ids":["5"]}', "seq_ids has to be a list"),
        (json.dumps({"seq_ids": [1] * 10_001}).encode(), "seq_ids has to be a list of at most 10000"),
        (b'{"seq_id_range":[1]}', "seq_id_range has to be a list of two whole numbers"),
        (b'{"seq_id_range":[1,2,3]}', "seq_id_range has to be"),
        (b'{"seq_id_range":[1,null]}', "seq_id_range has to be"),
        (b'{"msg_id":5}', "msg_id has to be a string"),
        (b'{"msg_ids":"2019-1"}', "msg_ids has to be a list"),
        (b'{"time":1564513942}', "time has to be a list of two timestamps"),
        (b'{"time":[NaN,5]}', "time has to be a list of two timestamps"),
        (b'{"time":[1,%d]}' % 10**400, "time has to be a list of two timestamps"),
        (b'{"msg_id":"' + b"x" * 2**20 + b'"}', "a request may have 1048576 bytes"),
    ],
)
def test_anything_else_is_told_why(request_: bytes, told: str) -> None:
    with pytest.raises(BadQuery) as caught:
        parse(request_)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
KEYS = st.sampled_from(["seq_id", "seq_ids", "seq_id_range", "msg_id", "msg_ids", "time"])


@given(
    st.binary()
    | JSON.map(json.dumps).map(str.encode)
    | st.dictionaries(KEYS, JSON).map(json.dumps).map(str.encode)
)
def test_no_request_does_anything_else_than_parse_or_be_refused(request_: bytes) -> None:
    try:
        query = parse(request_)
    except BadQuery:
        return
    assert all(0 <= number < 2**63 for number in query.seq_ids)
    assert all(text.encode() for text in query.msg_ids if text)


def test_an_error_is_one_part_that_is_no_json() -> None:
    [part] = error("no message \ud800 matches")
    assert part == b"error: 'no message \\ud800 matches'"
    with pytest.raises(ValueError, match="Expecting value"):
        json.loads(part)
