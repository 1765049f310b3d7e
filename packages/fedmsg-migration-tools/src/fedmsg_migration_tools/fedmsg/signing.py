# SPDX-License-Identifier: MIT
"""Signatures of fedmsg's messages: checking and making them.

The canonical form that is signed, the files of CA and CRL with their changes, and the cache of certificates. What a
certificate is worth is certificates.py's business, and who may publish what policy.py's.
"""

from __future__ import annotations

import base64
import binascii
import logging
import threading
import time
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from ..exceptions import Expired, Reason, ToolsError, Unbridgeable
from . import canonical
from .certificates import Leaf, Trust, common_names, shown, when
from .rsa_sha1 import PrivateKey, sha1_problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from .certificates import Period
    from .envelope import Envelope
    from .policy import Policy

__all__ = ["LOOK", "MAX_CERTIFICATE", "Signer", "Validator", "sha1_problem"]

#: Seconds between two looks whether the files have changed.
LOOK = 1.0
#: Bytes of a message's certificate, as JSON text: 2 KB are usual, one with an RSA key of 16,384 bits has 9 KB.
MAX_CERTIFICATE = 32 * 1024

_log = logging.getLogger(__name__)
_MATCHED_BY_TEXT = 32  # keys of an envelope; fedmsg writes seven to eleven


class _State(NamedTuple):
    """What is in force: replaced as a whole, so that a check never sees half of it."""

    trust: Trust
    leaf: Callable[[bytes], Leaf]  # by the JSON text of the certificate; cached; raises Unbridgeable


