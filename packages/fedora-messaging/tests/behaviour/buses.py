# SPDX-License-Identifier: MIT
"""The brokers that the same tests run on, the one in this process and a real RabbitMQ, and what can be done to them.

RabbitMQ is looked at by plain pika and by its own console, so that a mistake of the library does not hide behind
itself. Nothing is asserted here.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from urllib.parse import urlsplit

import pika

from fedora_messaging.config import DEFAULTS
from fedora_messaging.transports.base import Outgoing
from fedora_messaging.transports.memory import Broker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fedora_messaging.private_node import PrivateNode

DURABLE = {"durable": True, "auto_delete": False, "exclusive": False, "arguments": {}}


class Taken(NamedTuple):
    """A message as it lay in a queue."""

    topic: str
    body: bytes
    properties: pika.BasicProperties
    redelivered: bool

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Bus(Protocol):
    """A broker with a virtual host of its own."""

    url: str
    away: str  # a URL where nobody listens
    refusing: str  # a URL where we are not let in, for good
    reason: str  # what the first of them is refused with

    def exchange(self, name: str, kind: str = "topic") -> None: ...

    def queue(
        self, name: str, topics: Sequence[str] = ("#",), exchange: str = "amq.topic", **arguments: Any
    ) -> None:
        """Declare a durable queue and bind it."""

    def put(self, queue: str, body: bytes, **properties: Any) -> None:
        """Put bytes into a queue, as a foreign program does."""

    def take(self, queue: str) -> list[Taken]:
        """Take all that waits in it."""

    def waiting(self, queue: str) -> int:
        """How many messages wait in it."""

    def has(self, queue: str) -> bool: ...

    def delete_queue(self, name: str) -> None: ...

    def unbind(self, queue: str, topic: str) -> None: ...

    def forbid(self, word: str) -> None:
        """Let nobody publish topics that begin with ``word`` to amq.topic."""

    def kill_connections(self) -> None:
        """End all connections, without a goodbye."""

    def block(self) -> None:
        """Run short of memory."""

    def unblock(self) -> None: ...


def settings(bus: Bus, *queues: str, **more: Any) -> dict[str, Any]:
    """A configuration that consumes these durable queues, which are there already."""
    return {
        **DEFAULTS,
        "amqp_url": bus.url,
        "queues": dict.fromkeys(queues, DURABLE),
        "bindings": [],
        "passive_declares": True,
        **more,
    }


class MemoryBus:
    """The scheme ``memory:``."""

    reason = "connection refused"

    def __init__(self, name: str) -> None:
        self.url = f"memory://{name}"
        self.away = f"memory://{name}-away"
        self.refusing = f"memory://{name}-refusing"
        self.broker = Broker.named(name)
        Broker.named(f"{name}-away").stop(self.reason)
        Broker.named(f"{name}-refusing").stop("refused the user", permanent=True)
        self.state = self.broker.state

    def exchange(self, name: str, kind: str = "topic") -> None:
        with self.broker.lock:
            self.state.declare_exchange(name, {"type": kind, "durable": True}, passive=False)

    def queue(
        self, name: str, topics: Sequence[str] = ("#",), exchange: str = "amq.topic", **arguments: Any
    ) -> None:
        names = {key.replace("_", "-"): value for key, value in arguments.items()}
        with self.broker.lock:
            self.state.declare_queue(name, {**DURABLE, "arguments": names}, passive=False, owner=None)
            for topic in topics:
                self.state.exchange(exchange).bind(self.state.queues[name], topic)

    def put(self, queue: str, body: bytes, **properties: Any) -> None:
        with self.broker.lock:
            self.state.publish(Outgoing("", queue, pika.BasicProperties(**properties), body))

    def take(self, queue: str) -> list[Taken]:
        with self.broker.lock:
            messages = self.state.queues[queue].messages
            stored = list(messages)
            messages.clear()
        taken = []
        for one in stored:
            properties = pika.BasicProperties()
            properties.decode(one.properties)
            taken.append(Taken(one.topic, one.body, properties, one.redelivered))
        return taken

    def waiting(self, queue: str) -> int:
        return len(self.broker.messages(queue))

    def has(self, queue: str) -> bool:
        return queue in self.broker.queues()

    def delete_queue(self, name: str) -> None:
        self.broker.delete_queue(name)

    def unbind(self, queue: str, topic: str) -> None:
        with self.broker.lock:
            self.state.exchanges["amq.topic"].unbind(self.state.queues[queue], topic)

    def forbid(self, word: str) -> None:
        self.broker.forbid("amq.topic", f"{word}.#")

    def kill_connections(self) -> None:
        self.broker.kill_connections()

    def block(self) -> None:
        self.broker.block()

    def unblock(self) -> None:
        self.broker.unblock()


class RabbitBus:
    """A virtual host of a private node."""

    reason = "nothing listens on"

    def __init__(self, node: PrivateNode, url: str) -> None:
        self.node = node
        self.url = url
        self.limit: str | None = None
        self._connection: pika.BlockingConnection | None = None
        self.vhost = urlsplit(url).path.removeprefix("/")
        with socket.socket() as held:  # closed at once; nobody takes a port out of this range by chance
            held.bind(("127.0.0.1", 0))
            self.away = f"amqp://127.0.0.1:{held.getsockname()[1]}/"
        self.refusing = url.replace(f":{node.password}@", ":wrong@")

    def close(self) -> None:
        """End the connection that looks on."""
        connection, self._connection = self._connection, None
        if connection is not None and connection.is_open:
            connection.close()

    @contextlib.contextmanager
    def _channel(self) -> Iterator[Any]:
        if self._connection is None or not self._connection.is_open:
            self._connection = pika.BlockingConnection(pika.URLParameters(f"{self.url}?heartbeat=0"))
        channel = self._connection.channel()
        try:
            yield channel
        finally:
            if channel.is_open:
                channel.close()

    def _do(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """One method on a channel of its own."""
        with self._channel() as channel:
            return getattr(channel, method)(*args, **kwargs)

    def exchange(self, name: str, kind: str = "topic") -> None:
        self._do("exchange_declare", name, kind, durable=True)

    def queue(
        self, name: str, topics: Sequence[str] = ("#",), exchange: str = "amq.topic", **arguments: Any
    ) -> None:
        names = {key.replace("_", "-"): value for key, value in arguments.items()}
        self._do("queue_declare", name, durable=True, arguments=names)
        for topic in topics:
            self._do("queue_bind", name, exchange, topic)

    def put(self, queue: str, body: bytes, **properties: Any) -> None:
        self._do("basic_publish", "", queue, body, pika.BasicProperties(**properties))

    def take(self, queue: str) -> list[Taken]:
        taken = []
        with self._channel() as channel:
            while (got := channel.basic_get(queue, auto_ack=True))[0] is not None:
                method, properties, body = got
                taken.append(Taken(method.routing_key, body, properties, method.redelivered))
        return taken

    def waiting(self, queue: str) -> int:
        return int(self._do("queue_declare", queue, passive=True).method.message_count)

    def has(self, queue: str) -> bool:
        try:
            self.waiting(queue)
        except pika.exceptions.ChannelClosedByBroker:
            return False
        return True

    def delete_queue(self, name: str) -> None:
        self._do("queue_delete", name)

    def unbind(self, queue: str, topic: str) -> None:
        self._do("queue_unbind", queue, "amq.topic", topic)

    def forbid(self, word: str) -> None:
        self.node.evaluate(
            f'rabbit_auth_backend_internal:set_topic_permissions(<<"{self.node.user}">>, <<"{self.vhost}">>, '
            f'<<"amq.topic">>, <<"^(?!{word}([.]|$))">>, <<".*">>, <<"{self.node.user}">>)'
        )

    def kill_connections(self) -> None:
        self.close()
        self.node.evaluate(
            f'[exit(element(6, C), kill) || C <- rabbit_connection_tracking:list(<<"{self.vhost}">>)]'
        )

    def block(self) -> None:
        if self.limit is None:
            self.limit = self.node.evaluate("vm_memory_monitor:get_vm_memory_high_watermark()")
        self.node.evaluate("vm_memory_monitor:set_vm_memory_high_watermark(0.00001)")

    def unblock(self) -> None:
        if self.limit is not None:
            self.node.evaluate(f"vm_memory_monitor:set_vm_memory_high_watermark({self.limit})")


def eventually(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Whether the condition holds within that time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True
