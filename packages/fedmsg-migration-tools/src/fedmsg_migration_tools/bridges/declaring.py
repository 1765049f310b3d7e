# SPDX-License-Identifier: MIT
"""What a bridge needs on the broker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fedora_messaging.exceptions import BadDeclaration

if TYPE_CHECKING:
    from fedora_messaging.aio import Session

__all__ = ["DURABLE", "declare"]

DURABLE: dict[str, Any] = {"durable": True, "auto_delete": False, "exclusive": False, "arguments": {}}
_TOPIC = {"type": "topic", "durable": True, "auto_delete": False, "arguments": {}}


async def declare(session: Session, *, quarantine: str, exchange: str | None = None) -> None:
    """See that the quarantine queue, and the exchange, are there.

    What is there already needs no permission to be found, however it was declared; only what is missing is made.

    Raises what ``Session.declare`` raises.
    """
    exchanges = {} if exchange is None else {exchange: _TOPIC}
    queues = {quarantine: DURABLE}
    try:
        await session.declare(exchanges=exchanges, queues=queues, passive=True)
    except BadDeclaration:
        await _one_by_one(session, exchanges, queues)


async def _one_by_one(session: Session, exchanges: dict[str, Any], queues: dict[str, Any]) -> None:
    for kind, things in (("exchanges", exchanges), ("queues", queues)):
        for name, settings in things.items():
            wanted: dict[str, Any] = {kind: {name: settings}}
            try:
                await session.declare(**wanted, passive=True)
            except BadDeclaration:
                await session.declare(**wanted)
