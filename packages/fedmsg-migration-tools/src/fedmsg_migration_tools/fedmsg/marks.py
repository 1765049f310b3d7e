# SPDX-License-Identifier: MIT
"""The headers of this project's own, and the mark by which a bridge knows what a bridge has already carried.

Pure. Which value each header has is :mod:`.translation`'s matter, and whether a mark may be believed the bridges'.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .canonical import loads
from .envelope import split

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .envelope import Envelope

#: What every header of ours begins with.
PREFIX = "fedmsg_"
#: Which bridge carried the message, such as ``zmq_to_amqp@host-name``: the mark against loops.
BRIDGE = "fedmsg_bridge"
#: The envelope's keys of these names, where their value is the plain integer or string that it should be.
I = "fedmsg_i"  # noqa: E741 - the envelope's own name for it
USERNAME = "fedmsg_username"
SEQ_ID = "fedmsg_seq_id"
CRYPTO = "fedmsg_crypto"
SIGNATURE = "fedmsg_signature"
CERTIFICATE = "fedmsg_certificate"
SOURCE_NAME = "fedmsg_source_name"
SOURCE_VERSION = "fedmsg_source_version"
#: The JSON text of ``timestamp``, where ``sent-at`` does not give it back exactly; empty: there was none.
TIMESTAMP = "fedmsg_timestamp"
#: The JSON text of ``topic``, where it is not the routing key's; empty: there was none.
TOPIC = "fedmsg_topic"
#: The JSON text of ``msg_id``, where it is not the property ``message_id``; empty: there was none.
MSG_ID = "fedmsg_msg_id"
#: The JSON object of all other keys of the envelope, each value in the text that it came in.
EXTRA = "fedmsg_extra"
#: The names, separated by commas, of headers that the envelope gave values no consumer could take; ours stand there.
REPAIRED = "fedmsg_repaired"
#: Who sent the message again after a bridge had lost it, such as ``verify_missing@host-name``. No mark against loops.
REPAIRED_BY = "fedmsg_repaired_by"

#: The user name by which fedmsg's world knows a message that came from AMQP.
BRIDGE_USER = "amqp-bridge"


def bears_mark(envelope: Envelope) -> bool:
    """Whether the message says that a bridge brought it to ZeroMQ: by its user name, or by a header of ours.

    Anyone can write that; where signatures are validated, only a bridge's signature makes it true.
    """
    fields = envelope.fields
    username = fields.get("username")
    if username is not None and (username == b'"amqp-bridge"' or _is_bridge_user(username)):
        return True
    headers = fields.get("headers")
    return headers is not None and _has_bridge(headers)


def headers_bear_mark(headers: Mapping[str, Any] | None) -> bool:
    """Whether these AMQP headers say that a bridge brought the message to AMQP."""
    return bool(headers) and BRIDGE in headers  # type: ignore[operator]


def _is_bridge_user(text: bytes) -> bool:
    """The same name, written with escapes."""
    return text[:1] == b'"' and b"\\" in text and bool(loads(text) == BRIDGE_USER)


def _has_bridge(text: bytes) -> bool:
    if text[:1] != b"{" or (b"fedmsg_bridge" not in text and b"\\" not in text):
        return False
    try:
        return BRIDGE in split(text)
    except ValueError:  # nested as deeply as Python can follow
        return False
