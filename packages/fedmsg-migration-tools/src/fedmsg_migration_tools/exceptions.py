# SPDX-License-Identifier: MIT
"""What can go wrong while a bus is moved. Each text is one line that says what to do."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Expired", "Reason", "SpoolFull", "ToolsError", "Unbridgeable"]


class ToolsError(Exception):
    """Something that the operator has to mend; the text says what."""


class Reason(StrEnum):
    """Why a message was set aside, as the quarantine, the metrics and the log name it."""

    FRAMES = "frames"  # not two frames
    TOPIC = "topic"  # no UTF-8, or longer than AMQP's 255 bytes
    JSON = "json"  # the envelope, or a body from AMQP, is no JSON
    BODY = "body"  # msg is missing, or no object
    UNSIGNED = "unsigned"
    SIGNATURE = "signature"  # it does not match, or cannot be read
    CERTIFICATE = "certificate"  # not of the CA, not valid now, or cannot be read
    REVOKED = "revoked"
    SIGNER = "signer"  # the routing policy does not let this signer publish this topic
    EXPIRED = "expired"  # the CA or CRL has expired, and the operator chose not to wait
    FORBIDDEN = "forbidden"  # the broker refuses the topic to this user
    REFUSED = "refused"  # the broker cannot take the message as it is: too large, for one


class Unbridgeable(ToolsError):
    """A message cannot cross, now or later: it goes to quarantine.

    Arguments:
        reason: the kind.
        detail: one line for the operator.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Expired(ToolsError):
    """The CA or the CRL has expired: no verdict on any message until it is renewed."""


class SpoolFull(ToolsError):
    """The spool has reached its bound, or the disk is full: nothing of what was to be written is written."""
