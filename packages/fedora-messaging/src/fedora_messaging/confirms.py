# SPDX-License-Identifier: MIT
"""The ledger of messages that the broker has not confirmed yet, one for each channel. Pure.

Rules (RabbitMQ, "Consumer Acknowledgements and Publisher Confirms"): after confirm.select the messages
published on a channel are numbered from 1; an ack or a nack names a number, or with ``multiple`` all up to
it; a mandatory message that cannot be routed comes back (basic.return) before its ack; when the channel
closes, nothing says what became of those not confirmed.
"""

from __future__ import annotations

import re
from collections import OrderedDict, deque
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from .exceptions import (
    ConnectionException,
    PublishBlocked,
    PublishForbidden,
    PublishNacked,
    PublishReturned,
    PublishTimeout,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .transports.base import ChannelClosed, Outgoing, Returned

T = TypeVar("T")
Address = tuple[str | None, str, str]  # a message's id, exchange and topic: what a basic.return says of it


# Reply codes with which the broker closes the channel because of one message: refused (403), no such
# exchange (404), properties or size not acceptable (406), too large (311), not implemented (540).
MESSAGE_FAULTS = frozenset({311, 403, 404, 406, 540})


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
        self._mandatory: dict[int, Address] = {}
        self._by_address: dict[Address, deque[int]] = {}
        self._returned: dict[int, Returned] = {}

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[T]:
        return iter(self._open.values())

    def sent(self, item: T, mandatory: Address | None = None) -> int:
        """Note that ``item`` was published; its number. ``mandatory`` finds it again when it is returned."""
        self._last_tag += 1
        self._open[self._last_tag] = item
        if mandatory is not None:
            self._mandatory[self._last_tag] = mandatory
            self._by_address.setdefault(mandatory, deque()).append(self._last_tag)
        return self._last_tag

    def returned(self, message: Returned) -> None:
        """Note a basic.return. They come in the order of publishing: of several alike, it is the first."""
        address = (message.message_id, message.exchange, message.topic)
        for tag in self._by_address.get(address, ()):
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
        self._by_address.clear()
        self._returned.clear()
        return left

    def _take(self, tag: int, nacked: bool) -> Settled[T]:
        item = self._open.pop(tag)
        returned = self._take_returned(tag) if tag in self._mandatory else None
        if returned is not None:
            return Settled(item, Outcome.RETURNED, returned)
        return Settled(item, Outcome.NACKED if nacked else Outcome.CONFIRMED)

    def _take_returned(self, tag: int) -> Returned | None:
        address = self._mandatory.pop(tag)
        tags = self._by_address[address]
        tags.remove(tag)
        if not tags:
            del self._by_address[address]
        return self._returned.pop(tag, None)


class Suspects(OrderedDict[tuple[str, str], None]):
    """The exchange and topic of messages that are better sent with nothing else in flight; the latest 256."""

    def add(self, message: Outgoing) -> None:
        """One like it was refused, or may have been."""
        self[message.exchange, message.topic] = None
        if len(self) > _SUSPECTS:
            self.popitem(last=False)

    def acquit(self, message: Outgoing) -> None:
        """One like it was taken."""
        self.pop((message.exchange, message.topic), None)

    def hold(self, message: Outgoing) -> bool:
        """Whether it is like one of them."""
        return (message.exchange, message.topic) in self


_SUSPECTS = 256


def ends_connections(error: ConnectionException | ChannelClosed | None, message: Outgoing) -> bool:
    """Whether the broker may have ended the connection because it could not say why it refuses ``message``.

    A reply text has 255 bytes. RabbitMQ 4.0 (seen on 4.0.5) cuts by characters what it measures in bytes: where the
    names in it are long and not ASCII it fails over its own answer, and closes the connection as an internal error.
    """
    unsayable = not (message.topic.isascii() and message.exchange.isascii())
    return isinstance(error, ConnectionException) and error.code == _INTERNAL_ERROR and unsayable


_INTERNAL_ERROR = 541  # AMQP 0.9.1, 1.1: reply codes


def culprit(closed: ChannelClosed, unconfirmed: list[Outgoing]) -> int | None:
    """Which of ``unconfirmed`` made the broker close the channel: its index, or None when that is unknown.

    The close names no delivery tag. A refusal (403) names the exchange, and the topic where it was the topic
    that was forbidden; a missing exchange (404) names the exchange. The broker handles a channel in order, so
    it is the first that fits. Only one message in flight needs no evidence.
    """
    if len(unconfirmed) == 1:
        return 0
    if closed.code not in (403, 404):
        return None
    about_topic = _about_topic(closed)
    fitting = [i for i, message in enumerate(unconfirmed) if _fits(closed.text, about_topic, message)]
    if closed.text.endswith(_CUT):
        alike = {(_name(unconfirmed[i]), about_topic and unconfirmed[i].topic) for i in fitting}
        if len(alike) > 1:
            return None
    return fitting[0] if fitting else None


def _about_topic(closed: ChannelClosed) -> bool:
    return closed.code == 403 and "access to topic '" in closed.text


_CUT = "..."  # RabbitMQ cuts a reply text at 252 bytes, perhaps within a character, and ends it so


def _fits(text: str, about_topic: bool, message: Outgoing) -> bool:
    """Whether the broker's words may be about ``message``. What follows its exchange, the vhost and the user,
    may bear any name, so the words are read from where the first of the names begins.
    """
    named = f"exchange '{_name(message)}' in vhost '"
    if about_topic:
        named = f"topic '{message.topic}' in {named}"
    _, found, after = text.partition("topic '" if about_topic else "exchange '")
    said = found + after
    if said.startswith(named):
        return True
    return text.endswith(_CUT) and named.startswith(said.removesuffix(_CUT).rstrip("\ufffd"))


def _name(message: Outgoing) -> str:
    """What RabbitMQ calls the exchange; the default one has no name but this in its texts."""
    return message.exchange or "amq.default"


def failure(message: Outgoing, settled: Settled[Any]) -> PublishReturned:
    """What to raise for ``message``, which the broker returned or confirmed negatively."""
    if settled.outcome is Outcome.RETURNED:
        reason = settled.returned.reason if settled.returned else ""
        return PublishReturned(
            f"{message.topic}: no queue is bound for it to the exchange {message.exchange}: {reason}",
            exchange=message.exchange,
            topic=message.topic,
        )
    return PublishNacked(
        f"{message.topic}: the broker could not put it in a queue bound to the exchange {message.exchange}: "
        "one is full and rejects what comes (x-overflow), or its node failed",
        exchange=message.exchange,
        topic=message.topic,
    )


def refusal(
    message: Outgoing, closed: ChannelClosed | ConnectionException, user: str | None = None
) -> PublishReturned | PublishForbidden:
    """What to raise for ``message``, because of which the broker closed the channel, or even the connection.

    ``user``: whom we said to be, for where the broker does not say it, or its words are cut.
    """
    exchange, topic = message.exchange, message.topic
    if isinstance(closed, ConnectionException):
        why = f"{topic}: the broker refuses it in the exchange {exchange}, and could not say why: {closed}"
        return PublishForbidden(why, exchange=exchange, topic=topic, user=user)
    if closed.code == 404:  # NOT_FOUND
        return PublishReturned(
            f"{topic}: the exchange {exchange!r} does not exist: declare it, "
            f"or correct publish_exchange ({closed.text})",
            exchange=exchange,
            topic=topic,
        )
    named = _USER.search(closed.text)
    who = named["refused"] or named["login"] if named else user
    why = f"{topic}: {_forbidden(closed, exchange, who)} ({closed.text})"
    return PublishForbidden(why, exchange=exchange, topic=topic, user=who)


# RabbitMQ's words, 3.10 and 4.0: of permissions, and of a user_id that is not the connection's user.
_USER = re.compile(r"refused for user '(?P<refused>.*)'$|authenticated user was '(?P<login>.*)'$", re.DOTALL)
_NOT_PERMITTED = re.compile(r"ACCESS_REFUSED - (\w+ )?access to ")


def _forbidden(closed: ChannelClosed, exchange: str, user: str | None) -> str:
    """Who may not do it, and what to do."""
    us = f"the user {user!r}" if user else "our user"
    where = f"the exchange {exchange!r}" if exchange else "the default exchange"
    if _NOT_PERMITTED.match(closed.text):
        what = "this topic" if _about_topic(closed) else "anything"
        return f"{us} may not publish {what} to {where}: have the operator grant it"
    if "user_id" in closed.text:
        return f"{us} may not publish as somebody else to {where}: leave user_id out"
    return f"the broker refuses it in {where}: correct the message"


def timeout(
    message: Outgoing, seconds: float | None, blocked: str | None, unreachable: ConnectionException | None
) -> PublishTimeout:
    """What to raise for ``message``, which was not confirmed within ``seconds``.

    Arguments:
        message: the one.
        seconds: its time limit.
        blocked: why the broker takes nothing now, if it does not.
        unreachable: why there is no connection, if there is none.
    """
    about = f"{message.topic} to the exchange {message.exchange}: no confirm within {seconds:g} s"
    if blocked is not None:
        return PublishBlocked(
            f"{about}; the broker has blocked publishing ({blocked}): free its memory or disk",
            exchange=message.exchange,
            topic=message.topic,
        )
    if unreachable is not None:
        about = f"{about}; not connected: {unreachable}"
    return PublishTimeout(about, exchange=message.exchange, topic=message.topic)
