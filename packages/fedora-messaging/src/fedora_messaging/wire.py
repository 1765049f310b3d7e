# SPDX-License-Identifier: MIT
"""A message and its form on the wire: ``Message`` to :class:`Outgoing`, and :class:`Incoming` to ``Message``.

Pure. Whatever cannot be put on the wire, or is no message when it comes from there, is a ``ValidationError``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .exceptions import ValidationError
from .message import get_message
from .transports.base import Outgoing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .message import Message
    from .transports.base import Incoming

#: AMQP 0.9.1, 4.2.5.3: a short string (a topic, the name of an exchange or of a header) has at most 255 bytes.
MAX_SHORT = 255


def encode(message: Message, exchange: str, mandatory: bool = False) -> Outgoing:
    """``message`` as it is sent to ``exchange``, after validating it.

    Arguments:
        message: what to send.
        exchange: the exchange's name.
        mandatory: let the broker return it when no queue takes it.

    Raises:
        ValidationError: it breaks its schema, JSON or AMQP cannot hold it, or it is no message.
    """
    try:
        message.validate()
        # Packages and applications touch these three by these names, so they are as good as public.
        topic, body = message._encoded_routing_key, message._encoded_body  # noqa: SLF001
        properties = message._properties  # noqa: SLF001
        _check_short("topic", topic)
        _check_short("exchange", exchange)
        if not _clearly_fits(properties):
            properties.encode()
    except ValidationError:
        raise
    except Exception as exc:
        # Deliberately all: foreign code (a package's ``validate``, encoders) meets the application's values here.
        raise ValidationError(exc) from exc
    return Outgoing(exchange, topic, properties, body, mandatory)


def raw(
    exchange: str,
    topic: str,
    body: bytes,
    *,
    message_id: str | None,
    headers: Mapping[str, Any],
    priority: int | None = None,
    mandatory: bool = False,
) -> Outgoing:
    """A message that was encoded elsewhere, as it is sent: for bridges. No schema is looked at.

    Arguments:
        exchange: the exchange's name.
        topic: the whole routing key; no prefix is put in front.
        body: the JSON text, UTF-8.
        message_id: what identifies it.
        headers: name → value, all of them; nothing is added.
        priority: 0 to 255.
        mandatory: let the broker return it when no queue takes it.

    Raises:
        ValidationError: AMQP cannot hold it.
    """
    from pika import BasicProperties  # noqa: PLC0415 - only who publishes pays for it

    properties = BasicProperties(
        content_type="application/json",
        content_encoding="utf-8",
        delivery_mode=2,
        message_id=message_id,
        headers=dict(headers),
        priority=priority,
    )
    try:
        _check_short("topic", topic)
        _check_short("exchange", exchange)
        if not _clearly_fits(properties):
            properties.encode()
    except ValidationError:
        raise
    except Exception as exc:
        raise ValidationError(exc) from exc
    return Outgoing(exchange, topic, properties, body, mandatory)


def decode(incoming: Incoming, queue: str | None = None) -> Message:
    """The message that was delivered, validated.

    Arguments:
        incoming: what the broker delivered.
        queue: the name of the queue it came from.

    Raises:
        ValidationError: it is no message, or one that breaks its schema.
    """
    if incoming.fault is not None:
        raise ValidationError(incoming.fault)
    message = get_message(incoming.topic, incoming.properties, incoming.body)
    message.queue = queue
    return message


def _check_short(what: str, text: str) -> None:
    length = len(text.encode())
    if length > MAX_SHORT:
        raise ValidationError(f"The {what} has {length} bytes; AMQP allows {MAX_SHORT}: {text[:80]}...")


def _clearly_fits(properties: Any) -> bool:
    """Whether AMQP can hold these properties, as far as a glance tells; pika's encoder knows the rest."""
    for name, value in (properties.headers or {}).items():
        kind = type(value)
        if type(name) is not str or len(name) > MAX_SHORT or not name.isascii():
            return False
        if not (kind is bool or (kind is str and value.isascii()) or (kind is int and abs(value) < 2**31)):
            return False
    return (
        _is_short(properties.message_id)
        and properties.content_type == "application/json"
        and properties.content_encoding == "utf-8"
        and properties.delivery_mode in (1, 2)
        and (properties.priority is None or properties.priority in range(256))
        and not properties.correlation_id
        and not properties.reply_to
        and not properties.expiration
        and not properties.timestamp
        and not properties.type
        and not properties.user_id
        and not properties.app_id
        and not properties.cluster_id
    )


def _is_short(text: Any) -> bool:
    return type(text) is str and len(text) <= MAX_SHORT and text.isascii()
