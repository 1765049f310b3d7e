# SPDX-License-Identifier: MIT
"""Messages: built, compared, validated, read from the wire and from files.

What is asserted about attributes and headers was seen with fedora-messaging 3.9.1.
"""

from __future__ import annotations

import copy
import json
import logging
import pickle
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pika
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedora_messaging import config, exceptions, message
from fedora_messaging.message import Message, dumps, get_class, get_message, get_name, load_message, loads
from fedora_messaging.schema_utils import user_avatar_url

REAL = Path(__file__).parents[3] / "tests" / "data" / "real-fedmsg-messages.jsonl"
ENVELOPES = [json.loads(line) for line in REAL.read_text().splitlines()]


class Full(Message):
    """A message that is about something of each kind."""

    topic = "full"
    severity = message.WARNING
    body_schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}  # noqa: RUF012
    groups = ["g"]  # noqa: RUF012
    packages = ["p", "p"]  # noqa: RUF012
    containers = ["c"]  # noqa: RUF012
    modules = ["m"]  # noqa: RUF012
    flatpaks = None  # type: ignore[assignment] # a careless package

    @property
    def usernames(self) -> list[str]:
        return [self.body["name"]]

    @property
    def agent_name(self) -> str:
        return self.body["name"]  # type: ignore[no-any-return]


class Old(Message):
    """A message that has a successor."""

    deprecated = True


class Strange(Message):
    """A message whose class is not careful."""

    def validate(self) -> None:
        raise OSError("the disk")


for _cls in (Full, Old, Strange):
    message._class_to_schema_name[_cls] = f"test_message.{_cls.__name__}"
    message._schema_name_to_class[f"test_message.{_cls.__name__}"] = _cls


