# SPDX-License-Identifier: MIT
"""A message on the ZeroMQ bus: two frames, and what is in them, cut but not decoded.

Pure. Each value of the envelope is kept as the bytes that it came in, since these are what crosses; it is decoded
only when somebody asks. What becomes of them in AMQP is :mod:`.translation`'s matter.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from json.decoder import scanstring  # type: ignore[attr-defined] # undocumented, and older than Python 3
from typing import TYPE_CHECKING, Any

import msgspec

from ..exceptions import Reason, Unbridgeable
from . import canonical

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["MAX_TOPIC", "Envelope", "parse", "split"]

#: AMQP 0.9.1, 4.2.5.3: a routing key is a short string, of at most 255 bytes, none of them zero.
MAX_TOPIC = 255

_Raw = msgspec.Raw
_decode_fast = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
# Only where a value ends is asked for: numbers are not built, however long they are.
_scan = json.JSONDecoder(parse_int=str, parse_float=str).raw_decode
_blanks = re.compile(r"[ \t\n\r]*").match


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message of the ZeroMQ bus.

    Arguments:
        topic: the first frame: it is what subscribers filtered by, so it rules where the envelope says otherwise.
        fields: each key of the envelope and its value's JSON text exactly as it came.
    """

    topic: str
    fields: Mapping[str, bytes]

    def value(self, key: str) -> Any:
        """The value of ``key``, decoded; None where there is no such key.

        Raises:
            Unbridgeable: Python cannot hold it (an integer of more than 4,300 digits, for one).
        """
        text = self.fields.get(key)
        if text is None:
            return None
        try:
            return canonical.loads(text)
        except ValueError as exc:
            raise Unbridgeable(Reason.JSON, f"{key[:80]!r} cannot be decoded: {exc}") from exc

    @property
    def body(self) -> bytes:
        """The JSON text of ``msg``."""
        return self.fields["msg"]

    def as_dict(self) -> dict[str, Any]:
        """The whole envelope, decoded.

        Raises:
            Unbridgeable: as :meth:`value`.
        """
        return {key: self.value(key) for key in self.fields}


def parse(frames: Sequence[bytes]) -> Envelope:
    """The message that these frames are.

    Raises:
        Unbridgeable: with the reason ``FRAMES`` (not two), ``TOPIC`` (the first is no UTF-8, has a zero byte, or
            more than 255 bytes), ``JSON`` (the second is no JSON object) or ``BODY`` (it has no object as ``msg``).
    """
    if len(frames) != 2:
        raise Unbridgeable(
            Reason.FRAMES, f"{len(frames)} frames; a message has two, the topic and the envelope"
        )
    topic = _topic(frames[0])
    try:
        fields = split(frames[1])
    except ValueError as exc:
        raise Unbridgeable(Reason.JSON, f"the envelope is no JSON object: {_line(exc)}") from exc
    body = fields.get("msg")
    if body is None:
        raise Unbridgeable(Reason.BODY, "the envelope has no msg")
    if body[:1] != b"{":
        raise Unbridgeable(Reason.BODY, f"msg is no JSON object: {_line(body[:80])}")
    return Envelope(topic, fields)


def split(text: bytes) -> dict[str, bytes]:
    """Each key of a JSON object and the text of its value, the last where a key comes twice.

    What Python's ``json`` takes is taken, and nothing else, but for integers, which may be of any length.

    Raises:
        ValueError: it is no JSON object, no UTF-8, or nested too deeply.
    """
    try:
        fields = _decode_fast(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        # NaN and lone surrogates, or no JSON at all.
        return _split_slowly(text)
    if not text.isascii():
        text.decode()  # it does not look at the bytes of what it skips
    return {key: bytes(value) for key, value in fields.items()}


def _split_slowly(text: bytes) -> dict[str, bytes]:
    try:
        return _scan_object(text.decode())
    except (RecursionError, StopIteration) as exc:
        raise ValueError("nested too deeply, or cut off") from exc


def _scan_object(text: str) -> dict[str, bytes]:
    """The grammar of RFC 8259, 4, with the parts left to the scanner of ``json``."""
    fields: dict[str, bytes] = {}
    at = _expect(text, 0, "{")
    if text[at : at + 1] == "}":
        return _finish(text, at + 1, fields)
    while True:
        key, at = _string(text, at)
        at = _expect(text, at, ":")
        _, end = _scan(text, at)
        fields[key] = text[at:end].encode()
        at = _after_blanks(text, end)
        if text[at : at + 1] == "}":
            return _finish(text, at + 1, fields)
        at = _expect(text, at, ",")


def _string(text: str, at: int) -> tuple[str, int]:
    if text[at : at + 1] != '"':
        raise ValueError(f"a key expected at character {at}")
    key, end = scanstring(text, at + 1, True)
    return key, end


def _after_blanks(text: str, at: int) -> int:
    match = _blanks(text, at)
    return match.end() if match else at


def _expect(text: str, at: int, mark: str) -> int:
    """Where the next thing begins after ``mark``, which comes next."""
    at = _after_blanks(text, at)
    if text[at : at + 1] != mark:
        raise ValueError(f"{mark!r} expected at character {at}")
    return _after_blanks(text, at + 1)


def _finish(text: str, at: int, fields: dict[str, bytes]) -> dict[str, bytes]:
    if _after_blanks(text, at) != len(text):
        raise ValueError(f"more follows the object at character {at}")
    return fields


def _topic(frame: bytes) -> str:
    if len(frame) > MAX_TOPIC:
        raise Unbridgeable(Reason.TOPIC, f"the topic has {len(frame)} bytes; AMQP allows {MAX_TOPIC}")
    try:
        topic = frame.decode()
    except UnicodeDecodeError as exc:
        raise Unbridgeable(Reason.TOPIC, f"the topic is no UTF-8: {_line(frame)}") from exc
    if "\0" in topic:
        raise Unbridgeable(Reason.TOPIC, f"the topic has a zero byte: {_line(frame)}")
    return topic


def _line(what: object) -> str:
    """For the operator: one line, not too long."""
    return ascii(str(what) if isinstance(what, Exception) else what)[:200]
