# SPDX-License-Identifier: MIT
"""What a bridge needs on the broker."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from fedora_messaging.exceptions import BadDeclaration, PermissionException

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fedora_messaging.aio import Session

__all__ = ["DURABLE", "as_it_is", "declare"]

_log = logging.getLogger(__name__)

DURABLE: dict[str, Any] = {"durable": True, "auto_delete": False, "exclusive": False, "arguments": {}}
_TOPIC: dict[str, Any] = {"type": "topic", "durable": True, "auto_delete": False, "arguments": {}}


async def declare(session: Session, *, quarantine: str, exchanges: Sequence[str] = ()) -> None:
    """See that the exchanges are there, and quarantine: a queue, and an exchange of the same name that it is bound to,
    so that others can have copies.

    What is there already needs no permission to be found, however it was declared; only what is missing is made.

    Raises what ``Session.declare`` raises.
    """
    wanted: dict[str, Any] = dict.fromkeys([*exchanges, quarantine], _TOPIC)
    queues = {quarantine: DURABLE}
    binding = {"queue": quarantine, "exchange": quarantine, "routing_keys": ["#"]}
    try:
        await session.declare(exchanges=wanted, queues=queues, bindings=binding, passive=True)
    except BadDeclaration:
        for name in wanted:
            await _make(session, exchanges={name: _TOPIC})
        await _make(session, queues=queues)
        await _bind(session, queues, binding)


async def as_it_is(session: Session, queue: str, bindings: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The settings with which to consume ``queue``: those of a plain durable one, which is made if there is none; or,
    where it is there with others (a quorum queue, with a single active consumer), what takes it as it is.

    It is bound as well: a queue that is there is one that gets messages. Raises what ``Session.declare`` raises.
    """
    try:
        await session.declare(queues={queue: DURABLE}, bindings=bindings)
    except (BadDeclaration, PermissionException):
        await session.declare(queues={queue: DURABLE}, bindings=bindings, passive=True)
        _log.info("The queue %s is there with settings of its own, and is taken as it is", queue)
        return {**DURABLE, "passive": True}
    return DURABLE


async def _bind(session: Session, queues: dict[str, Any], binding: dict[str, Any]) -> None:
    try:
        await session.declare(queues=queues, bindings=binding, passive=True)
    except BadDeclaration as error:
        # Letters are mandatory: where the binding is missing as well, they come back, and nothing is lost.
        name = binding["queue"]
        _log.warning("Bind the queue %s to the exchange of that name by hand, if it is not: %s", name, error)


async def _make(session: Session, **thing: Any) -> None:
    """Make it if it is not there."""
    try:
        await session.declare(**thing, passive=True)
    except BadDeclaration:
        await session.declare(**thing)
