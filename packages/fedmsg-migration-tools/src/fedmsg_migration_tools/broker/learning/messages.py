# SPDX-License-Identifier: MIT
"""Messages in the forms in which people have them, and what matters here of each: who, where, which topic. Pure.

A recording is JSON: envelopes of fedmsg; what ``fedora-messaging record`` writes; an archive's pages (datagrepper,
``raw_messages``); what RabbitMQ's ``rabbitmq_tracing`` logs as JSON, and what its management API gives from a queue.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec

from ...exceptions import Unbridgeable
from ...fedmsg import canonical, identity, marks, translation
from ...fedmsg.certificates import shown
from ...fedmsg.envelope import MAX_TOPIC, Envelope, parse, split
from .publishers import Proof, Publisher, Unlearnt, claimed, of_envelope, proper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ["Reader", "Sent"]

_LONGEST_ID = 100  # characters: it is an example
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
# What an archive adds to an envelope beside source_name and source_version, which the signature's check knows.
_ARCHIVES_OWN = frozenset({"users", "packages"})


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that somebody published.

    Attributes:
        topic: with its prefix; may be empty.
        publisher: who.
        message_id: to find it by; empty: none.
        at: when, in seconds since the epoch, if the message says so.
        exchange, vhost: where to, if the recording says so.
    """

    topic: str
    publisher: Publisher
    message_id: str = ""
    at: float | None = None
    exchange: str | None = None
    vhost: str | None = None


class Reader:
    """Reads messages.

    Arguments:
        signer: who signed an envelope; None where nobody did. May raise ``Unlearnt``.
    """

    def __init__(self, signer: Callable[[Envelope], Publisher | None]) -> None:
        self._signer = signer

    def frames(self, frames: Sequence[bytes]) -> Sent:
        """What came over ZeroMQ. Raises ``Unlearnt``."""
        try:
            return self._of_envelope(parse(frames))
        except Unbridgeable as error:
            raise Unlearnt("frames that are no message", error.detail) from error
        except ValueError as error:
            raise Unlearnt("something that cannot be decoded", shown(" ".join(str(error).split()))) from error

    def document(self, text: bytes) -> Iterator[Sent | Unlearnt]:
        """The messages in one JSON text: a message, a list of them, or a page of an archive.

        Raises ``Unlearnt`` when it is no JSON.
        """
        for one in self._each(text):
            try:
                found = self._message(split(one))
            except Unlearnt as error:
                yield error
            except (Unbridgeable, ValueError) as error:
                yield Unlearnt("something that cannot be decoded", shown(" ".join(str(error).split())))
            else:
                if found is not None:
                    yield found

    def _each(self, text: bytes) -> Iterator[bytes]:
        try:
            fields = split(text) if text.lstrip()[:1] == b"{" else {"raw_messages": text}
            listed = fields.get("raw_messages")
            members = [text] if listed is None else _members(listed)
        except ValueError as error:
            raise Unlearnt("no JSON object", shown(" ".join(str(error).split()))) from error
        yield from members

    def _message(self, fields: dict[str, bytes]) -> Sent | None:
        """None: it is not about something that was published."""
        if "msg" in fields:
            return self._of_archive(fields)
        if "body" in fields:
            return self._of_record(fields)
        if "routing_keys" in fields:
            return _of_trace(fields)
        if "routing_key" in fields and "payload" in fields:
            return self._of_queue(fields)
        raise Unlearnt(
            "a form that is not known", f"its keys are {shown(', '.join(list(fields)[:9])) or 'none'}"
        )

    # fedmsg

    def _of_archive(self, fields: dict[str, bytes]) -> Sent:
        if "source_name" in fields:
            fields = {
                key: text for key, text in fields.items() if text != b"null" and key not in _ARCHIVES_OWN
            }
        return self._of_envelope(Envelope(_topic(_value(fields, "topic")), fields))

    def _of_envelope(self, envelope: Envelope) -> Sent:
        publisher = of_envelope(envelope, self._signer)
        timestamp = envelope.fields.get("timestamp")
        return Sent(
            _topic(envelope.topic),
            publisher,
            _short(identity.message_id(envelope)),
            None if timestamp is None else identity.second_of(timestamp),
        )

    # AMQP

    def _of_record(self, fields: dict[str, bytes]) -> Sent:
        properties = _table(_value(fields, "properties"))
        headers = _table(_value(fields, "headers"))
        user = _value(fields, "user_id") or properties.get("user_id")
        return self._delivered(
            _topic(_value(fields, "topic")), _value(fields, "id"), headers, fields["body"], user
        )

    def _of_queue(self, fields: dict[str, bytes]) -> Sent:
        properties = _table(_value(fields, "properties"))
        payload = _value(fields, "payload")
        body = payload.encode(errors="replace") if isinstance(payload, str) else b"{}"
        return self._delivered(
            _topic(_value(fields, "routing_key")),
            properties.get("message_id"),
            _table(properties.get("headers")),
            body,
            properties.get("user_id"),
            _place(fields, "exchange"),
        )

    def _delivered(
        self,
        topic: str,
        message_id: object,
        headers: Mapping[str, Any],
        body: bytes,
        user: object,
        exchange: str | None = None,
    ) -> Sent:
        """A message of the AMQP bus; one that a bridge brought there is judged as it was on the old bus."""
        if marks.headers_bear_mark(headers):
            text = message_id if isinstance(message_id, str) else None
            before = self._of_envelope(translation.restore(topic, text, headers, body))
            return before if text is None else replace(before, message_id=_short(text))
        known = isinstance(user, str) and user
        publisher = Publisher(proper(str(user), "user_id"), Proof.BROKER) if known else claimed(topic)
        return Sent(topic, publisher, _short(message_id), identity.seconds(headers.get("sent-at")), exchange)


