# SPDX-License-Identifier: MIT
"""A broker becomes a file, and the file becomes the same broker."""

from __future__ import annotations

import tomllib
from collections import Counter
from typing import TYPE_CHECKING, Any

import pika
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmsg_migration_tools.broker.bus import writing
from fedmsg_migration_tools.broker.bus.definitions import of_state
from fedmsg_migration_tools.broker.bus.desired import Secrets, desired
from fedmsg_migration_tools.broker.bus.file import check, read
from fedmsg_migration_tools.broker.bus.granting import granted
from fedmsg_migration_tools.broker.bus.writing import exported
from fedmsg_migration_tools.broker.names import OWN_EXCHANGES
from fedmsg_migration_tools.broker.state import Key, Kind
from fedora_messaging.private_node import PrivateNode

from . import handmade

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fedmsg_migration_tools.broker.state import State


@pytest.fixture(scope="module")
def old() -> Iterator[PrivateNode]:
    """A broker that was set up by hand."""
    with PrivateNode(plugins=handmade.PLUGINS) as node:
        handmade.make(node)
        yield node


def again(found: writing.Exported) -> State:
    """What the file asks for."""
    bus = check(tomllib.loads(found.text))
    return desired(bus, Secrets({name: secret.reveal() for name, secret in found.secrets.items()}))


def test_the_same_broker_comes_out(old: PrivateNode) -> None:
    state = handmade.state(old)
    assert Counter(key.kind for key in state).keys() == set(Kind)
    assert again(exported(state)) == state


def test_an_empty_broker_becomes_the_same(old: PrivateNode) -> None:
    state = handmade.state(old)
    with PrivateNode(plugins=handmade.PLUGINS) as new:
        new.management("POST", "/api/definitions", of_state(again(exported(state))))
        assert handmade.state(new, old.password) == state


def test_no_password_is_in_the_file(old: PrivateNode) -> None:
    found = exported(handmade.state(old))
    assert handmade.PASSWORD not in found.text
    assert old.password not in found.text
    assert handmade.PASSWORD not in repr(found)
    assert len(found.secrets) == 3
    for name in found.secrets:
        assert '# [vhosts."/pubsub"' in found.text
        assert f": the environment variable {name} gives its" in found.text


def test_the_text_is_good_to_read(old: PrivateNode) -> None:
    lines = exported(handmade.state(old)).text.splitlines()
    for line in (
        "message_ttl = 1.5",
        'publish."amq.topic" = ["a.#", "b.*"]',
        'bind."amq.topic" = ["#"]',
        'consume = ["classic"]',
        'manage = ["bodhi.*"]',
        r"""pattern = "^a\\.'b'\"""".replace('\\"', '"'),
        r"""expressions.topics."amq.topic".write = '^org\.(fedora|é)project\..*$'""",
        "definition.max-length = 5",
        "certificate = true",
    ):
        assert line in lines


def test_what_belongs_to_clients_is_left_to_them(rabbitmq: PrivateNode, amqp_url: str) -> None:
    vhost = tomllib.loads(f'v = "{pika.URLParameters(amqp_url).virtual_host}"')["v"]
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        channel = connection.channel()
        for settings_ in ({"exclusive": True}, {"durable": True}):
            name = channel.queue_declare("", **settings_).method.queue
            channel.queue_bind(name, "amq.topic", "a.#")
        channel.queue_declare("own", exclusive=True)
        channel.queue_bind("own", "amq.topic", "#")
        text = writing.export(handmade.state(rabbitmq))
    bus = check(tomllib.loads(text))
    assert bus.leave.queues == ("amq.*",)
    assert bus.vhosts[vhost].queues == {}


# without a broker

