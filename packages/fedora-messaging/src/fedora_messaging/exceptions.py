# SPDX-License-Identifier: MIT
"""Everything this library raises. No other module defines an exception.

::

    BaseException
    ├── ConfigurationException        yours: fix the configuration, then start again
    ├── ConnectionException           the broker's or the network's; ``permanent`` says whether trying again helps
    ├── NoFreeChannels                the broker's limit on channels is reached
    ├── PermissionException           the operator's: this user may not do that
    │   └── BadDeclaration            an exchange, queue or binding that the broker refused
    ├── PublishException              this message was not confirmed
    │   ├── PublishForbidden          for good: the user may not write there
    │   ├── PublishReturned           nobody was bound to take it
    │   │   └── PublishNacked         a queue refused it (full, or its node failed): may be tried again
    │   ├── PublishTimeout            unknown: it may have arrived; may be tried again
    │   │   └── PublishBlocked        the broker's alarm (memory, disk) held it back; may be tried again
    │   └── PublishIncomplete         some messages of a batch; says which, and why each
    ├── ConsumeException
    │   ├── ConsumerCanceled          the queue went away and did not come back
    │   ├── Nack, Drop, HaltConsumer  raised by callbacks, to say what becomes of the message
    ├── NodeError                     a private RabbitMQ node (for tests and trials) cannot do what was asked
    └── ValidationError               yours, or the sender's: the message breaks its schema or the wire format
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .message import Message


class BaseException(Exception):  # noqa: A001 - the name is part of the public surface since 1.0
    """The root of every exception of this library."""


class NoFreeChannels(BaseException):
    """The connection has as many channels as the broker allows."""


class PermissionException(BaseException):
    """The broker does not let this user do that.

    Arguments:
        obj_type: what kind of thing it was about: ``"queue"``, ``"exchange"``, ``"binding"``; None when unknown.
        description: which one; None when unknown.
        reason: the broker's words.
    """

    def __init__(
        self, obj_type: str | None = None, description: object = None, reason: object = None
    ) -> None:
        super().__init__(obj_type, description, reason)
        self.obj_type = obj_type
        self.description = description
        self.reason = reason

    def __str__(self) -> str:
        about = " ".join(str(part) for part in (self.obj_type, self.description) if part)
        return f"{about}: {self.reason}" if self.reason else about

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(obj_type={self.obj_type}, "
            f"description={self.description}, reason={self.reason})"
        )


class BadDeclaration(PermissionException):
    """The broker refused to declare an exchange, a queue or a binding."""

    def __str__(self) -> str:
        return f"Unable to declare the {self.obj_type} ({self.description}): {self.reason}"


class ConfigurationException(BaseException):
    """A setting is wrong. ``message`` names it, what was found, and what is allowed."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return f"Configuration error: {self.message}"


class PublishException(BaseException):
    """A message was not published. ``reason`` says why, in a sentence."""

    def __init__(self, reason: object = None) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return str(self.reason)


class _AboutOneMessage(PublishException):
    """A failure of one message, which knows where the message was going."""

    def __init__(
        self, reason: object = None, *, exchange: str | None = None, topic: str | None = None
    ) -> None:
        super().__init__(reason)
        self.exchange = exchange
        self.topic = topic


class PublishReturned(_AboutOneMessage):
    """Nobody is there to take it: no queue is bound for its topic (``mandatory``), or the exchange is missing."""


class PublishNacked(PublishReturned):
    """The broker confirmed negatively: a queue is full and rejects (``x-overflow``), or its node failed."""


class PublishTimeout(_AboutOneMessage):
    """No confirm came in time. The message may have arrived, or not; publishing it again is safe (same id)."""


class PublishBlocked(PublishTimeout):
    """No confirm came in time because the broker held publishers back: it is low on memory or disk."""


class PublishForbidden(_AboutOneMessage):
    """The broker refuses this message for good: the user may not publish that topic to that exchange, or the
    broker does not accept its properties or its size. Trying again is no use. ``user`` is whom the broker takes us
    for, as far as it is known.
    """

    def __init__(
        self,
        reason: object = None,
        *,
        exchange: str | None = None,
        topic: str | None = None,
        user: str | None = None,
    ) -> None:
        super().__init__(reason, exchange=exchange, topic=topic)
        self.user = user


class PublishIncomplete(PublishException):
    """Some messages of a batch were not published; all others were confirmed.

    ``failures`` is a list of (message, exception), in the order of the batch; ``published`` counts the confirmed.
    """

    def __init__(self, failures: Sequence[tuple[Message, BaseException]], published: int = 0) -> None:
        self.failures = list(failures)
        self.published = published
        first = f"; the first: {self.failures[0][1]}" if self.failures else ""
        super().__init__(
            f"{len(self.failures)} of {len(self.failures) + published} messages were not published{first}"
        )


class ConnectionException(BaseException):
    """The broker could not be reached, or the connection to it was lost.

    ``reason`` says why and what to do; ``permanent`` is true when another attempt with the same settings
    cannot succeed (wrong password, missing virtual host, untrusted certificate). ``code`` is the broker's reply
    code (AMQP 0.9.1, 1.1) where it closed the connection, else None.
    """

    def __init__(
        self, *args: object, reason: object = None, permanent: bool = False, code: int | None = None
    ) -> None:
        super().__init__(*args)
        self.reason = reason if reason is not None else (args[0] if args else None)
        self.permanent = permanent
        self.code = code

    def __str__(self) -> str:
        return str(self.reason)


class ConsumeException(BaseException):
    """The root of what ends or steers a consumer."""


class ConsumerCanceled(ConsumeException):
    """The broker cancelled the consumer (its queue was deleted), and it could not be set up again."""


class Nack(ConsumeException):
    """Raised by a callback: put this message back in the queue."""


class Drop(ConsumeException):
    """Raised by a callback: reject this message; it goes to the queue's dead-letter exchange, if it has one."""


class HaltConsumer(ConsumeException):
    """Raised by a callback: stop consuming.

    Arguments:
        exit_code: what ``fedora-messaging consume`` exits with.
        reason: why, for people.
        requeue: whether the message in hand goes back to the queue (else it is acknowledged).
    """

    def __init__(self, exit_code: int = 0, reason: str | None = None, requeue: bool = False) -> None:
        super().__init__(exit_code, reason, requeue)
        self.exit_code = exit_code
        self.reason = reason
        self.requeue = requeue

    def __str__(self) -> str:
        return self.reason or f"the consumer halted with exit code {self.exit_code}"


class ValidationError(BaseException):
    """A message breaks its schema, or cannot be put on (or read from) the wire.

    The first argument is the cause: a ``jsonschema.ValidationError``, a decoding error, or a sentence.
    """

    @property
    def summary(self) -> str:
        """One line: what is wrong."""
        cause = self.args[0] if self.args else ""
        return str(getattr(cause, "message", cause))


class NodeError(BaseException):
    """A private RabbitMQ node did not start, or cannot do what it was asked to.

    Arguments:
        reason: why, in a sentence, with the way out where there is one.
        log: the last lines of what the node printed; empty when that says nothing about it.
        status: the HTTP status, when the management API refused.
    """

    def __init__(self, reason: str, log: str = "", status: int | None = None) -> None:
        super().__init__(reason, log, status)
        self.reason = reason
        self.log = log
        self.status = status

    def __str__(self) -> str:
        return f"{self.reason}\n{self.log}" if self.log else self.reason