@pytest.fixture
def conf(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(config.conf, "loaded", True)
    for key in ("topic_prefix", "publish_priority"):
        monkeypatch.setitem(config.conf, key, config.DEFAULTS[key])
    return config.conf


def properties(**changes: Any) -> pika.BasicProperties:
    """The properties of a proper message, but for ``changes``."""
    headers = {"fedora_messaging_schema": "base.message", "fedora_messaging_severity": 20}
    usual = {
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "headers": headers,
        "message_id": "an-id",
        "delivery_mode": 2,
    }
    return pika.BasicProperties(**{**usual, **changes})


def received(body: bytes = b'{"a": 1}', topic: str = "a.topic", **changes: Any) -> Message:
    return get_message(topic, properties(**changes), body)


# Building


def test_a_new_message_has_all_that_the_wire_format_asks_for() -> None:
    built = Message({"a": 1}, topic="a.topic")
    headers = dict(built._headers)
    assert abs(datetime.fromisoformat(headers["sent-at"]) - datetime.now(UTC)) < timedelta(seconds=5)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", headers.pop("sent-at"))
    assert headers == {
        "fedora_messaging_schema": "base.message",
        "fedora_messaging_schema_package": "fedora_messaging",
        "fedora_messaging_severity": 20,
        "priority": 0,
    }
    own = built._properties
    assert (own.content_type, own.content_encoding, own.delivery_mode) == ("application/json", "utf-8", 2)
    assert re.fullmatch(
        r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", own.message_id
    )
    assert own.priority is None
    assert (built.queue, built.severity, built.priority) == (None, message.INFO, 0)


def test_an_empty_message() -> None:
    assert (Message().body, Message().topic, Message(body=None, severity=0).severity) == (
        {},
        "",
        message.INFO,
    )


def test_ids_differ() -> None:
    assert Message().id != Message().id


def test_the_class_gives_topic_severity_and_headers() -> None:
    built = Full({"name": "bob"})
    assert (built.topic, built.severity) == ("full", message.WARNING)
    assert built._headers["fedora_messaging_severity"] == message.WARNING
    assert "fedora_messaging_schema_package" not in built._headers
    assert {key for key, value in built._headers.items() if value is True} == {
        "fedora_messaging_user_bob",
        "fedora_messaging_group_g",
        "fedora_messaging_rpm_p",
        "fedora_messaging_container_c",
        "fedora_messaging_module_m",
    }


def test_arguments_win_over_the_class() -> None:
    built = Full({"name": "bob"}, topic="another", severity=message.ERROR)
    assert (built.topic, built.severity) == ("another", message.ERROR)
    assert built._headers["fedora_messaging_severity"] == message.ERROR


def test_own_headers_are_added_but_do_not_replace() -> None:
    given_headers = {
        "x": 1,
        "fedora_messaging_schema": "other",
        "sent-at": "then",
        "fedora_messaging_severity": 5,
    }
    built = Message(headers=given_headers)
    assert built._headers is not given_headers
    assert (built._headers["x"], built._headers["sent-at"]) == (1, "then")
    assert built._headers["fedora_messaging_schema"] == "base.message"
    assert built._headers["fedora_messaging_severity"] == message.INFO


def test_complete_properties_are_taken_as_they_are() -> None:
    own = properties(headers={"z": 1})
    built = Message(properties=own, headers={"y": 1}, severity=message.ERROR)
    assert built._properties is own
    assert (built._headers, built.severity) == ({"z": 1}, message.ERROR)


def test_a_body_that_does_not_tell_costs_a_header_only(caplog: pytest.LogCaptureFixture) -> None:
    built = Full({})
    assert "fedora_messaging_group_g" in built._headers
    assert ["usernames" in record.getMessage() for record in caplog.records] == [True]


def test_an_unregistered_class_is_a_type_error() -> None:
    class Unregistered(Message):
        pass

    with pytest.raises(TypeError, match="entry points"):
        Unregistered()


def test_settings(conf: Any) -> None:
    conf["topic_prefix"] = "org.example"
    conf["publish_priority"] = 7
    built = Message(topic="a", headers={"priority": 3})
    assert (built.topic, built._encoded_routing_key) == ("a", "org.example.a")
    assert (built.priority, built._properties.priority, built._headers["priority"]) == (7, 7, 7)


def test_id_and_priority_can_be_set() -> None:
    built = Message()
    built.id, built.priority = "an-id", 4
    assert (built._properties.message_id, built._properties.priority, built._headers["priority"]) == (
        "an-id",
        4,
        4,
    )
    built.priority = None
    assert (built.priority, built._headers["priority"]) == (0, 0)


def test_the_headers_can_be_replaced() -> None:
    built = Message()
    built._headers = {"a": 1}
    assert built._properties.headers == {"a": 1}
    assert Message(properties=pika.BasicProperties())._headers == {}


def test_defaults_of_what_packages_override() -> None:
    built = Message(topic="a")
    assert built.summary == "a"
    assert [built.url, built.app_name, built.app_icon, built.agent_name, built.agent_avatar] == [None] * 5
    assert [
        built.usernames,
        built.groups,
        built.packages,
        built.containers,
        built.modules,
        built.flatpaks,
    ] == [[]] * 6
    assert Full({"name": "bob"}).agent_avatar == user_avatar_url("bob")


def test_as_text() -> None:
    built = Message({"b": 1, "a": "é"}, topic="t", properties=properties(headers={"y": 2, "x": 1}))
    assert repr(built) == "Message(id='an-id', topic='t', body={'b': 1, 'a': 'é'})"
    assert str(built) == (
        'Id: an-id\nTopic: t\nHeaders: {\n    "x": 1,\n    "y": 2\n}\n'
        'Body: {\n    "a": "\\u00e9",\n    "b": 1\n}'
    )


def test_copies_are_equal() -> None:
    built = Message({"a": []}, topic="t")
    assert copy.deepcopy(built) == built
    assert pickle.loads(pickle.dumps(built)) == built


# Comparing


def test_equal_but_for_time_and_id() -> None:
    assert Message({"a": 1}, topic="t") == Message({"a": 1}, topic="t", headers={"sent-at": "then"})


@pytest.mark.parametrize(
    "other",
    [
        Message({"a": 2}, topic="t"),
        Message({"a": 1}, topic="u"),
        Message({"a": 1}, topic="t", headers={"x": 1}),
        Message({"a": 1}, topic="t", severity=message.ERROR),
        Old({"a": 1}, topic="t"),
        {"a": 1},
    ],
)
def test_different(other: object) -> None:
    assert Message({"a": 1}, topic="t") != other


def test_messages_cannot_be_hashed() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(Message())


# Validating


@pytest.mark.parametrize(
    "invalid",
    [
        Full({"name": 1}),
        Full({}),
        Message([1]),  # type: ignore[arg-type]
        Message("text"),  # type: ignore[arg-type]
        Message(severity=4),
        Message(properties=properties(headers={"fedora_messaging_severity": True})),
        Message(properties=properties(headers={"sent-at": 5})),
        Message(properties=properties(headers=[])),
    ],
)
def test_invalid(invalid: Message) -> None:
    with pytest.raises(jsonschema.ValidationError):
        invalid.validate()


def test_the_base_schemas_hold_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Full, "body_schema", {})
    monkeypatch.setattr(Full, "headers_schema", {}, raising=False)
    Full({"anything": 1}).validate()
    with pytest.raises(jsonschema.ValidationError):
        Full("text").validate()  # type: ignore[arg-type]
    with pytest.raises(jsonschema.ValidationError):
        Full(severity=4).validate()


