# SPDX-License-Identifier: MIT
"""Who may still have a lost message: this verifier's memory, fedmsg's replay endpoints, an archive; in this order.

What they say is read in :mod:`.recovered`; what becomes of the message is :mod:`.repair`'s business.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from fedora_messaging import datagrepper

from ..bridges.complaints import Complaints
from ..exceptions import ToolsError
from ..fedmsg import canonical
from ..sockets import Requester
from ..sockets.address import check_connect
from .recovered import NoMessage, from_archive, from_replay, ids, is_it, remembered

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ..shapes import Repair
    from .recovered import Lost, Message

__all__ = ["ARCHIVE", "MEMORY", "REPLAY", "Found", "Sources"]

_log = logging.getLogger(__name__)

MEMORY, REPLAY, ARCHIVE = "memory", "replay", "datagrepper"

_SECONDS = 10.0  # for an answer
_PAUSE = 10.0  # seconds in which one is not asked again that gave none
_AT_ONCE = 2  # questions to the archive: each takes a thread
_PARTS = 100  # of an answer: more than one message may have the id


@dataclass(frozen=True, slots=True)
class Found:
    """What asking led to.

    Attributes:
        message: the message, if anyone has it.
        source: who has it: ``memory``, ``replay ENDPOINT`` or ``datagrepper``.
        silent: those that gave no answer: where these are, nobody knows whether it is really gone.
    """

    message: Message | None
    source: str = ""
    silent: tuple[str, ...] = ()


class _Silent(Exception):
    """One that was asked gave no answer."""


class Sources:
    """All places to look in. On one event loop.

    Arguments:
        settings: the section ``verify_missing.repair``.
        seconds: how long to wait for an answer.
        pause: seconds in which one that gave none is left alone.

    Raises ``ToolsError`` when an address is none.
    """

    def __init__(self, settings: Repair, *, seconds: float = _SECONDS, pause: float = _PAUSE) -> None:
        for endpoint in settings.replay_endpoints:
            check_connect(endpoint)
        url = settings.datagrepper_url
        if url is not None and not url.startswith(("http://", "https://")):
            raise ToolsError(f"datagrepper_url: {url} does not begin with http:// or https://")
        self._endpoints = settings.replay_endpoints
        self._url = url
        self._seconds = seconds
        self._pause = pause
        self._requester = Requester(parts=_PARTS)
        self._archive = asyncio.Semaphore(_AT_ONCE)
        self._left_alone: dict[str, float] = {}  # who gave no answer, until when
        self._complaints = Complaints()

    def close(self) -> None:
        """When nobody looks for anything any more."""
        self._requester.close()

    async def find(self, lost: Lost) -> Found:
        """Look everywhere, until one has it."""
        message = remembered(lost)
        if message is not None:
            return Found(message, MEMORY)
        known_as = ids(lost)
        if not known_as:
            return Found(None)
        found = await self._replayed(lost, known_as)
        if found.message is not None or self._url is None:
            return found
        try:
            message = await self._asked(ARCHIVE, partial(self._archived, self._url, lost, known_as))
        except _Silent:
            return Found(None, silent=(*found.silent, ARCHIVE))
        return Found(message, ARCHIVE if message else "", found.silent)

    # replays

    async def _replayed(self, lost: Lost, known_as: Sequence[str]) -> Found:
        """All at a time; the first that has it."""
        request = canonical.dumps({"msg_ids": known_as} if len(known_as) > 1 else {"msg_id": known_as[0]})
        asking = [asyncio.create_task(self._replay(endpoint, request, lost)) for endpoint in self._endpoints]
        silent: list[str] = []
        try:
            for next_one in asyncio.as_completed(asking):
                found = await next_one
                if found.message is not None:
                    return found
                silent.extend(found.silent)
        finally:
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
        return Found(None, silent=tuple(silent))

    async def _replay(self, endpoint: str, request: bytes, lost: Lost) -> Found:
        name = f"{REPLAY} {endpoint}"
        try:
            message = await self._asked(name, partial(self._replay_from, endpoint, request, lost))
        except _Silent:
            return Found(None, silent=(name,))
        return Found(message, name if message else "")

    async def _replay_from(self, endpoint: str, request: bytes, lost: Lost) -> Message | None:
        parts = await self._requester.ask(endpoint, request, seconds=self._seconds)
        for part in parts:
            # An error is how fedmsg says that it has none: it has no other word for it.
            if not part.startswith(b"error: "):
                with contextlib.suppress(NoMessage):
                    message = from_replay(part, lost.leg)
                    if is_it(message, lost):
                        return message
        return None

    # the archive

    async def _archived(self, url: str, lost: Lost, known_as: Sequence[str]) -> Message | None:
        for message_id in known_as:
            try:
                record = await self._record(url, message_id)
            except datagrepper.NotArchived:
                continue
            message = from_archive(record, lost.leg)
            if is_it(message, lost):
                return message
        return None

    async def _record(self, url: str, message_id: str) -> object:
        async with self._archive:
            return await asyncio.to_thread(datagrepper.ask, url, message_id, seconds=self._seconds)

    # all of them

    async def _asked(self, name: str, ask: Callable[[], Awaitable[Message | None]]) -> Message | None:
        """What it says; who gives no answer is left alone for a while, and that is said once a minute.

        Raises ``_Silent``.
        """
        if time.monotonic() < self._left_alone.get(name, 0.0):
            raise _Silent
        try:
            return await ask()
        except (ToolsError, TimeoutError, datagrepper.Unreachable, NoMessage) as error:
            why = str(error) or f"no answer in {self._seconds:g} s"
            self._left_alone[name] = time.monotonic() + self._pause
            if self._complaints.due(name):
                _log.warning("%s: lost messages cannot be looked for there: %s", name, why)
            raise _Silent from error
