# SPDX-License-Identifier: MIT
"""The ledger of messages that the broker has not confirmed yet, one for each channel. Pure.

Rules (RabbitMQ, "Consumer Acknowledgements and Publisher Confirms"): after confirm.select the messages
published on a channel are numbered from 1; an ack or a nack names a number, or with ``multiple`` all up to
it; a mandatory message that cannot be routed comes back (basic.return) before its ack; when the channel
closes, nothing says what became of those not confirmed.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .transports.base import ChannelClosed, Outgoing, Returned

T = TypeVar("T")


class Outcome(Enum):
    """What the broker said of one message."""

    CONFIRMED = "confirmed"
    NACKED = "nacked"
    RETURNED = "returned"


class Settled(NamedTuple, Generic[T]):
    """A message that left the ledger; ``returned`` is set when nobody was bound to take it."""

    item: T
    outcome: Outcome
    returned: Returned | None = None


class Ledger(Generic[T]):
    """What was published on one channel and is not settled, in order. Each item settles exactly once."""

    def __init__(self) -> None:
        self._last_tag = 0
        self._first_tag = 1  # nothing below is open
        self._open: dict[int, T] = {}
        self._mandatory: dict[int, str | None] = {}
        self._by_id: dict[str | None, deque[int]] = {}
        self._returned: dict[int, Returned] = {}

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[T]:
        return iter(self._open.values())

    def sent(self, item: T, message_id: str | None = None, *, mandatory: bool = False) -> int:
        """Note that ``item`` was published; its number. ``message_id`` finds it again when it is returned."""
        self._last_tag += 1
        self._open[self._last_tag] = item
        if mandatory:
            self._mandatory[self._last_tag] = message_id
            self._by_id.setdefault(message_id, deque()).append(self._last_tag)
        return self._last_tag

    def returned(self, message: Returned) -> None:
        """Note a basic.return. Returns come in the order of publishing, so it is the first with that id."""
        for tag in self._by_id.get(message.message_id, ()):
            if tag not in self._returned:
                self._returned[tag] = message
                return

    def settle(self, tag: int, multiple: bool, *, nacked: bool = False) -> list[Settled[T]]:
        """Take out what an ack (or with ``nacked``, a nack) settles, in order. Unknown numbers settle nothing."""
        if not multiple:
            return [self._take(tag, nacked)] if tag in self._open else []
        reach = range(self._first_tag, min(tag, self._last_tag) + 1)
        self._first_tag = max(self._first_tag, reach.stop)
        return [self._take(number, nacked) for number in reach if number in self._open]

    def close(self) -> list[T]:
        """Take out all that is left, in order: the channel is gone, and what became of them unknown."""
        left = list(self._open.values())
        self._open.clear()
        self._mandatory.clear()
        self._by_id.clear()
        self._returned.clear()
        return left

    def _take(self, tag: int, nacked: bool) -> Settled[T]:
        item = self._open.pop(tag)
        returned = self._take_returned(tag) if tag in self._mandatory else None
        if returned is not None:
            return Settled(item, Outcome.RETURNED, returned)
        return Settled(item, Outcome.NACKED if nacked else Outcome.CONFIRMED)

    def _take_returned(self, tag: int) -> Returned | None:
        message_id = self._mandatory.pop(tag)
        tags = self._by_id[message_id]
        tags.remove(tag)
        if not tags:
            del self._by_id[message_id]
        return self._returned.pop(tag, None)


def culprit(closed: ChannelClosed, unconfirmed: list[Outgoing]) -> int | None:
    """Which of ``unconfirmed`` made the broker close the channel: its index, or None when that is unknown.

    The close names no delivery tag. A refusal (403) names the exchange in quotes, and the topic where it was
    the topic that was forbidden; a missing exchange (404) names the exchange. The broker handles a channel in
    order, so it is the first that fits. Only one message in flight needs no evidence.
    """
    if len(unconfirmed) == 1:
        return 0
    if closed.code not in (403, 404):
        return None
    about_topic = "topic '" in closed.text
    for index, message in enumerate(unconfirmed):
        exchange = message.exchange or "amq.default"  # what RabbitMQ calls the default exchange in its texts
        if f"'{exchange}'" not in closed.text:
            continue
        if not about_topic or f"topic '{message.topic}' in exchange" in closed.text:
            return index
    return None