def test_a_schema_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Full, "body_schema", {"type": "thing"})
    with pytest.raises(jsonschema.SchemaError):
        Full({"name": "bob"}).validate()


def test_a_schema_may_be_a_property(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Full, "body_schema", property(lambda self: {"required": [self.body["name"]]}))
    Full({"name": "name"}).validate()
    with pytest.raises(jsonschema.ValidationError):
        Full({"name": "other"}).validate()


# From the wire


def test_a_proper_message(caplog: pytest.LogCaptureFixture) -> None:
    own = properties(priority=3)
    got = get_message("a.topic", own, b'{"a": 1}')
    assert type(got) is Message
    assert (got.body, got.topic, got.severity, got.id, got.priority) == ({"a": 1}, "a.topic", 20, "an-id", 3)
    assert got._properties is own
    assert not caplog.records


def test_the_class_is_that_of_the_header() -> None:
    got = received(b'{"name": "bob"}', headers={"fedora_messaging_schema": "test_message.Full"})
    assert type(got) is Full
    assert (got.severity, got.topic) == (message.INFO, "a.topic")


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"headers": None}, "headers, schema, severity"),
        ({"headers": {"fedora_messaging_severity": 20}}, "schema"),
        ({"headers": {"fedora_messaging_schema": "base.message"}}, "severity"),
        ({"content_encoding": None}, "content encoding"),
    ],
)
def test_what_is_missing_is_assumed_in_one_line(
    changes: dict[str, Any], missing: str, caplog: pytest.LogCaptureFixture
) -> None:
    got = received(b'{"secret": 1}', **changes)
    assert (type(got), got.severity, got._properties.content_encoding) == (Message, message.INFO, "utf-8")
    assert got._properties.headers is not None
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert f"has no {missing}:" in record.getMessage()
    assert "an-id" in record.getMessage()
    assert "secret" not in record.getMessage()


def test_an_unknown_schema_gives_the_base_class_and_names_the_package(
    caplog: pytest.LogCaptureFixture,
) -> None:
    headers = {"fedora_messaging_schema": "no.such", "fedora_messaging_schema_package": "no_such_messages"}
    got = received(headers={**headers, "fedora_messaging_severity": 20})
    assert type(got) is Message
    assert got._headers["fedora_messaging_schema"] == "no.such"
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "'no.such'" in record.getMessage()
    assert "no_such_messages" in record.getMessage()


