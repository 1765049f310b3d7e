# SPDX-License-Identifier: MIT
"""RabbitMQ's definitions become a state and come back, and a broker that loads them when it boots has it."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING, Any

from fedmsg_migration_tools.broker.bus.definitions import of_state, to_state, vhost_properties
from fedmsg_migration_tools.broker.bus.desired import Secrets, desired
from fedmsg_migration_tools.broker.bus.file import check, read
from fedmsg_migration_tools.broker.bus.passwords import same_password
from fedmsg_migration_tools.broker.state import Key, Kind
from fedora_messaging.private_node import PrivateNode

from . import handmade
from .test_file import EXAMPLE

if TYPE_CHECKING:
    from pathlib import Path

    from fedmsg_migration_tools.broker.state import State

SECRETS = Secrets(
    {name: f"amqp://{name.lower()}@127.0.0.1:9" if "URI" in name else name.lower() for name in ("X", "X_URI")}
)
FILE = r"""
[users.bodhi]
certificate = true
max_connections = 5
[users.admin]
password_env = "X"
tags = ["administrator"]

[vhosts."/pubsub"]
description = "The bus"
tags = ["b", "a"]
max_queues = 10
parameters.federation-upstream-set.one = [{ upstream = "public" }]

[vhosts."/pubsub".exchanges."zmq.topic"]
alternate_exchange = "amq.fanout"
[vhosts."/pubsub".exchanges."amq.topic"]
bindings = [{ exchange = "zmq.topic", topics = ["org.#", "a"] }]

[vhosts."/pubsub".queues.classic]
message_ttl = 0.5
dead_letter_exchange = ""
dead_letter_topic = "quorum"
bindings = [{ exchange = "amq.headers", topics = [""], arguments = { x-match = "all", n = 5 } }]
[vhosts."/pubsub".queues.quorum]
type = "quorum"
delivery_limit = 3
single_active_consumer = true
bindings = [{ exchange = "zmq.topic", topics = ["b.*"] }]
[vhosts."/pubsub".queues.stream]
type = "stream"
max_age = "1D"

[vhosts."/pubsub".users.bodhi]
publish."amq.topic" = ["org.fedoraproject.prod.bodhi.#"]
bind."zmq.topic" = ["#"]
consume = ["quorum"]
manage = ["{uuid}"]
[vhosts."/pubsub".users.admin]
expressions = { configure = ".*", write = ".*", read = ".*" }

[vhosts."/pubsub".policies.limits]
pattern = '\A[0-9a-f]{8}'
apply_to = "queues"
priority = 5
definition = { expires = 1000, max-length-bytes = 1000000 }
[vhosts."/pubsub".operator_policies.limits]
pattern = '^q'
apply_to = "queues"
definition = { max-length = 1000 }
[vhosts."/pubsub".upstreams.public]
uri_env = "X_URI"
exchange = "amq.topic"
reconnect_delay = 3600
message_ttl = 60
"""


def wanted() -> State:
    return desired(check(tomllib.loads(FILE)), SECRETS)


def test_definitions_and_state_are_two_ways_to_say_it() -> None:
    state = wanted()
    found = dict(to_state(json.loads(json.dumps(of_state(state)))))
    key = Key(Kind.USER, "", "admin")
    user = dict(found.pop(key))
    assert same_password("x", str(user.pop("password_hash")), "rabbit_password_hashing_sha256")
    assert user | {"password": "x"} == state[key]
    assert found == {one: properties for one, properties in state.items() if one != key}


def test_a_salt_is_new_each_time() -> None:
    first, second = (of_state(wanted())["users"][0]["password_hash"] for _ in range(2))
    assert first != second
    assert of_state(wanted(), lambda: b"salt")["users"][0]["password_hash"].startswith("c2Fsd")


def test_what_versions_write_differently_is_the_same() -> None:
    old: dict[str, Any] = {
        "vhosts": [{"name": "/"}],
        "users": [{"name": "u", "password_hash": "x", "tags": "b,a"}],
        "queues": [{"name": "q", "vhost": "/", "durable": True, "auto_delete": False, "arguments": {}}],
    }
    new: dict[str, Any] = {
        "vhosts": [
            {
                "name": "/",
                "description": "",
                "tags": [],
                "default_queue_type": "classic",
                "metadata": {"description": "", "tags": [], "default_queue_type": "classic"},
            }
        ],
        "users": [{"name": "u", "password_hash": "x", "tags": ["a", "b"], "limits": {}}],
        "queues": [
            {
                "name": "q",
                "vhost": "/",
                "durable": True,
                "auto_delete": False,
                "type": "classic",
                "arguments": {"x-queue-type": "classic"},
            }
        ],
    }
    assert to_state(old) == to_state(new)
    assert (
        vhost_properties({"name": "/", "default_queue_type": "undefined"})["default_queue_type"] == "classic"
    )


def test_the_type_of_a_queue_is_said_where_it_is_not_the_default() -> None:
    file = """
    [vhosts."/a".queues]
    classic.type = "classic"
    quorum.type = "quorum"
    [vhosts."/b"]
    default_queue_type = "quorum"
    [vhosts."/b".queues]
    classic.type = "classic"
    quorum.type = "quorum"
    """
    queues = of_state(desired(check(tomllib.loads(file)), SECRETS))["queues"]
    assert [(one["vhost"], one["name"], one["arguments"].get("x-queue-type")) for one in queues] == [
        ("/a", "classic", None),
        ("/a", "quorum", "quorum"),
        ("/b", "classic", "classic"),
        ("/b", "quorum", "quorum"),
    ]


def test_a_node_that_boots_with_them_is_what_the_file_says(tmp_path: Path) -> None:
    path = tmp_path / "definitions.json"
    path.write_text(json.dumps(of_state(wanted())), encoding="utf-8")
    with PrivateNode(plugins=handmade.PLUGINS, config={"load_definitions": str(path)}) as node:
        assert node.user == "admin"
        found = dict(handmade.state(node, "x"))
        key = Key(Kind.USER, "", "admin")
        live_hash = str(found.pop(key)["password_hash"])
        assert same_password("x", live_hash, "rabbit_password_hashing_sha256")
        assert found == {one: properties for one, properties in wanted().items() if one != key}


def test_a_node_boots_with_the_example(tmp_path: Path) -> None:
    bus = read(EXAMPLE)
    pointed = [user.password_env for user in bus.users.values()]
    pointed += [one.uri_env for vhost in bus.vhosts.values() for one in vhost.upstreams.values()]
    secrets = Secrets({name: "amqp://127.0.0.1:9" for name in pointed if name})
    state = {
        **desired(bus, secrets),
        Key(Kind.USER, "", "root"): {
            "password": "x",
            "tags": ["administrator"],
            "limits": {},
            "hashing_algorithm": "rabbit_password_hashing_sha256",
        },
    }
    path = tmp_path / "definitions.json"
    path.write_text(json.dumps(of_state(state)), encoding="utf-8")
    config = {"load_definitions": str(path), "default_user": "root"}
    with PrivateNode(plugins=handmade.PLUGINS, config=config) as node:
        found = handmade.state(node, "x")
        assert found.keys() == state.keys()
        for key, properties in state.items():
            if key.kind is not Kind.USER:
                assert found[key] == properties
