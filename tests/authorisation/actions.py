# SPDX-License-Identifier: MIT
"""What users try in the table of docs/reference/permissions.md, by the library."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fedora_messaging import aio
from fedora_messaging.message import Message
from fedora_messaging.transports import for_address
from fedora_messaging.transports.base import Address, ConnectionEvents

from .bus import PUBLIC, VHOST

if TYPE_CHECKING:
    from .bus import Place

SECONDS = 20.0
OWN = "c4ec6c4e-b40e-4a4e-9c4e-0123456789ab"  # a UUID, as clients call queues of their own
BODHI = "org.fedoraproject.prod.bodhi.update.comment"
STAGING = "org.fedoraproject.stg.bodhi.update.comment"
KOJI = "org.fedoraproject.prod.buildsys.build.state.change"
BRIEF = {"durable": False, "auto_delete": True, "exclusive": True, "arguments": {}}
KEPT = {"durable": True, "auto_delete": False, "exclusive": False, "arguments": {}}
TOPIC = {"type": "topic", "durable": False, "auto_delete": False, "arguments": {}}

Attempt = Callable[["Place", str], Awaitable[None]]


@dataclass(frozen=True)
class Need:
    """One right, in the words of bus.toml: ``manage``, ``consume``, ``bind``, ``publish``; or ``be`` somebody."""

    kind: str
    name: str
    topic: str = ""


@dataclass(frozen=True)
class Action:
    """Something to try.

    Attributes:
        text: what, as the table names it.
        vhost: where.
        needs: the rights it takes beside those to log in there, in the order in which the broker asks for them.
        attempt: doing it.
    """

    text: str
    vhost: str
    needs: tuple[Need, ...]
    attempt: Attempt


def _log_in(vhost: str) -> Action:
    async def attempt(place: Place, user: str) -> None:
        settings = place.settings(user, vhost=vhost)
        transport = for_address(Address(settings["amqp_url"], settings["tls"]))
        await (await transport.connect(ConnectionEvents())).close()

    return Action("log in", vhost, (), attempt)


def _publish(
    topic: str, exchange: str = "amq.topic", *, user_id: str | None = None, vhost: str = VHOST
) -> Action:
    async def attempt(place: Place, user: str) -> None:
        message = Message(topic=topic)
        message._properties.user_id = user_id
        async with aio.Session(place.settings(user, vhost=vhost)) as session:
            await session.publish(message, exchange, timeout=SECONDS)

    named = f"`{exchange}`" if exchange else "the default exchange"
    text = f"publish `{topic}` to {named}{f', user_id `{user_id}`' if user_id else ''}"
    needs = [Need("publish", exchange or "amq.default", topic), *([Need("be", user_id)] if user_id else [])]
    return Action(text, vhost, tuple(needs), attempt)


def _consume(text: str, needs: tuple[Need, ...], vhost: str = VHOST, **settings: Any) -> Action:
    async def attempt(place: Place, user: str) -> None:
        session = aio.Session(place.settings(user, vhost=vhost, **settings))
        async with session, session.deliveries():
            pass

    return Action(text, vhost, needs, attempt)


def _read(queue: str) -> Action:
    needs = (Need("consume", queue),)
    return _consume(f"read the queue `{queue}`", needs, queues={queue: KEPT}, passive_declares=True)


def _own(exchange: str, topic: str, vhost: str) -> Action:
    bindings = [{"queue": OWN, "exchange": exchange, "routing_keys": [topic]}]
    needs = (Need("manage", OWN), Need("bind", exchange, topic))
    text = f"read a queue of its own, bound to `{exchange}` for `{topic}`"
    return _consume(text, needs, vhost, queues={OWN: BRIEF}, bindings=bindings)


def _bind(queue: str) -> Action:
    bindings = [{"queue": queue, "exchange": "amq.topic", "routing_keys": ["#"]}]
    needs = (Need("manage", queue), Need("bind", "amq.topic", "#"), Need("consume", queue))
    text = f"bind the queue `{queue}` to `amq.topic` for `#`"
    return _consume(text, needs, queues={queue: KEPT}, bindings=bindings, passive_declares=True)


def _declare(kind: str, **settings: Any) -> Action:
    needs = (Need("manage", "mine"), Need("manage", OWN))
    return _consume(f"declare {kind} `mine`", needs, **settings)


ACTIONS: tuple[Action, ...] = (
    _log_in(VHOST),
    _log_in(PUBLIC),
    _log_in("/"),
    _publish(BODHI),
    _publish(STAGING),
    _publish(KOJI),
    _publish("org.fedoraproject.prod.buildsysx.build"),
    _publish(BODHI, "zmq.topic"),
    _publish("bodhi", ""),
    _publish(BODHI, user_id="somebody"),
    _publish(BODHI, vhost=PUBLIC),
    _read("bodhi"),
    _read("amqp_to_zmq"),
    _bind("bodhi"),
    _declare("a queue", queues={"mine": BRIEF, OWN: BRIEF}),
    _declare("an exchange", exchanges={"mine": TOPIC}, queues={OWN: BRIEF}),
    _own("amq.topic", "#", VHOST),
    _own("amq.topic", "#", PUBLIC),
    _own("zmq.topic", "org.fedoraproject.prod.#", PUBLIC),
)
