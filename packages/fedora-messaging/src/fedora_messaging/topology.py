# SPDX-License-Identifier: MIT
"""What a consumer needs on the broker before it can consume, and declaring it.

The names are the configuration's: ``exchanges``, ``queues``, ``bindings``. A binding counts for the queue that it
names, if that is consumed, and is not made otherwise, as it always was. The queue named ``""`` gets its name
from the broker, and a new one each time.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from .exceptions import BadDeclaration, ConnectionException
from .transports.base import ChannelClosed, ChannelEvents

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence

    from .transports.base import Channel, Connection

T = TypeVar("T")

_log = logging.getLogger(__name__)

_NOT_FOUND = 404  # AMQP 0.9.1, 1.1: reply codes


@dataclass(frozen=True)
class Topology:
    """Exchanges, queues and bindings to declare; with ``passive``, exchanges and queues must be there already.

    So must a single queue in whose settings ``passive`` is true.
    """

    exchanges: Mapping[str, Mapping[str, Any]]
    queues: Mapping[str, Mapping[str, Any]]
    bindings: Sequence[Mapping[str, Any]]
    passive: bool = False

    def only(self, queue: str) -> Topology:
        """The part that the queue of this (configured) name needs."""
        bindings = [binding for binding in self.bindings if binding.get("queue", "") == queue]
        return Topology(self.exchanges, {queue: self.queues[queue]}, bindings, self.passive)

    async def declare(self, connection: Connection) -> dict[str, str]:
        """Declare all of it; the configured name of each queue → its name on the broker.

        Uses a channel of its own, so that a refusal leaves the consuming channel alone. Raises
        ``BadDeclaration`` with the broker's words, ``ConnectionException``.
        """
        channel = await connection.channel(ChannelEvents())
        names: dict[str, str] = {}
        for name, settings in self.exchanges.items():
            await _refusable(channel.declare_exchange(name, settings, self.passive), "exchange", name)
        for name, settings in self.queues.items():
            names[name] = await _refusable(
                channel.declare_queue(
                    name, settings, (self.passive or bool(settings.get("passive"))) and name != ""
                ),
                "queue",
                name or "server-named",
            )
        for binding in self.bindings:
            await self._bind(channel, binding, names)
        await channel.close()
        return names

    async def _bind(self, channel: Channel, binding: Mapping[str, Any], names: Mapping[str, str]) -> None:
        """Bind the queue that it names (``""`` when it names none), if that is one of those declared here."""
        queue = names.get(binding.get("queue", ""))
        if queue is None:
            _log.info("Not bound, since no queue of that name is consumed: %s", dict(binding))
            return
        for topic in binding["routing_keys"]:
            description = f"{queue} to {binding['exchange']} for {topic!r}"
            done = channel.bind(queue, binding["exchange"], topic, binding.get("arguments"))
            await _refusable(done, "binding", description)


async def _refusable(answer: Awaitable[T], kind: str, description: str) -> T:
    try:
        return await answer
    except ChannelClosed as error:
        raise BadDeclaration(
            kind, description, f"{error.text} ({error.code}){_advice(kind, error)}"
        ) from error
    except ConnectionException as error:
        if feature := _DEPRECATED.search(str(error)):
            raise BadDeclaration(kind, description, _deprecated(feature[1])) from error
        raise


# RabbitMQ ends the connection over a declaration that needs a feature which it knows, and does not permit any more.
_DEPRECATED = re.compile(r"Feature `(\w+)` is deprecated")


def _deprecated(feature: str) -> str:
    what, advice = "", "do without it"
    if feature == "transient_nonexcl_queues":
        what = "queues that are neither durable nor exclusive, "
        advice = "set durable = true, or exclusive = true"
    return f"the broker does not permit {what}the deprecated feature {feature}: {advice}, or have it permitted there"


def _advice(kind: str, error: ChannelClosed) -> str:
    """What to do about it, where the broker's reply code and words say enough."""
    if "refused for user" in error.text:
        if kind == "binding":
            return (
                "; have write permission for the queue, and read permission for exchange and topic, granted"
            )
        return "; have configure permission for it granted, or set passive_declares = true if it is there already"
    if error.code == _NOT_FOUND and kind != "binding":
        return "; have it created, or set passive_declares = false"
    if "inequivalent arg" in error.text:
        return "; configure it as it is, or have it deleted"
    return ""
