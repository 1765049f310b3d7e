# SPDX-License-Identifier: MIT
"""The durable queue of messages that could not be bridged: looking through it, sending them on, dropping them.

AMQP has no way to look into a queue but to consume it. So messages are taken without being acknowledged, up to a
bound, and return to their places when the channel closes; while somebody looks, nobody else sees them. A message is
acknowledged, and so removed, only once it was confirmed elsewhere, or was to be dropped.

What a message in quarantine is, is in :mod:`.fedmsg.setaside`; how it crosses after all, the caller knows.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from fedora_messaging import wire
from fedora_messaging.aio import Session
from fedora_messaging.exceptions import BadDeclaration, ConnectionException, PublishException, ValidationError

from .exceptions import ToolsError
from .fedmsg.setaside import SetAside

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Mapping

    from fedora_messaging.aio import Delivery
    from fedora_messaging.exceptions import BaseException as LibraryError
    from fedora_messaging.transports.base import Outgoing

__all__ = ["Held", "Outcome", "Quarantine", "Selection", "confirmed", "to_bridges_queue"]

IDLE = 1.0  # seconds without a message that mean: there are no more
PATIENCE = 30.0  # seconds for a connection that was lost meanwhile, and for a confirm
MOST = 65535  # AMQP 0.9.1: the prefetch count is a short

_DURABLE: Mapping[str, Any] = {"durable": True, "auto_delete": False, "exclusive": False, "arguments": None}
_NOT_FOUND = "(404)"


@dataclass(frozen=True, slots=True)
class Held:
    """A message as it lies in the queue.

    Attributes:
        id: a short hash, the same at every look.
        body: the bytes in the queue.
        letter: what they say; None when no bridge wrote them.
    """

    id: str
    body: bytes
    letter: SetAside | None

    @classmethod
    def of(cls, body: bytes) -> Held:
        """The message with this body."""
        try:
            letter = SetAside.decode(body)
        except ValueError:
            return cls(hashlib.sha256(body).hexdigest()[:12], body, None)
        return cls(letter.id, body, letter)

    @property
    def reason(self) -> str:
        """Why it is here."""
        return self.letter.reason if self.letter else "foreign"

    @property
    def topic(self) -> str:
        """Its topic, as far as it has one."""
        frames = self.letter.frames if self.letter else ()
        return frames[0].decode(errors="replace") if frames else ""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which messages are meant: those of the ids, or all; and of these, those with the reason."""

    ids: Collection[str] = ()
    reason: str | None = None

    def takes(self, held: Held) -> bool:
        """Whether this one is meant."""
        return (not self.ids or held.id in self.ids) and self.reason in (None, held.reason)


@dataclass(slots=True)
class Outcome:
    """What became of the messages that were meant: ids that are done with, in their order, and why others were left."""

    done: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)

    def missing(self, ids: Collection[str]) -> list[str]:
        """Of ``ids``, those that were not met."""
        return [one for one in ids if one not in self.done and one not in self.left]


