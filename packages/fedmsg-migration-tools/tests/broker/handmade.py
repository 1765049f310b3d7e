# SPDX-License-Identifier: MIT
"""A broker that people have set up by hand over the years, with all its oddities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from fedmsg_migration_tools.broker.changing.live import live
from fedmsg_migration_tools.broker.expressions import of_bindings, of_names, of_topics
from fedmsg_migration_tools.management.client import Management
from fedmsg_migration_tools.management.server import Server

if TYPE_CHECKING:
    from fedmsg_migration_tools.broker.state import State
    from fedora_messaging.private_node import PrivateNode

PLUGINS = ("rabbitmq_management", "rabbitmq_federation", "rabbitmq_shovel")
PASSWORD = "not-for-the-eyes-of-others"
ODD_NAMES = ["über.größe", "日本", 'with "quotes"', "with 'other'", "a b", "line\nbreak", "back\\slash"]
ODD_NAMES += ["#", "[x]", "a.b=c", "e\x7f\x01"]


def put(node: PrivateNode, *path: str, body: Any = None, method: str = "PUT") -> None:
    """One request; the parts of the path are quoted here."""
    node.management(method, "/api/" + "/".join(quote(part, safe="") for part in path), body or {})


def make(node: PrivateNode) -> None:
    """Set it up."""
    _users(node)
    for vhost in ("/pubsub", "odd é/ \"name'"):
        put(node, "vhosts", vhost, body={"description": f'The "{vhost}" one\nof many', "tags": "a,b"})
        put(node, "permissions", vhost, node.user, body={"configure": ".*", "write": ".*", "read": ".*"})
        _topology(node, vhost)
    put(node, "vhosts", "quorums", body={"default_queue_type": "quorum"})
    put(node, "permissions", "quorums", node.user, body={"configure": ".*", "write": ".*", "read": ".*"})
    put(node, "queues", "quorums", "c", body={"durable": True, "arguments": {"x-queue-type": "classic"}})
    put(node, "queues", "quorums", "default", body={"durable": True})
    put(node, "vhost-limits", "/pubsub", "max-queues", body={"value": 1000})
    put(node, "vhost-limits", "/pubsub", "max-connections", body={"value": 0})
    put(node, "vhost-limits", "quorums", "max-queues", body={"value": -1})
    _permissions(node)
    _policies(node)
    _parameters(node)


def _users(node: PrivateNode) -> None:
    put(node, "users", "bodhi", body={"password_hash": "", "tags": ""})
    put(node, "users", "watcher", body={"password": PASSWORD, "tags": "monitoring,policymaker,custom"})
    put(node, "users", "o'dd \"é\\", body={"password": PASSWORD, "tags": "management"})
    put(node, "users", "old", body={
        "password_hash": "AAECAwQFBgcICQoLDA0ODxAREhM=", "hashing_algorithm": "rabbit_password_hashing_md5", "tags": "",
    })  # fmt: skip
    put(node, "user-limits", "bodhi", "max-connections", body={"value": 5})
    put(node, "user-limits", "bodhi", "max-channels", body={"value": 100})


def _topology(node: PrivateNode, vhost: str) -> None:
    def exchange(name: str, kind: str, **more: Any) -> None:
        put(node, "exchanges", vhost, name, body={"type": kind, "durable": True, **more})

    def queue(name: str, **more: Any) -> None:
        put(node, "queues", vhost, name, body={"durable": True, **more})

    def bind(source: str, kind: str, destination: str, topic: str, **arguments: Any) -> None:
        body = {"routing_key": topic, "arguments": arguments}
        put(node, "bindings", vhost, "e", source, kind, destination, body=body, method="POST")

    exchange("zmq.topic", "topic", arguments={"alternate-exchange": "lost"})
    exchange("lost", "fanout", internal=True)
    exchange("by headers", "headers", arguments={"alternate-exchange": "nobody knows"})
    exchange("passing", "direct", durable=False, auto_delete=True)
    exchange("with.arguments", "topic", arguments={"x-own": 5, "x-table": {"a": [1, 2.5, True, "x"]}})
    queue("classic", arguments={
        "x-max-length": 10, "x-max-length-bytes": 2**40, "x-overflow": "reject-publish", "x-message-ttl": 1500,
        "x-expires": 86400000, "x-dead-letter-exchange": "lost", "x-dead-letter-routing-key": "dead",
        "x-max-priority": 5, "x-single-active-consumer": False,
    })  # fmt: skip
    queue(
        "lazy",
        arguments={"x-queue-mode": "lazy", "x-dead-letter-exchange": "nobody knows", "x-message-ttl": 0},
    )
    queue("typed", arguments={"x-queue-type": "classic", "x-dead-letter-exchange": ""})
    queue("quorum", arguments={
        "x-queue-type": "quorum", "x-delivery-limit": 3, "x-single-active-consumer": True,
        "x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish", "x-dead-letter-exchange": "lost",
        "x-quorum-initial-group-size": 1,
    })  # fmt: skip
    queue("stream", arguments={
        "x-queue-type": "stream", "x-max-length-bytes": 10**9, "x-max-age": "7D",
        "x-stream-max-segment-size-bytes": 10**6,
    })  # fmt: skip
    queue("passing", durable=False, auto_delete=True)
    for name in ODD_NAMES:
        queue(name)
        exchange(name, "topic")
        bind("amq.topic", "q", name, name)
        bind(name, "e", "amq.topic", name)
    for topic in ("org.#", "*.a", "", "a*b", "{username}"):
        bind("zmq.topic", "q", "classic", topic)
    bind("zmq.topic", "e", "amq.topic", "#", own=1)
    bind("amq.topic", "e", "zmq.topic", "back", list=[1, {"é": "'"}], other=2.5)
    bind("by headers", "q", "classic", "k", **{"x-match": "all", "n": 5, "t": {"a": True}})
    bind("by headers", "q", "classic", "k", **{"x-match": "any", "n": 5})
    bind("lost", "q", "quorum", "")


def _permissions(node: PrivateNode) -> None:
    uuid = "[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}"
    put(node, "permissions", "/pubsub", "watcher", body={"configure": "", "write": "^$", "read": f"^{uuid}$"})
    topic = {"exchange": "amq.topic", "write": r"^org\.(fedora|é)project\..*$", "read": ".*"}
    put(node, "topic-permissions", "/pubsub", "watcher", body=topic)
    put(
        node,
        "topic-permissions",
        "/pubsub",
        "watcher",
        body={"exchange": "zmq.topic", "write": "", "read": "'\""},
    )
    put(node, "permissions", "/", "o'dd \"é\\", body={"configure": r"\\\"'", "write": "", "read": ""})
    # as this project writes them
    own = {
        "configure": of_names(["bodhi.*"]),
        "write": of_names(["bodhi.*", "amq.topic"]),
        "read": of_names(["bodhi.*", "classic", "amq.topic", "zmq.topic"]),
    }
    put(node, "permissions", "/pubsub", "bodhi", body=own)
    for exchange, publish, bound in (("amq.topic", ["a.#", "b.*"], ["#"]), ("zmq.topic", [], ["c"])):
        body = {"exchange": exchange, "write": of_topics(publish), "read": of_bindings(bound)}
        put(node, "topic-permissions", "/pubsub", "bodhi", body=body)


def _policies(node: PrivateNode) -> None:
    definition: dict[str, Any] = {"max-length": 5, "dead-letter-exchange": "lost"}
    put(
        node,
        "policies",
        "/pubsub",
        "limits",
        body={"pattern": r"^a\.'b'", "definition": definition, "priority": -3},
    )
    body: dict[str, Any] = {
        "pattern": "",
        "definition": {"federation-upstream-set": "all"},
        "apply-to": "exchanges",
    }
    put(node, "policies", "/pubsub", "federate é", body=body)
    body = {
        "pattern": "^x",
        "definition": {"expires": 1000, "max-length": 7},
        "apply-to": "queues",
        "priority": 9,
    }
    put(node, "operator-policies", "/pubsub", "limits", body=body)


def _parameters(node: PrivateNode) -> None:
    # Nobody listens on port 9: they are tried, and tried again, and do nothing.
    upstream = {
        "uri": f"amqp://me:{PASSWORD}@127.0.0.1:9/%2F", "exchange": "amq.topic", "prefetch-count": 10,
        "reconnect-delay": 3600, "ack-mode": "on-confirm", "expires": 3600000, "message-ttl": 1500, "max-hops": 2,
        "trust-user-id": False, "consumer-tag": "up",
    }  # fmt: skip
    put(node, "parameters", "federation-upstream", "/pubsub", "up", body={"value": upstream})
    several = [f"amqp://me:{PASSWORD}@127.0.0.1:9", "amqp://127.0.0.1:9"]
    value: dict[str, Any] = {"uri": several, "reconnect-delay": 3600}
    put(node, "parameters", "federation-upstream", "/pubsub", "two é", body={"value": value})
    value = {"uri": "amqp://127.0.0.1:9", "reconnect-delay": 3600}
    put(node, "parameters", "federation-upstream", "quorums", "open", body={"value": value})
    shovel = {
        "src-protocol": "amqp091", "src-uri": f"amqp://me:{PASSWORD}@127.0.0.1:9", "src-queue": "classic",
        "dest-protocol": "amqp091", "dest-uri": "amqp://127.0.0.1:9", "dest-queue": "lazy", "reconnect-delay": 3600,
    }  # fmt: skip
    put(node, "parameters", "shovel", "/pubsub", "move", body={"value": shovel})
    put(node, "parameters", "federation-upstream-set", "/pubsub", "set", body={"value": [{"upstream": "up"}]})


def state(node: PrivateNode, password: str | None = None) -> State:
    """What is there; the administrator's password may have become that of another node."""
    parts = urlsplit(node.management_url)
    server = Server(parts.hostname or "", parts.port or 0, node.user, password or node.password)
    with Management([server]) as management:
        return live(management)
