# SPDX-License-Identifier: MIT
"""Asking a RabbitMQ, as a user, whether it would let him: the real thing is asked for, in a way that does nothing.

RabbitMQ looks at permissions first and at values afterwards (seen on 3.10.8 and 4.0.5): 403 is a refusal, anything else
the permission. Messages are published in a transaction that is taken back: nothing reaches a queue.

=========  =============================================================================
declare    queue.declare with ``x-expires`` -1
consume    basic.consume with an ``x-priority`` that is no number
bind       queue.unbind with an argument that no binding has: the same permissions as for binding
publish    tx.select, basic.publish, tx.rollback
=========  =============================================================================
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fedora_messaging import wire
from fedora_messaging.cli.prober import Prober
from fedora_messaging.exceptions import ConfigurationException, ConnectionException

from .questions import DEFAULT, SERVER_NAMED, Action, Question

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from fedora_messaging.transports.base import Address, Channel, ChannelClosed

__all__ = ["Answer", "ask"]

_REFUSED, _ACCEPTABLE = 403, {404, 405, 406}  # AMQP 0.9.1, 1.1: reply codes


@dataclass(frozen=True, slots=True)
class Answer:
    """What the broker said.

    Attributes:
        allowed: None when it said something else than yes or no.
        text: its words, or the library's about the connection.
    """

    allowed: bool | None
    text: str = ""


async def ask(address: Address, asked: Iterable[Question]) -> AsyncIterator[tuple[Question, Answer]]:
    """Ask one question after the other, about one virtual host, as the user whom the address says.

    When the connection cannot be opened, that answers the question about the login, and no other is asked. When the
    broker does not answer one about publishing, which it does not while it is low on memory or disk, no more of these
    are asked.
    """
    prober = Prober(address)
    silence: Answer | None = None
    try:
        try:
            await prober.connect()
            login = Answer(allowed=True)
        except (ConnectionException, ConfigurationException) as error:
            login = Answer(_refuses_vhost(error), str(error))
        for one in asked:
            if one.action is Action.LOGIN:
                yield one, login
            elif login.allowed and one.action is Action.PUBLISH:
                answer = silence or await _ask(prober, one)
                silence = answer if answer.allowed is None else None
                yield one, answer
            elif login.allowed:
                yield one, await _ask(prober, one)
    finally:
        await prober.close()


def _refuses_vhost(error: Exception) -> bool | None:
    """False when it was this virtual host that the broker refused, and not the user."""
    return False if "does not let us use the virtual host" in str(error) else None


async def _ask(prober: Prober, asked: Question) -> Answer:
    try:
        refused = await prober.refusal(lambda channel: _attempt(channel, asked))
    except ConnectionException as error:
        return Answer(None, str(error))
    return _answer(refused) if refused else Answer(allowed=True)


def _answer(refused: ChannelClosed) -> Answer:
    if refused.code == _REFUSED:
        return Answer(allowed=False, text=refused.text)
    return Answer(True if refused.code in _ACCEPTABLE else None, refused.text)


async def _attempt(channel: Channel, asked: Question) -> None:
    nobodys = secrets.token_hex(8)
    if asked.action is Action.PUBLISH:
        exchange = "" if asked.name == DEFAULT else asked.name
        await channel.rehearse(wire.raw(exchange, asked.topic, b"{}", message_id=nobodys, headers={}))
    elif asked.action is Action.CONSUME:
        await channel.consume(asked.name, {"x-priority": "probe"})
    elif asked.action is Action.BIND:
        await channel.unbind(asked.queue, asked.name, asked.topic, {"check": nobodys})
    else:
        impossible: dict[str, Any] = {"durable": True, "arguments": {"x-expires": -1}}
        await channel.declare_queue("" if asked.name.startswith(SERVER_NAMED) else asked.name, impossible)