def test_a_deprecated_class_warns(caplog: pytest.LogCaptureFixture) -> None:
    received(headers={"fedora_messaging_schema": "test_message.Old", "fedora_messaging_severity": 20})
    assert "deprecated" in caplog.text
    assert "'a.topic'" in caplog.text


NESTED = b'{"a":' + b"[" * 200 + b"]" * 200 + b"}"


@pytest.mark.parametrize(
    ("body", "changes"),
    [
        (NESTED, {}),
        (b"{" + b" " * 10_000_000 + b"}", {}),
        ('{"a": "é"}'.encode("latin-1"), {"content_encoding": "latin-1"}),
        (b'{"a": NaN, "b": 1e999, "c": "\\ud800", "d": %s, "a": 2}' % (b"9" * 100), {}),
        (b"{}", {"message_id": None}),
        (b"{}", {"content_type": "text/plain"}),
        (b"{}", {"headers": {"a": [1, {"b": None}], "c": b"x", "d": datetime.now(UTC), "e": 2**70}}),
        (b"{}", {"headers": {"fedora_messaging_severity": 20.0}}),
    ],
)
def test_odd_but_valid(body: bytes, changes: dict[str, Any]) -> None:
    assert isinstance(received(body, **changes).body, dict)


@pytest.mark.parametrize(
    ("body", "changes"),
    [
        (b"not JSON", {}),
        (b"", {}),
        (b"[1]", {}),
        (b"null", {}),
        (b'"text"', {}),
        (b'{"a": "\xe9"}', {}),
        (b"\xef\xbb\xbf{}", {}),
        (b'{"a": "\xed\xa0\x80"}', {}),
        (b"[" * 100_000, {}),
        (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", {}),
        (b'{"a": ' + b"9" * 5000 + b"}", {}),
        (b"{}", {"content_encoding": "no-such-encoding"}),
        (b"{}", {"content_encoding": "hex"}),
        (b"{}", {"content_encoding": "a\x00b"}),
        (b"{}", {"content_encoding": ""}),
        (b"{}", {"content_encoding": 5}),
        (b"{}", {"headers": [1]}),
        (b"{}", {"headers": "text"}),
        (b"{}", {"headers": {"fedora_messaging_severity": "20"}}),
        (b"{}", {"headers": {"fedora_messaging_severity": 25}}),
        (b"{}", {"headers": {"fedora_messaging_severity": [20]}}),
        (b"{}", {"headers": {"fedora_messaging_schema": ["base.message"]}}),
        (b"{}", {"headers": {"fedora_messaging_schema": {"a": 1}}}),
        (b"{}", {"headers": {"fedora_messaging_schema_package": 5}}),
        (b'{"name": 1}', {"headers": {"fedora_messaging_schema": "test_message.Full"}}),
        (b"{}", {"headers": {"fedora_messaging_schema": "test_message.Strange"}}),
    ],
)
def test_what_is_no_message_is_a_validation_error(body: bytes, changes: dict[str, Any]) -> None:
    with pytest.raises(exceptions.ValidationError) as caught:
        received(body, **changes)
    assert caught.value.summary


@given(st.binary(max_size=20), st.none() | st.text(max_size=8), st.none() | st.integers() | st.dictionaries(
    st.sampled_from(["fedora_messaging_schema", "fedora_messaging_severity", "x"]),
    st.none() | st.integers() | st.text(max_size=3) | st.binary(max_size=3) | st.lists(st.integers(), max_size=1),
))  # fmt: skip
def test_any_bytes_and_properties_are_a_message_or_a_validation_error(
    body: bytes, encoding: str | None, headers: Any
) -> None:
    try:
        got = received(body, content_encoding=encoding, headers=headers)
    except exceptions.ValidationError:
        return
    assert isinstance(got, Message)


# By name


def test_names_and_classes(caplog: pytest.LogCaptureFixture) -> None:
    assert get_class("base.message") is Message
    assert get_name(Message) == "base.message"
    assert get_class("test_message.Full") is Full
    assert not caplog.records
    assert get_class("no.such") is Message
    assert "no.such" in caplog.text


# To and from files


def test_a_line_of_a_file() -> None:
    built = Message({"a": 1}, topic="t", properties=properties(headers={"y": 1, "x": 1}))
    assert dumps(built) == (
        '{"body": {"a": 1}, "headers": {"x": 1, "y": 1}, "id": "an-id", "priority": 0, "queue": null, "topic": "t"}\n'
    )


def test_what_was_written_is_read() -> None:
    written = [Message({"a": "é\u2028\x85"}, topic="t", severity=40), Full({"name": "bob"}, headers={"x": 1})]
    written[1].queue, written[1].priority = "q", 4
    read = loads(dumps(written))
    assert read == written
    assert [one.id for one in read] == [one.id for one in written]
    assert [(type(one), one.severity, one.queue, one.priority) for one in read] == [
        (Message, 40, None, 0),
        (Full, 30, "q", 4),
    ]
    assert [one._headers["sent-at"] for one in read] == [one._headers["sent-at"] for one in written]


def test_a_message_of_a_class_that_is_not_installed_keeps_its_name() -> None:
    headers = {"fedora_messaging_schema": "no.such", "fedora_messaging_severity": 30}
    (read,) = loads(dumps(received(headers=headers)))
    assert read._headers["fedora_messaging_schema"] == "no.such"
    assert "fedora_messaging_schema_package" not in read._headers


def test_the_least_that_a_line_may_have() -> None:
    first, second = loads('{"topic": "t", "body": {}}\r\n\n{"topic": "u", "body": {}}')
    assert (first.topic, second.topic, first.severity, first.queue) == ("t", "u", 20, None)
    assert first._properties.priority == 0
    assert loads("") == loads(dumps([])) == []
    assert loads(b'{"topic": "t", "body": {}}')[0].topic == "t"


@pytest.mark.parametrize(
    "line",
    [
        "text",
        "[]",
        '{"topic": "t"}',
        '{"body": {}}',
        '{"topic": "t", "body": []}',
        '{"topic": 5, "body": {}}',
        '{"topic": "t", "body": {}, "headers": {"fedora_messaging_severity": 5}}',
        '{"topic": "t", "body": {}, "priority": "high"}',
        "[" * 100_000,
    ],
)
def test_a_bad_line(line: str) -> None:
    with pytest.raises(exceptions.ValidationError):
        loads('{"topic": "t", "body": {}}\n' + line)


@pytest.mark.parametrize("bad", [Full({"name": 1}), Message({"a": {1}}), "text"])
def test_what_is_not_valid_is_not_written(bad: Any) -> None:
    with pytest.raises(exceptions.ValidationError):
        dumps([bad])


def test_load_message_takes_any_object_with_a_message_in_it() -> None:
    assert load_message({"topic": "t", "body": {"a": 1}, "extra": 1}).body == {"a": 1}


@pytest.mark.parametrize("envelope", ENVELOPES[::7], ids=lambda envelope: envelope["topic"])
def test_real_messages_survive_wire_and_file(envelope: dict[str, Any]) -> None:
    built = Message(envelope["msg"], topic=envelope["topic"])
    assert built._encoded_body == json.dumps(envelope["msg"]).encode()
    got = get_message(built._encoded_routing_key, built._properties, built._encoded_body)
    assert got == built == loads(dumps(built))[0]


# What it costs


def test_importing_it_loads_nothing_heavy() -> None:
    code = (
        "import sys, fedora_messaging.message, fedora_messaging.wire\n"
        "heavy = {'pika', 'jsonschema', 'jsonschema_rs', 'msgspec', 'click', 'importlib.metadata', 'unittest.mock'}\n"
        "raise SystemExit(sorted(heavy & set(sys.modules)) or None)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
