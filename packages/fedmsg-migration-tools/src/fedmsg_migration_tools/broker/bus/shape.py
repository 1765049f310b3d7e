# SPDX-License-Identifier: MIT
"""What may stand in ``bus.toml``: tables, keys, types, defaults, units. Whom its names refer to is checked elsewhere.

Times are in seconds, sizes in bytes. What RabbitMQ knows and this file has no key for goes into ``arguments``, or a
policy's ``definition``, with RabbitMQ's own names.
"""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - msgspec reads the annotations
from typing import Annotated, Any, Literal

import msgspec

__all__ = [
    "Binding",
    "Broker",
    "Bus",
    "Exchange",
    "Expressions",
    "Grants",
    "Leave",
    "Policy",
    "Queue",
    "TopicExpressions",
    "Upstream",
    "User",
    "Vhost",
]

#: AMQP 0.9.1, 4.2.5.3: a short string.
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]
Names = tuple[Name, ...]
#: Exchange → the topics, with ``*`` and ``#`` as in a binding.
Topics = dict[Name, tuple[str, ...]]


class _Shape(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table in which each key is known."""


class Broker(_Shape, frozen=True):
    """Where the broker is, and what it has to be; ``check`` proves it.

    ``plugins`` have to be enabled; ``nodes`` are the names of the cluster's; with ``tls`` clients come by TLS only.
    """

    management_urls: tuple[str, ...] = ()
    amqp_urls: tuple[str, ...] = ()
    ca_cert: Path | None = None
    nodes: tuple[str, ...] = ()
    minimum_version: str = "3.10"
    plugins: tuple[str, ...] = ()
    tls: bool = False


class User(_Shape, frozen=True):
    """Who may log in: by a password (its hash, or where the password is), or by a certificate whose CN is the name."""

    password_hash: str | None = None
    hashing_algorithm: str = "rabbit_password_hashing_sha256"
    password_file: Path | None = None
    password_env: str | None = None
    certificate: bool = False
    tags: tuple[str, ...] = ()
    max_connections: Count | None = None
    max_channels: Count | None = None


class Binding(_Shape, frozen=True):
    """From which exchange, and for which topics."""

    exchange: Name
    topics: tuple[str, ...] = ("#",)
    arguments: dict[str, Any] = {}


class Exchange(_Shape, frozen=True):
    """An exchange, and the exchanges that it is bound to."""

    type: Name = "topic"
    durable: bool = True
    auto_delete: bool = False
    internal: bool = False
    alternate_exchange: Name | None = None
    arguments: dict[str, Any] = {}
    bindings: tuple[Binding, ...] = ()


class Queue(_Shape, frozen=True):
    """A queue, its limits, where its dead letters go, and what it is bound to."""

    type: Literal["classic", "quorum", "stream"] = "classic"
    durable: bool = True
    auto_delete: bool = False
    max_length: Count | None = None
    max_bytes: Count | None = None
    overflow: Literal["drop-head", "reject-publish", "reject-publish-dlx"] | None = None
    message_ttl: Seconds | None = None
    expires: Seconds | None = None
    max_age: str | None = None
    dead_letter_exchange: str | None = None
    dead_letter_topic: str | None = None
    delivery_limit: int | None = None
    single_active_consumer: bool = False
    arguments: dict[str, Any] = {}
    bindings: tuple[Binding, ...] = ()


class TopicExpressions(_Shape, frozen=True):
    """RabbitMQ's own regular expressions for the topics of one exchange."""

    write: str = ""
    read: str = ""


class Expressions(_Shape, frozen=True):
    """RabbitMQ's own regular expressions, for what the words of :class:`Grants` cannot say."""

    configure: str = ""
    write: str = ""
    read: str = ""
    topics: dict[Name, TopicExpressions] = {}


class Grants(_Shape, frozen=True):
    """What a user may do in a virtual host; what is not named is refused.

    In names, ``*`` stands for any characters, and ``{uuid}`` for a UUID in lower case.

    ``publish``: exchange → topics. ``bind``: exchange → the topics that its queues may be bound for. ``consume``:
    queues. ``manage``: queues and exchanges of its own, to declare, bind, consume, publish to and delete.
    """

    publish: Topics = {}
    bind: Topics = {}
    consume: Names = ()
    manage: Names = ()
    expressions: Expressions | None = None


class Policy(_Shape, frozen=True):
    """Settings for all queues or exchanges whose names match an expression."""

    pattern: str
    definition: dict[str, Any]
    apply_to: str = "all"
    priority: int = 0


class Upstream(_Shape, frozen=True):
    """Another broker, or virtual host, whose messages are taken over (federation). One of the three says where."""

    uri: str | None = None
    uri_file: Path | None = None
    uri_env: str | None = None
    exchange: Name | None = None
    queue: Name | None = None
    prefetch_count: Count | None = None
    reconnect_delay: Seconds | None = None
    ack_mode: Literal["on-confirm", "on-publish", "no-ack"] | None = None
    expires: Seconds | None = None
    message_ttl: Seconds | None = None
    max_hops: Count | None = None
    trust_user_id: bool | None = None
    queue_type: Literal["classic", "quorum"] | None = None
    arguments: dict[str, Any] = {}


class Vhost(_Shape, frozen=True):
    """A virtual host, with all that is in it.

    ``parameters``: component → name → value, as RabbitMQ has them; for ``…uri`` there may be ``…uri_env``, the name of
    an environment variable, or ``…uri_file``, a path.
    """

    description: str = ""
    tags: tuple[str, ...] = ()
    default_queue_type: Literal["classic", "quorum", "stream"] | None = None
    max_connections: Count | None = None
    max_queues: Count | None = None
    exchanges: dict[Name, Exchange] = {}
    queues: dict[Name, Queue] = {}
    users: dict[Name, Grants] = {}
    policies: dict[Name, Policy] = {}
    operator_policies: dict[Name, Policy] = {}
    upstreams: dict[Name, Upstream] = {}
    parameters: dict[str, dict[str, Any]] = {}


class Leave(_Shape, frozen=True):
    """What on the broker is not this file's business; in names, ``*`` stands for any characters."""

    vhosts: Names = ()
    users: Names = ()
    queues: Names = ()
    exchanges: Names = ()
    policies: Names = ()


class Bus(_Shape, frozen=True):
    """The whole file."""

    broker: Broker = msgspec.field(default_factory=Broker)
    vhosts: dict[Name, Vhost] = {}
    users: dict[Name, User] = {}
    leave: Leave = msgspec.field(default_factory=Leave)
