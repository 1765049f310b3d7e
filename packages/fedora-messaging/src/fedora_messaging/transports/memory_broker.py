# SPDX-License-Identifier: MIT
"""A broker's state in this process: exchanges, queues, bindings, and which message goes where.

What a RabbitMQ does with messages, as far as this library uses it, refusals and their texts included.
Connections, channels and faults are :mod:`.memory`'s.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from ..topics import Bindings
from .base import ChannelClosed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .base import Outgoing


@dataclass(eq=False, slots=True)
class Stored:
    """A message in a queue; ``properties`` are encoded, as on a disk."""

    exchange: str
    topic: str
    properties: bytes
    body: bytes
    redelivered: bool = False
    position: int = 0  # in its queue, where it returns to


@dataclass(eq=False, slots=True)
class Exchange:
    """An exchange and what is bound to it."""

    name: str
    kind: str = "topic"
    durable: bool = True
    topics: Bindings[Queue] = field(default_factory=Bindings)
    exact: dict[str, dict[Queue, None]] = field(default_factory=dict)

    def bind(self, queue: Queue, topic: str) -> None:
        """Let ``queue`` have what comes with ``topic``."""
        if self.kind == "topic":
            self.topics.add(topic, queue)
        self.exact.setdefault(topic, {})[queue] = None

    def unbind(self, queue: Queue, topic: str) -> None:
        """Undo :meth:`bind`; what is not bound is not missed."""
        self.exact.get(topic, {}).pop(queue, None)
        self.topics.remove(topic, queue)

    def forget(self, queue: Queue) -> None:
        """Undo all bindings of ``queue``."""
        for topic in self.exact:
            self.unbind(queue, topic)

    def route(self, topic: str) -> list[Queue]:
        """Who gets a message with ``topic``."""
        if self.kind == "topic":
            return list(self.topics.match(topic))
        if self.kind == "fanout":
            return list({queue: None for queues in self.exact.values() for queue in queues})
        return list(self.exact.get(topic, ()))


@dataclass(eq=False, slots=True)
class Queue:
    """A queue, its messages in order, and who takes from it (each a function that takes one, or says no)."""

    name: str
    settings: dict[str, Any]
    owner: object = None
    messages: deque[Stored] = field(default_factory=deque)
    consumers: dict[str, Callable[[Queue, Stored], bool]] = field(default_factory=dict)
    cancelled: dict[str, Callable[[], None]] = field(default_factory=dict)
    received: int = 0

    @property
    def arguments(self) -> Mapping[str, Any]:
        """The ``x-…`` arguments that it was declared with."""
        return self.settings["arguments"]  # type: ignore[no-any-return]

    @property
    def full(self) -> bool:
        """Whether ``x-max-length`` is reached."""
        limit = self.arguments.get("x-max-length")
        return limit is not None and len(self.messages) >= limit

    @property
    def rejects(self) -> bool:
        """Whether it refuses what comes when it is full, instead of dropping its oldest."""
        return self.arguments.get("x-overflow") in ("reject-publish", "reject-publish-dlx")

    def append(self, stored: Stored) -> None:
        """A new message."""
        self.received += 1
        stored.position = self.received
        self.messages.append(stored)

    def give_back(self, stored: Stored) -> None:
        """One that was delivered returns to where it was."""
        stored.redelivered = True
        behind = sum(1 for one in takewhile(lambda one: one.position < stored.position, self.messages))
        self.messages.insert(behind, stored)

    def drain(self) -> None:
        """Hand out as much as the consumers take, in turn."""
        while self.messages and self.consumers:
            for tag, take in list(self.consumers.items()):
                if take(self, self.messages[0]):
                    self.messages.popleft()
                    self.consumers[tag] = self.consumers.pop(tag)  # the next one's turn
                    break
            else:
                return


class State:
    """Everything that a virtual host holds."""

    def __init__(self) -> None:
        names = {"amq.topic": "topic", "amq.direct": "direct", "amq.fanout": "fanout"}
        self.exchanges = {name: Exchange(name, kind) for name, kind in names.items()}
        self.queues: dict[str, Queue] = {}
        self._generated = 0

    def restart(self) -> None:
        """What survives the broker's end: durable things."""
        self.exchanges = {name: exchange for name, exchange in self.exchanges.items() if exchange.durable}
        for queue in list(self.queues.values()):
            queue.consumers.clear()
            queue.cancelled.clear()
            if not queue.settings["durable"]:
                self.delete_queue(queue.name)

    def declare_exchange(self, name: str, settings: Mapping[str, Any], passive: bool) -> None:
        """As exchange.declare."""
        kind, durable = settings.get("type", "topic"), bool(settings.get("durable", False))
        there = self.exchanges.get(name)
        if there is None:
            if passive:
                raise ChannelClosed(404, f"NOT_FOUND - no exchange '{name}' in vhost '/'")
            if name.startswith("amq."):
                raise ChannelClosed(
                    403, f"ACCESS_REFUSED - exchange name '{name}' contains reserved prefix 'amq.*'"
                )
            self.exchanges[name] = Exchange(name, kind, durable)
        elif not passive:
            _same("exchange", name, "type", there.kind, kind)
            _same("exchange", name, "durable", there.durable, durable)

    def declare_queue(self, name: str, settings: Mapping[str, Any], passive: bool, owner: object) -> str:
        """As queue.declare."""
        wanted = {key: bool(settings.get(key, False)) for key in ("durable", "auto_delete", "exclusive")}
        wanted["arguments"] = dict(settings.get("arguments") or {})  # type: ignore[assignment]
        if not name:
            self._generated += 1
            name = f"amq.gen-{self._generated}"
        there = self.queues.get(name)
        if there is None:
            if passive:
                raise _no_queue(name)
            self.queues[name] = Queue(name, wanted, owner if wanted["exclusive"] else None)
            return name
        self._check_owner(there, owner)
        if not passive:
            for key, value in wanted.items():
                _same("queue", name, key, there.settings[key], value)
        return name

    def queue(self, name: str, owner: object) -> Queue:
        """The queue of that name, if ``owner`` may use it."""
        if name not in self.queues:
            raise _no_queue(name)
        self._check_owner(self.queues[name], owner)
        return self.queues[name]

    def exchange(self, name: str) -> Exchange:
        """The exchange of that name."""
        if name not in self.exchanges:
            raise ChannelClosed(404, f"NOT_FOUND - no exchange '{name}' in vhost '/'")
        return self.exchanges[name]

    def delete_queue(self, name: str) -> None:
        """As queue.delete: consumers are cancelled, bindings go, messages are lost."""
        queue = self.queues.pop(name, None)
        if queue is None:
            return
        for exchange in self.exchanges.values():
            exchange.forget(queue)
        cancelled, queue.cancelled = queue.cancelled, {}
        queue.consumers.clear()
        for tell in cancelled.values():
            tell()

    def route(self, exchange: str, topic: str) -> list[Queue]:
        """The queues that a message goes to."""
        if exchange:
            return self.exchange(exchange).route(topic)
        return [self.queues[topic]] if topic in self.queues else []

    def publish(self, message: Outgoing) -> tuple[bool, bool]:
        """Put a message in its queues; whether any was bound, and whether all took it."""
        queues = self.route(message.exchange, message.topic)
        if any(queue.full and queue.rejects for queue in queues):
            return True, False
        properties = b"".join(message.properties.encode())
        for queue in queues:
            self._put(queue, Stored(message.exchange, message.topic, properties, message.body))
        return bool(queues), True

    def _put(self, queue: Queue, stored: Stored) -> None:
        if queue.full and queue.messages:
            self.dead_letter(queue, queue.messages.popleft())
        queue.append(stored)
        queue.drain()

    def dead_letter(self, queue: Queue, stored: Stored) -> None:
        """To the queue's dead-letter exchange, where it has one."""
        name = queue.arguments.get("x-dead-letter-exchange")
        if name is None or (name and name not in self.exchanges):
            return
        topic = queue.arguments.get("x-dead-letter-routing-key", stored.topic)
        for target in self.route(name, topic):
            self._put(target, Stored(name, topic, stored.properties, stored.body))

    @staticmethod
    def _check_owner(queue: Queue, owner: object) -> None:
        if queue.owner is not None and queue.owner is not owner:
            raise ChannelClosed(
                405,
                f"RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{queue.name}' in vhost '/'",
            )


def _no_queue(name: str) -> ChannelClosed:
    return ChannelClosed(404, f"NOT_FOUND - no queue '{name}' in vhost '/'")


def _same(kind: str, name: str, key: str, there: object, wanted: object) -> None:
    if there != wanted:
        raise ChannelClosed(
            406,
            f"PRECONDITION_FAILED - inequivalent arg '{key}' for {kind} '{name}' in vhost '/': "
            f"received '{wanted}' but current is '{there}'",
        )