VHOST: State = {Key(Kind.VHOST, "/", "/"): {"description": "", "tags": [], "default_queue_type": "classic"}}
VALUES = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60).filter(
    lambda name: not name.startswith("amq.")
)
QUEUE_ARGUMENTS = st.dictionaries(
    st.sampled_from(["x-max-length", "x-message-ttl", "x-overflow", "x-max-age", "x-dead-letter-exchange", "x-own"]),
    VALUES,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(NAMES, QUEUE_ARGUMENTS, st.sampled_from(["classic", "quorum", "stream"]), VALUES)
def test_any_object_comes_back(name: str, arguments: dict[str, Any], kind: str, value: Any) -> None:
    state: State = {
        **VHOST,
        Key(Kind.QUEUE, "/", name): {"type": kind, "durable": True, "auto_delete": False, "arguments": arguments},
        Key(Kind.PARAMETER, "/", name, ("own",)): {"value": value},
        Key(Kind.POLICY, "/", name): {
            "pattern": ".*", "apply-to": "all", "definition": {"own": value}, "priority": 0,
        },
    }  # fmt: skip
    assert again(exported(state)) == state


def test_null_is_told_and_left_out() -> None:
    queue = {
        "type": "classic",
        "durable": True,
        "auto_delete": False,
        "arguments": {"x": None, "y": [None, 1]},
    }
    text = writing.export({**VHOST, Key(Kind.QUEUE, "/", "q"): queue})
    assert '# [vhosts."/".queues.q]: x is null' in text
    assert tomllib.loads(text)["vhosts"]["/"]["queues"]["q"]["arguments"] == {"y": [1]}


def test_topic_permissions_of_nobody_are_told() -> None:
    key = Key(Kind.TOPIC_PERMISSION, "/", "u", ("amq.topic",))
    assert "without effect" in writing.export({**VHOST, key: {"write": "a", "read": "b"}})


def test_two_variables_never_have_one_name() -> None:
    uri = "amqp://me:secret@host"
    upstreams = {
        Key(Kind.PARAMETER, "/", name, ("federation-upstream",)): {"value": {"uri": uri}}
        for name in ("é", "è")
    }
    found = exported({**VHOST, **upstreams})
    assert len(found.secrets) == 2
    assert again(found) == {**VHOST, **upstreams}


NOBODY = {"configure": "(?!)", "write": "(?!)", "read": "(?!)"}


@pytest.mark.parametrize(
    ("permission", "topics", "table"),
    [
        (NOBODY, {}, {}),
        (NOBODY | {"read": r"(?s)\A(?:q)\z"}, {}, {"consume": ["q"]}),
        (NOBODY | {"read": r"(?s)\A(?:no)\z"}, {}, None),  # a queue that is not there
        (NOBODY | {"write": r"(?s)\A(?:no)\z"}, {}, None),  # an exchange that is not there
        (NOBODY | {"write": r"(?s)\A(?:amq\.fanout)\z"}, {}, {"publish": {"amq.fanout": ["#"]}}),
        (NOBODY | {"write": r"(?s)\A(?:amq\.default)\z"}, {}, {"publish": {"amq.default": ["#"]}}),
        (
            NOBODY | {"write": r"(?s)\A(?:amq\.topic)\z"},
            {},
            None,
        ),  # all topics, as long as nobody restricts them
        (NOBODY, {"amq.topic": {"write": "(?!)", "read": "(?!)"}}, None),
        (NOBODY | {"configure": "", "write": "", "read": ""}, {}, None),
        (
            NOBODY | {"write": r"(?s)\A(?:amq\.topic)\z"},
            {"amq.topic": {"write": r"(?s)\A(?:a)\z", "read": "(?!)"}},
            {"publish": {"amq.topic": ["a"]}},
        ),
        (
            NOBODY | {"write": r"(?s)\A(?:amq\.topic)\z"},
            {"amq.topic": {"write": r"(?s)\A(?:a)\z", "read": ".*"}},
            None,
        ),
    ],
)
def test_grants_only_where_they_say_exactly_that(
    permission: dict[str, str], topics: dict[str, Any], table: dict[str, Any] | None
) -> None:
    found = granted(permission, topics, OWN_EXCHANGES, {"q"})
    assert found == (
        table if table is not None else {"expressions": permission | ({"topics": topics} if topics else {})}
    )


def test_a_file_is_read_as_it_was_written(tmp_path: Path, old: PrivateNode) -> None:
    path = tmp_path / "bus.toml"
    path.write_text(writing.export(handmade.state(old)), encoding="utf-8")
    assert "odd é/ \"name'" in read(path).vhosts