class Quarantine:
    """The queue, with a session of its own. Use it as ``async with``.

    Arguments:
        conf: the library's settings.
        queue: its name.
        idle: seconds without a message after which there are no more.
    """

    def __init__(self, conf: Mapping[str, Any], queue: str, *, idle: float = IDLE) -> None:
        self._conf = {**conf, "exchanges": {}, "passive_declares": True}
        self._queue = queue
        self._idle = idle
        self.session = Session(self._conf)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.close()

    async def look(self, selection: Selection, limit: int) -> list[Held]:
        """Up to ``limit`` of the messages that are meant, the oldest first; they stay.

        Raises ``ToolsError`` when there is no such queue, and what ``Session.consume`` raises.
        """
        narrow = bool(selection.ids or selection.reason)
        found: dict[str, Held] = {}
        async with contextlib.aclosing(self._seen(MOST if narrow else limit)) as seen:
            async for held in seen:
                if selection.takes(held):
                    found.setdefault(held.id, held)
                    if len(found) == limit:
                        break
        return list(found.values())

    async def drop(self, selection: Selection) -> Outcome:
        """Remove the messages that are meant and there now, for good. Raises as :meth:`look`."""

        async def nothing(_: Held) -> str:
            return ""

        return await self._settle(selection, nothing)

    async def replay(
        self, selection: Selection, prepare: Callable[[SetAside], Awaitable[Outgoing]]
    ) -> Outcome:
        """Publish the messages that are meant and there now, and remove those that are confirmed.

        Arguments:
            selection: which.
            prepare: makes what is to be published; raises ``ToolsError`` for what cannot be.

        Raises as :meth:`look`; what happens to one message does not keep the others.
        """
        return await self._settle(selection, lambda held: self._publish(held, prepare))

    async def _settle(self, selection: Selection, handle: Callable[[Held], Awaitable[str]]) -> Outcome:
        """Handle each message that is meant; it is removed unless that says why it has to stay.

        Which these are is found out first: a message that is sent on may be set aside again at once, and would be
        met again without end.
        """
        expected = Counter([held.id async for held in self._seen(MOST) if selection.takes(held)])
        meant, verdicts = frozenset(expected), dict[str, str]()
        if not meant:
            return Outcome()
        async with self._messages(MOST) as messages:
            async for held, delivery in messages:
                if held.id not in meant:
                    continue
                if held.id not in verdicts:  # else it was set aside twice, or comes again by a new connection
                    verdicts[held.id] = await handle(held)
                if not verdicts[held.id]:
                    delivery.ack()
                expected[held.id] -= 1
                if expected[held.id] <= 0:
                    del expected[held.id]
                if not expected:
                    break
        done = [one for one, problem in verdicts.items() if not problem]
        return Outcome(done, {one: problem for one, problem in verdicts.items() if problem})

    async def _publish(self, held: Held, prepare: Callable[[SetAside], Awaitable[Outgoing]]) -> str:
        """Send it on; why not, in a line, or nothing."""
        if held.letter is None:
            return "no bridge put it there"
        try:
            await confirmed(self.session, await prepare(held.letter))
        except (ToolsError, PublishException) as error:
            return str(error)
        except ValidationError as error:
            return error.summary
        return ""

    async def _seen(self, most: int) -> AsyncGenerator[Held, None]:
        """What is in the queue now, as far as that can be told while more comes in: what is there in half a minute."""
        end = asyncio.get_running_loop().time() + PATIENCE
        async with self._messages(most) as messages:
            async for held, _ in messages:
                yield held
                if asyncio.get_running_loop().time() >= end:
                    return

    @contextlib.asynccontextmanager
    async def _messages(self, most: int) -> AsyncIterator[AsyncIterator[tuple[Held, Delivery]]]:
        """What is in the queue now, at most so many; what is not acknowledged returns to its place at the end."""
        session = Session({**self._conf, "qos": {"prefetch_count": most}})
        try:
            async with session.deliveries([], {self._queue: _DURABLE}, raw=True) as deliveries:
                yield self._each(session, deliveries, most)
        except BadDeclaration as error:
            raise _no_queue(error, self._queue) from error
        finally:
            await session.close()

    async def _each(
        self, session: Session, deliveries: AsyncIterator[Delivery], most: int
    ) -> AsyncIterator[tuple[Held, Delivery]]:
        for _ in range(most):
            delivery = await self._next(session, deliveries)
            if delivery is None:
                return
            yield Held.of(delivery.incoming.body), delivery

    async def _next(self, session: Session, deliveries: AsyncIterator[Delivery]) -> Delivery | None:
        waited = 0.0
        while waited < PATIENCE:
            try:
                async with asyncio.timeout(self._idle):
                    return await anext(deliveries, None)
            except TimeoutError:
                if session.statistics.consuming:
                    return None
                waited += self._idle
        raise ConnectionException(reason=f"the connection was lost, and did not come back in {PATIENCE:g} s")


async def to_bridges_queue(session: Session, queue: str) -> Callable[[SetAside], Outgoing]:
    """What sends messages from AMQP back to the bridge's own queue, where no other consumer sees them again.

    The default exchange would replace the topic by the queue's name. So there is an exchange for it, ``QUEUE.replay``
    (fanout, durable), which nothing but that queue is bound to; it is declared here.

    Raises ``ToolsError`` when the queue is not there, ``BadDeclaration`` when the broker does not let us.
    """
    exchange = f"{queue}.replay"
    kind = {exchange: {"type": "fanout", "durable": True, "auto_delete": False, "arguments": {}}}
    binding = {"queue": queue, "exchange": exchange, "routing_keys": [""]}
    try:
        await session.declare(queues={queue: _DURABLE}, passive=True)
    except BadDeclaration as error:
        raise _no_queue(error, queue) from error
    await session.declare(exchanges=kind)
    await session.declare(queues={queue: _DURABLE}, bindings=binding, passive=True)

    def prepare(letter: SetAside) -> Outgoing:
        topic, body = letter.frames
        return wire.raw(
            exchange,
            topic.decode(),
            body,
            message_id=letter.properties.get("message_id"),
            headers=letter.properties.get("headers") or {},
            mandatory=True,
        )

    return prepare


def _no_queue(error: BadDeclaration, queue: str) -> Exception:
    """What to raise when the queue is not to be had."""
    if _NOT_FOUND in str(error):
        return ToolsError(f"there is no queue {queue} on the broker: the bridge makes it when it starts")
    return error


async def confirmed(session: Session, outgoing: Outgoing) -> None:
    """Publish, and wait for the broker's word. Raises what became of it otherwise."""
    answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def done(error: LibraryError | None) -> None:
        if answer.done():
            return
        if error is None:
            answer.set_result(None)
        else:
            answer.set_exception(error)

    publication = session.submit(outgoing, PATIENCE, done)
    try:
        await answer
    finally:
        session.withdraw(publication)
