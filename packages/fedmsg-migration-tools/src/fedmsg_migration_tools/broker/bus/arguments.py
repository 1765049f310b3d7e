# SPDX-License-Identifier: MIT
"""The keys of the operator's file as RabbitMQ's arguments, and back: names and units. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["QUEUE", "TYPE", "UPSTREAM", "Argument", "fits", "from_keys", "pointer", "to_keys"]

#: The argument by which a queue gets its type; the file has a key of its own for it.
TYPE = "x-queue-type"


class Argument(NamedTuple):
    """One key: RabbitMQ's name for it, and how its value becomes RabbitMQ's and comes back."""

    key: str
    name: str
    forth: Callable[[Any], Any] = lambda value: value
    back: Callable[[Any], Any] = lambda value: value


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _seconds(milliseconds: Any) -> Any:
    if type(milliseconds) is not int:
        return None
    seconds = milliseconds / 1000
    return int(seconds) if seconds.is_integer() else seconds


def _whole(seconds: float) -> float:
    return int(seconds) if float(seconds).is_integer() else seconds


#: https://www.rabbitmq.com/docs/queues#optional-arguments
QUEUE = (
    Argument("max_length", "x-max-length"),
    Argument("max_bytes", "x-max-length-bytes"),
    Argument("overflow", "x-overflow"),
    Argument("message_ttl", "x-message-ttl", _milliseconds, _seconds),
    Argument("expires", "x-expires", _milliseconds, _seconds),
    Argument("max_age", "x-max-age"),
    Argument("dead_letter_exchange", "x-dead-letter-exchange"),
    Argument("dead_letter_topic", "x-dead-letter-routing-key"),
    Argument("delivery_limit", "x-delivery-limit"),
    Argument("single_active_consumer", "x-single-active-consumer"),
)

#: https://www.rabbitmq.com/docs/federation-reference
UPSTREAM = (
    Argument("exchange", "exchange"),
    Argument("queue", "queue"),
    Argument("prefetch_count", "prefetch-count"),
    Argument("reconnect_delay", "reconnect-delay", _whole),
    Argument("ack_mode", "ack-mode"),
    Argument("expires", "expires", _milliseconds, _seconds),
    Argument("message_ttl", "message-ttl", _milliseconds, _seconds),
    Argument("max_hops", "max-hops"),
    Argument("trust_user_id", "trust-user-id"),
    Argument("queue_type", "queue-type"),
)


def pointer(key: str) -> tuple[str, str] | None:
    """For a parameter's key that says where its URI is: RabbitMQ's key, and ``env`` or ``file``."""
    for kind in ("env", "file"):
        if key.endswith(f"uri_{kind}"):
            return key.removesuffix(f"_{kind}"), kind
    return None


def from_keys(struct: Any, table: Sequence[Argument]) -> dict[str, Any]:
    """What a Struct with these keys says in RabbitMQ's words, with its ``arguments``."""
    given = {
        argument.name: argument.forth(value)
        for argument in table
        if (value := getattr(struct, argument.key)) is not None and value is not False
    }
    return {**struct.arguments, **given}


def to_keys(
    arguments: Mapping[str, Any], table: Sequence[Argument], allowed: Callable[[str, Any], bool]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Keys of the file that say the same, and the arguments that are left.

    An argument stays one where a key could not give back exactly what is there, or is not ``allowed(key, value)``.
    """
    keys, left = {}, dict(arguments)
    for argument in table:
        if argument.name not in left:
            continue
        value = argument.back(left[argument.name])
        if value is None or value is False:
            continue
        if _same(argument, value, left[argument.name]) and allowed(argument.key, value):
            keys[argument.key] = value
            del left[argument.name]
    return keys, left


def _same(argument: Argument, value: Any, there: Any) -> bool:
    made = argument.forth(value)
    return type(made) is type(there) and bool(made == there)


def fits(shape: type[msgspec.Struct], key: str, value: Any) -> bool:
    """Whether a key of a Struct may have this value."""
    kind = next(field.type for field in msgspec.structs.fields(shape) if field.name == key)
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True
