# SPDX-License-Identifier: MIT
"""What the user of a connection may do on the broker, for ``doctor``: found out without doing it.

Each probe asks for the real thing, under its real name, with one value that the broker does not accept. RabbitMQ
looks at permissions first and at values afterwards (seen on 3.10.8 and 4.0.5: 403 without permission). So a probe
creates nothing. Most leave a line in the broker's log, though. Messages are the exception: 4.0 looks at their values
before their topic, so that one is published in a transaction, which is taken back: nothing is routed.

=============  ============================================================================  =====================
permission     asked for with                                                                granted if answered by
=============  ============================================================================  =====================
declare        queue.declare, ``x-expires`` -1; exchange.declare, ``alternate-exchange`` 1   406
bind           queue.unbind, with an argument that no binding has: the same permissions      no error
consume        basic.consume, ``x-priority`` not a number                                    406; 404: no such queue
publish        tx.select, basic.publish, tx.rollback                                         no error
=============  ============================================================================  =====================
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..exceptions import ConnectionException
from ..transports.base import Outgoing
from .findings import Finding, fail, note, ok

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Mapping

    from ..transports.base import ChannelClosed
    from .prober import Attempt, Prober

REFUSED, NOT_FOUND, LOCKED, PRECONDITION = 403, 404, 405, 406  # AMQP 0.9.1, 1.1: reply codes

_SERVER_NAMED = (
    "amq.gen-"  # how RabbitMQ begins the names that it gives, and hence what permissions have to match
)


async def examine(
    conf: Mapping[str, Any], prober: Prober, publish_topic: str | None
) -> AsyncIterator[Finding]:
    """Check all that the configuration wants to declare, bind, consume and publish to."""
    passive = conf["passive_declares"]
    for name, settings in conf["exchanges"].items():
        yield await _guarded("exchange", name, _exchange(prober, name, settings, passive=passive))
    for name, settings in conf["queues"].items():
        yield await _guarded("queue", name, _queue(prober, name, settings, passive=passive))
        yield await _guarded("consume", name, _consume(prober, name))
    for binding in conf["bindings"] or ():
        queue = binding.get("queue", "")
        if queue in conf["queues"]:
            yield await _guarded("bind", queue, _binding(prober, conf, queue, binding))
        else:
            yield note(
                "bind", f"a binding names the queue {queue!r}, which [queues] does not: it is not made"
            )
    yield await _guarded("publish", conf["publish_exchange"], _publish(prober, conf, publish_topic))


async def _guarded(check: str, name: str, finding: Awaitable[Finding]) -> Finding:
    try:
        return await finding
    except ConnectionException as error:
        return fail(check, f"{name or 'server-named queue'}: {error}")


@dataclass(frozen=True)
class _Thing:
    """An exchange or a queue, and three things to ask: is it there, may it be declared, might it be."""

    kind: str
    name: str
    look: Attempt
    declare: Attempt
    probe: Attempt


async def _exchange(prober: Prober, name: str, settings: Mapping[str, Any], *, passive: bool) -> Finding:
    impossible = {**settings, "arguments": {**(settings.get("arguments") or {}), "alternate-exchange": 1}}
    thing = _Thing(
        "exchange",
        name,
        lambda channel: channel.declare_exchange(name, settings, passive=True),
        lambda channel: channel.declare_exchange(name, settings),
        lambda channel: channel.declare_exchange(name, impossible),
    )
    return await _declaration(prober, thing, passive=passive)


async def _queue(prober: Prober, name: str, settings: Mapping[str, Any], *, passive: bool) -> Finding:
    impossible = {**settings, "arguments": {**(settings.get("arguments") or {}), "x-expires": -1}}
    thing = _Thing(
        "queue",
        name,
        lambda channel: channel.declare_queue(name, settings, passive=True),
        lambda channel: channel.declare_queue(name, settings),
        lambda channel: channel.declare_queue(name, impossible),
    )
    if name == "":
        advice = f"have configure permission for ^{_SERVER_NAMED} granted, or give the queue a name"
        return _may_declare(await prober.refusal(thing.probe), "queue", "a queue named by the server", advice)
    return await _declaration(prober, thing, passive=passive)


async def _declaration(prober: Prober, thing: _Thing, *, passive: bool) -> Finding:
    kind, name = thing.kind, thing.name
    absent = await prober.refusal(thing.look)
    if absent is None:
        return ok(kind, f"{name} exists") if passive else await _existing(prober, thing)
    if absent.code == LOCKED:
        return note(kind, f"{name} is in exclusive use by another connection", "does the application run?")
    if absent.code != NOT_FOUND:
        return fail(kind, f"{name}: {absent.text}")
    if passive:
        advice = "have it created, or set passive_declares = false"
        return fail(kind, f"{name} does not exist, and passive_declares is set", advice)
    advice = "have it created, or configure permission for it granted"
    return _may_declare(await prober.refusal(thing.probe), kind, f"{name}, which does not exist yet", advice)


async def _existing(prober: Prober, thing: _Thing) -> Finding:
    kind, name = thing.kind, thing.name
    refused = await prober.refusal(thing.declare)
    if refused is None:
        return ok(kind, f"{name} exists as configured, and may be declared")
    if refused.code == REFUSED:
        advice = "set passive_declares = true, or have configure permission for it granted"
        return fail(kind, f"{name} exists, but this user may not declare it", advice)
    if refused.code == PRECONDITION:
        advice = f"configure the {kind} as it is, or have it deleted"
        return fail(kind, f"{name} exists with other settings: {refused.text}", advice)
    return fail(kind, f"{name}: {refused.text}")


def _may_declare(refused: ChannelClosed | None, kind: str, name: str, advice: str) -> Finding:
    if refused is None:
        return note(kind, f"the broker declared {name}, from settings that it should not have accepted")
    if refused.code == REFUSED:
        return fail(kind, f"this user may not declare {name} ({refused.text})", advice)
    if refused.code == PRECONDITION and ("x-expires" in refused.text or "alternate-exchange" in refused.text):
        return ok(kind, f"this user may declare {name}")
    return fail(kind, f"the broker will not declare {name}: {refused.text}", "correct its settings")


async def _consume(prober: Prober, name: str) -> Finding:
    queue = name or _unused()
    refused = await prober.refusal(lambda channel: channel.consume(queue, {"x-priority": "probe"}))
    shown = name or "a queue named by the server"
    if refused is None:
        return note("consume", f"{shown}: the broker let the probe consume; it was ended at once")
    if refused.code == REFUSED:
        return fail("consume", f"this user may not consume {shown}", _granted("read", queue, name))
    if refused.code == LOCKED:
        return note("consume", f"{shown} is in exclusive use by another connection")
    if refused.code in (NOT_FOUND, PRECONDITION):
        return ok("consume", f"this user may consume {shown}")
    return fail("consume", f"{shown}: {refused.text}")


def _granted(permission: str, thing: str, name: str) -> str:
    return f"have {permission} permission for {thing if name else '^' + _SERVER_NAMED} granted"


def _unused() -> str:
    """A name that the server might give to a queue, and has not given."""
    return f"{_SERVER_NAMED}{secrets.token_hex(8)}"


async def _binding(prober: Prober, conf: Mapping[str, Any], name: str, binding: Mapping[str, Any]) -> Finding:
    exchange, topics = binding["exchange"], binding["routing_keys"]
    what = f"{name or 'a queue named by the server'} to {exchange}"
    queue, nobodys = name or _unused(), {"doctor": _unused()}
    for topic in topics:
        refused = await prober.refusal(
            lambda channel, topic=topic: channel.unbind(queue, exchange, topic, nobodys)  # type: ignore[misc]
        )
        if refused is not None and f"'{queue}'" in refused.text:
            return fail(
                "bind", f"this user may not bind {what} ({refused.text})", _granted("write", queue, name)
            )
        if refused is not None:
            advice = f"have read permission for {exchange}, and for the topic, granted"
            return fail("bind", f"this user may not bind {what} for {topic!r} ({refused.text})", advice)
    if exchange not in conf["exchanges"] and await _is_missing(prober, exchange):
        return fail("bind", f"{what}: there is no such exchange", "add it to [exchanges], or have it created")
    return ok("bind", f"this user may bind {what} for {', '.join(map(repr, topics))}")


async def _is_missing(prober: Prober, exchange: str) -> bool:
    refused = await prober.refusal(lambda channel: channel.declare_exchange(exchange, {}, passive=True))
    return refused is not None and refused.code == NOT_FOUND


async def _publish(prober: Prober, conf: Mapping[str, Any], topic: str | None) -> Finding:
    exchange = conf["publish_exchange"]
    message = _probe(exchange, topic or "fedora-messaging.doctor")
    refused = await prober.refusal_of(message)
    what = f"topic {message.topic!r} to the exchange {exchange}"
    if refused is None:
        return ok("publish", f"this user may publish {what}")
    if refused.code == NOT_FOUND and exchange in conf["exchanges"]:
        return note(
            "publish", f"there is no exchange {exchange} yet; consumers with this configuration declare it"
        )
    if refused.code == NOT_FOUND:
        return fail(
            "publish", f"there is no exchange {exchange}", "correct publish_exchange, or have it created"
        )
    return _may_not_publish(refused, message, topic)


def _may_not_publish(refused: ChannelClosed, message: Outgoing, topic: str | None) -> Finding:
    what = f"topic {message.topic!r} to the exchange {message.exchange}"
    if refused.code != REFUSED:
        return fail("publish", f"{what}: {refused.text}")
    if f"topic '{message.topic}'" in refused.text and topic is None:
        text = f"this user may publish to {message.exchange}, but not {message.topic!r}"
        return note("publish", text, "say --publish-topic TOPIC to check one that it should publish")
    advice = f"have write permission for {message.exchange}, and for the topic, granted, if the application publishes"
    return fail("publish", f"this user may not publish {what} ({refused.text})", advice)


def _probe(exchange: str, topic: str) -> Outgoing:
    from ..message import Message  # noqa: PLC0415 - only when a command runs

    message = Message(topic=topic, body={"doctor": "this message must not be delivered"})
    body = message._encoded_body  # noqa: SLF001 - our own class
    return Outgoing(exchange, message._encoded_routing_key, message._properties, body)  # noqa: SLF001