class Validator:
    """Checks who signed a message, as fedmsg does. Threads may share it.

    Arguments:
        ca: files of CA certificates in PEM, several in a file if need be.
        crl: file of CRLs in PEM, or None to check no revocation.
        policy: who may publish what.
        cache: certificates kept parsed and chained.
        clock: seconds since the epoch.

    Raises:
        ToolsError: a file cannot be read or used.
    """

    def __init__(
        self,
        ca: Sequence[Path] | Path,
        crl: Path | None,
        policy: Policy,
        *,
        cache: int = 1000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._ca = [ca] if isinstance(ca, Path) else list(ca)
        self._crls = [] if crl is None else [crl]
        self._policy = policy
        self._cache = cache
        self._clock = clock
        self._lock = threading.Lock()
        self._stamps = self._stamp()
        self._looked = time.monotonic()
        self._state = self._read()

    @property
    def periods(self) -> tuple[Period, ...]:
        """From when to when each CA certificate and CRL in force holds, for those who watch them run out."""
        return self._state.trust.periods

    def check(self, envelope: Envelope) -> str:
        """The signer's name (CN) of a message that is validly signed, and by one who may publish its topic.

        Source of the rules: fedmsg's ``crypto.x509.validate`` and ``FedmsgConsumer.validate``, and OpenSSL's
        checking of chains with a CRL for each CA.

        Raises:
            Unbridgeable: UNSIGNED, SIGNATURE, CERTIFICATE, REVOKED or SIGNER; JSON where Python cannot hold a value.
            Expired: the CA or the CRL has expired and its file has not changed; nothing else is wrong.
        """
        if time.monotonic() - self._looked >= LOOK:
            self._look()
        _signed(envelope)
        certificate = envelope.fields["certificate"]
        leaf = self._leaf(certificate)
        now = self._clock()
        timely = leaf.begins <= now <= leaf.ends
        if not timely and leaf.own.problem(now) is not None:
            period = f"valid from {when(leaf.own.begins)} to {when(leaf.own.ends)}"
            raise Unbridgeable(Reason.CERTIFICATE, f"{leaf.own.what} is {period}")
        _verify(leaf, envelope)
        if not self._policy.allows(envelope.topic, leaf.name):
            raise Unbridgeable(Reason.SIGNER, f"{shown(leaf.name)} may not publish {shown(envelope.topic)}")
        if not timely:
            self._hold(certificate, leaf, now)
        return leaf.name

    def refresh(self) -> bool:
        """Read the files again if one has changed; whether something new is in force.

        Where they cannot be used (half written, for one), what was read before stays in force, and one line of the
        log says so until they change again.
        """
        with self._lock:
            return self._refresh()

    def _look(self) -> None:
        if self._lock.acquire(blocking=False):  # another thread looks already
            try:
                self._refresh()
            finally:
                self._lock.release()

    def _refresh(self) -> bool:
        self._looked = time.monotonic()
        stamps = self._stamp()
        if stamps == self._stamps:
            return False
        self._stamps = stamps
        try:
            self._state = self._read()
        except ToolsError as exc:
            _log.warning("%s What was read before stays in force.", exc)
            return False
        _log.info("The CA and CRL files have changed and were read again.")
        return True

    def _leaf(self, certificate: bytes) -> Leaf:
        if len(certificate) > MAX_CERTIFICATE:
            size = f"{len(certificate)} bytes; at most {MAX_CERTIFICATE} are read"
            raise Unbridgeable(Reason.CERTIFICATE, f"the certificate has {size}")
        state = self._state
        try:
            return state.leaf(certificate)
        except Unbridgeable:
            # The CA may have been exchanged a moment ago.
            self.refresh()
            if self._state is state:
                raise
        return self._state.leaf(certificate)

    def _hold(self, certificate: bytes, leaf: Leaf, now: float) -> None:
        if leaf.expired(now) is None:
            return
        self.refresh()
        if problem := self._state.leaf(certificate).expired(now):
            raise Expired(problem)

    def _read(self) -> _State:
        bundles = [(str(path), _content(path)) for path in self._ca]
        crls = [(str(path), _content(path)) for path in self._crls]
        trust = Trust(bundles, crls, self._clock())
        return _State(trust, _cached(trust, self._cache))

    def _stamp(self) -> list[tuple[int, int, int] | None]:
        return [_stamp(path) for path in (*self._ca, *self._crls)]


class Signer:
    """Signs messages as fedmsg does. Threads may share it.

    Arguments:
        certificate: PEM; the first certificate in it is the signer's.
        key: PEM of its RSA key, not encrypted.

    Attributes:
        name: the certificate's CN.
        expires: until when the certificate is valid, in seconds since the epoch.

    Raises:
        ToolsError: they cannot be read, do not belong together, or the system forbids SHA-1.
    """

    def __init__(self, certificate: bytes, key: bytes) -> None:
        try:
            parsed = x509.load_pem_x509_certificate(certificate)
            private = serialization.load_pem_private_key(key, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as exc:
            raise ToolsError(f"The certificate and key to sign with cannot be read: {exc}.") from exc
        if not isinstance(private, rsa.RSAPrivateKey):
            raise ToolsError("The key to sign with is not RSA: fedmsg knows no other.")
        if private.public_key() != parsed.public_key():
            raise ToolsError("The key to sign with is not the key of the certificate.")
        self.name = _own_name(parsed)
        self.expires = parsed.not_valid_after_utc.timestamp()
        try:
            self._key = PrivateKey(private)
        except ValueError as exc:
            raise ToolsError(sha1_problem() or f"Signing is not possible here: {exc}.") from exc
        pem = parsed.public_bytes(serialization.Encoding.PEM)
        self._certificate = base64.encodebytes(pem).decode("ascii")

    @classmethod
    def load(cls, certificate: Path, key: Path) -> Signer:
        """The same from files."""
        return cls(_content(certificate), _content(key))

    def sign(self, envelope: Mapping[str, Any]) -> dict[str, Any]:
        """The envelope with ``crypto``, ``signature`` and ``certificate``.

        Source: fedmsg's wire format; base64 with a newline after every 76 characters and at the end.
        """
        signed = {**envelope, "crypto": "x509"}
        signed.pop("signature", None)
        signed.pop("certificate", None)
        signature = self._key.sign(canonical.dumps(signed))
        signed["signature"] = base64.encodebytes(signature).decode("ascii")
        signed["certificate"] = self._certificate
        return signed


def _cached(trust: Trust, size: int) -> Callable[[bytes], Leaf]:
    """Certificates by their text. Those that are refused have a small cache of their own: they push no good one out."""

    @lru_cache(maxsize=max(1, size // 8))
    def verdict(text: bytes) -> Leaf | Unbridgeable:
        try:
            return trust.leaf(_text(text, Reason.CERTIFICATE))
        except Unbridgeable as exc:
            return Unbridgeable(exc.reason, exc.detail)  # without the traceback

    @lru_cache(maxsize=size)
    def leaf(text: bytes) -> Leaf:
        found = verdict(text)
        if isinstance(found, Unbridgeable):
            raise Unbridgeable(found.reason, found.detail)  # what is raised is not cached
        return found

    return leaf


def _signed(envelope: Envelope) -> None:
    """Whether there is a signature of the kind that is checked, for the topic of the first frame."""
    fields = envelope.fields
    for key in ("signature", "certificate"):
        if fields.get(key, b"null") in (b"null", b'""'):
            raise Unbridgeable(Reason.UNSIGNED, f"the message has no {key}")
    # fedmsg 0.7.2 and older did not say how they signed.
    if fields.get("crypto", b'"x509"') != b'"x509"' and (crypto := envelope.value("crypto")) != "x509":
        raise Unbridgeable(Reason.SIGNATURE, f"signed with {ascii(crypto)[:50]}; only x509 is checked")
    if envelope.value("topic") != envelope.topic:
        raise Unbridgeable(Reason.SIGNATURE, "the topic of the first frame is not the one that was signed")


def _verify(leaf: Leaf, envelope: Envelope) -> None:
    try:
        signature = binascii.a2b_base64(_text(envelope.fields["signature"], Reason.SIGNATURE))
        matches = any(leaf.key.verify(signature, form) for form in _forms(envelope))
    except (ValueError, TypeError, OverflowError) as exc:
        detail = f"the signature cannot be checked: {ascii(str(exc))[:200]}"
        raise Unbridgeable(Reason.SIGNATURE, detail) from exc
    if not matches:
        raise Unbridgeable(Reason.SIGNATURE, f"the signature by {shown(leaf.name)} does not match")


def _forms(envelope: Envelope) -> Iterator[bytes]:
    """What may have been signed, the likely first; each is made only where those before it were not it."""
    if len(envelope.fields) <= _MATCHED_BY_TEXT:
        yield _as_sent(envelope.fields)
    message = envelope.as_dict()
    del message["signature"], message["certificate"]
    yield canonical.dumps(message)
    if "source_name" in message and "source_version" in message:
        _undo_archive(message)
        yield canonical.dumps(message)


def _as_sent(fields: Mapping[str, bytes]) -> bytes:
    """The canonical form, provided that each value came in its own, as fedmsg sends it: far cheaper.

    Where this text bears the signature, the signer wrote just this, so that it is no less proof than fedmsg's way.
    """
    parts: list[bytes] = []
    for key, start in _starts(tuple(fields)):
        parts += (start, fields[key])
    parts.append(b"}")
    return b"".join(parts)


@lru_cache(maxsize=64)
def _starts(keys: tuple[str, ...]) -> tuple[tuple[str, bytes], ...]:
    signed = sorted(key for key in keys if key not in {"signature", "certificate"})
    return tuple((key, (b"," if at else b"{") + canonical.dumps(key) + b":") for at, key in enumerate(signed))


def _undo_archive(message: dict[str, Any]) -> None:
    """Take back what the archive (datanommer) does to a message: fedmsg's ``fix_datagrepper_message``."""
    del message["source_name"], message["source_version"]
    if "headers" in message and not message["headers"]:
        del message["headers"]
    if "timestamp" in message:
        message["timestamp"] = int(message["timestamp"])


def _own_name(certificate: x509.Certificate) -> str:
    names = common_names(certificate.subject)
    if len(names) != 1 or not names[0]:
        raise ToolsError(f"The certificate to sign with has {len(names)} names (CN) where one is needed.")
    return names[0]


def _text(raw: bytes, reason: Reason) -> str:
    try:
        text = canonical.loads(raw)
    except ValueError as exc:
        raise Unbridgeable(reason, f"the {reason} cannot be decoded: {ascii(str(exc))[:200]}") from exc
    if not isinstance(text, str):
        raise Unbridgeable(reason, f"the {reason} is no text")
    return text


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise ToolsError(f"{path} cannot be read: {exc.strerror}.") from exc


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
