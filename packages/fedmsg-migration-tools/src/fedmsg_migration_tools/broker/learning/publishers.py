# SPDX-License-Identifier: MIT
"""Who sent a message, and how much that is worth. Pure but for ``verified``, which reads CA certificates and the clock.

On the old bus a signature says who; where there is none, only the topic's own word does, which anybody may write.
Whether a signature is good is :mod:`fedmsg_migration_tools.fedmsg.signing`'s business.
"""

from __future__ import annotations

import base64
import binascii
import time
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING

from ...exceptions import Expired, Unbridgeable
from ...fedmsg import canonical, identity, marks
from ...fedmsg.certificates import shown, subject
from ...fedmsg.policy import Policy
from ...fedmsg.signing import MAX_CERTIFICATE, Validator
from ...reconcile.sightings import application

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from ...fedmsg.envelope import Envelope

__all__ = [
    "LONGEST_NAME",
    "Proof",
    "Publisher",
    "Unlearnt",
    "claimed",
    "of_envelope",
    "prefixes",
    "proper",
    "service_of",
    "services",
    "unverified",
    "verified",
]

LONGEST_NAME = 255  # bytes: AMQP's short string, and so the property user_id


class Proof(StrEnum):
    """Why it is believed that this publisher sent a message; the best first."""

    VERIFIED = "signature checked"
    BROKER = "the broker knew the user"
    SIGNED = "signed, signature not checked"
    TOPIC = "not signed: the topic's application"
    USERNAME = "not signed: the envelope's username"

    @property
    def is_claim(self) -> bool:
        """Whether nothing at all but the message's own word speaks for it."""
        return self in {Proof.TOPIC, Proof.USERNAME}


@dataclass(frozen=True, slots=True)
class Publisher:
    """Who, by the name that a user of the broker would have: the certificate's CN, a user, an application."""

    name: str
    proof: Proof


class Unlearnt(Exception):
    """Nothing can be learned of a message.

    Arguments:
        why: the kind, the same words for all of the kind, to follow "3 times".
        detail: of this one; printable.
    """

    def __init__(self, why: str, detail: str = "") -> None:
        super().__init__(f"{why}: {detail}")
        self.why = why
        self.detail = detail


def of_envelope(envelope: Envelope, signer: Callable[[Envelope], Publisher | None]) -> Publisher:
    """The signer; where nobody signed, or a bridge did, whom the message names.

    Raises ``Unlearnt``.
    """
    try:
        carried = marks.bears_mark(envelope)
        username = envelope.value("username")
    except (ValueError, Unbridgeable) as error:
        raise Unlearnt("something that cannot be decoded", _line(error)) from error
    found = None if carried else signer(envelope)
    if found is not None:
        return Publisher(proper(found.name, "certificate"), found.proof)
    return claimed(envelope.topic, None if username == marks.BRIDGE_USER else username)


def claimed(topic: str, username: object = None) -> Publisher:
    """Whom the message itself names: the application in its topic, or else the user that its process ran as.

    Raises ``Unlearnt`` when it names nobody.
    """
    if word := application(topic):
        return Publisher(proper(word, "topic"), Proof.TOPIC)
    if isinstance(username, str) and username:
        return Publisher(proper(username, "username"), Proof.USERNAME)
    raise Unlearnt("no publisher: neither a signature nor an application in the topic", shown(topic))


def proper(name: str, where: str) -> str:
    """The name, if a user can be called so. Raises ``Unlearnt``."""
    if not name or not name.isprintable() or len(name.encode()) > LONGEST_NAME:
        raise Unlearnt(f"a {where} after which nothing can be called", shown(name) or "''")
    return name


# signatures


def unverified(envelope: Envelope) -> Publisher | None:
    """The CN in the certificate of a signed message, whatever the signature is worth; None: it is not signed.

    Raises ``Unlearnt``.
    """
    certificate = envelope.fields.get("certificate", b"null")
    if certificate == b"null" or envelope.fields.get("signature", b"null") == b"null":
        return None
    if len(certificate) > MAX_CERTIFICATE:
        raise Unlearnt("a certificate that cannot be read", f"it has {len(certificate)} bytes")
    return Publisher(_cn(certificate), Proof.SIGNED)


def verified(ca: Sequence[Path]) -> Callable[[Envelope], Publisher | None]:
    """What finds the signer of a message whose signature was good when it was sent, by these CAs.

    Raises ``ToolsError`` for the files, ``Unlearnt`` where it is called with a message whose signature is not good.
    """
    now = time.time()

    def clock() -> float:
        return now

    validator = Validator(ca, None, Policy(), clock=clock)

    def signer(envelope: Envelope) -> Publisher | None:
        nonlocal now
        if unverified(envelope) is None:
            return None
        sent = envelope.fields.get("timestamp")
        second = None if sent is None else identity.second_of(sent)
        now = time.time() if second is None else float(second)
        try:
            return Publisher(validator.check(envelope), Proof.VERIFIED)
        except (Unbridgeable, Expired) as error:
            raise Unlearnt("a signature that is not good", _line(error)) from error

    return signer


@lru_cache(maxsize=1000)
def _cn(certificate: bytes) -> str:
    """Of the envelope's ``certificate``: JSON text of base64 of PEM."""
    try:
        names = subject(base64.b64decode(canonical.loads(certificate))).names
    except (ValueError, TypeError, binascii.Error, Unbridgeable) as error:
        raise Unlearnt("a certificate that cannot be read", _line(error)) from error
    if len(names) != 1:
        raise Unlearnt("a certificate with several names (CN), or none", _line(", ".join(names)))
    return names[0]


# services


def services(certnames: Mapping[str, str]) -> dict[str, str]:
    """CN → service, as fedmsg's ``certnames`` has it: ``"shell.app01": "shell-app01.example.org"``."""
    found = {}
    for key, cn in certnames.items():
        service = key.partition(".")[0]
        if service and cn.startswith(f"{service}-"):
            found[cn] = service
    return found


def service_of(name: str, known: Mapping[str, str]) -> str:
    """The service that a host's certificate is for: as ``known`` says, or guessed: what is before the first ``-``.

    Guessed is only for a name with a domain: ``release-monitoring`` is an application, and no host of ``release``.
    """
    return known.get(name) or next(reversed([*prefixes(name)]), name)


def prefixes(name: str) -> Iterable[str]:
    """What a host's service may be, the longest first: ``a-b-host.example`` has a certificate for ``a-b`` or ``a``."""
    words = name.split("-") if "." in name else []
    return filter(None, ("-".join(words[:number]) for number in range(len(words) - 1, 0, -1)))


def _line(what: object) -> str:
    return shown(" ".join(str(what).split()))