def _of_trace(fields: Mapping[str, bytes]) -> Sent | None:
    """A line of ``rabbitmq_tracing``: the broker itself says who published where. What was delivered is left out."""
    if _value(fields, "type") != "published":
        return None
    keys, user, exchange = _value(fields, "routing_keys"), _value(fields, "user"), _place(fields, "exchange")
    if not isinstance(keys, list) or not keys or not isinstance(user, str) or exchange is None:
        raise Unlearnt("a form that is not known", "a trace without routing_keys, user or exchange")
    return Sent(
        _topic(keys[0]),
        Publisher(proper(user, "user"), Proof.BROKER),
        _short(_table(_value(fields, "properties")).get("message_id")),
        identity.seconds(_value(fields, "timestamp")),
        exchange,
        _place(fields, "vhost"),
    )


def _members(listed: bytes) -> list[bytes]:
    """Of a list, each as its JSON text. Raises ``ValueError``."""
    try:
        return [bytes(one) for one in _decode_list(listed)]
    except (msgspec.MsgspecError, ValueError, RecursionError):
        values = canonical.loads(listed)
    if not isinstance(values, list):
        raise ValueError("it is neither an object nor a list")  # noqa: TRY004 - of the file, not of the program
    return [canonical.dumps(value) for value in values]


def _value(fields: Mapping[str, bytes], key: str) -> Any:
    text = fields.get(key)
    return None if text is None else canonical.loads(text)


def _place(fields: Mapping[str, bytes], key: str) -> str | None:
    """The name of an exchange or a virtual host, if there is one; the default exchange's is empty."""
    name = _value(fields, key)
    if not isinstance(name, str):
        return None
    return proper(name, key) if name else name


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _topic(value: object) -> str:
    if not isinstance(value, str):
        raise Unlearnt("no topic")
    try:
        length = len(value.encode())
    except UnicodeEncodeError as error:
        raise Unlearnt("a topic that is no UTF-8", shown(value)) from error
    if length > MAX_TOPIC:
        raise Unlearnt(f"a topic of more than {MAX_TOPIC} bytes", shown(value[:40]))
    return value


def _short(message_id: object) -> str:
    return shown(message_id[:_LONGEST_ID]) if isinstance(message_id, str) else ""
