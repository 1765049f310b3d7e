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
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from ..exceptions import Expired, Reason, ToolsError, Unbridgeable
from . import canonical
from .certificates import Leaf, Trust, common_names, when

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .envelope import Envelope
    from .policy import Policy

__all__ = ["Signer", "Validator", "sha1_problem"]

_log = logging.getLogger(__name__)
_PADDING = padding.PKCS1v15()
_SHA1 = hashes.SHA1()  # noqa: S303 - fedmsg's wire format
LOOK = 1.0  # seconds between two looks at the files


class _State(NamedTuple):
    trust: Trust
    leaf: Callable[[bytes], Leaf]  # cached


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
        self._stamps = self._stat()
        self._looked = time.monotonic()
        self._state = self._read()

    def check(self, envelope: Envelope) -> str:
        """The signer's name (CN) of a message that is validly signed and allowed.

        Raises:
            Unbridgeable: UNSIGNED, SIGNATURE, CERTIFICATE, REVOKED or SIGNER.
            Expired: the CA or the CRL has expired, and its file has not changed.
        """
        if time.monotonic() - self._looked >= LOOK:
            self.refresh()
        fields = envelope.fields
        _signed(fields, envelope)
        leaf = self._state.leaf(fields["certificate"])
        now = self._clock()
        if not leaf.begins <= now <= leaf.ends:
            raise Unbridgeable(
                Reason.CERTIFICATE,
                f"{leaf.name}: the certificate is valid from {when(leaf.begins)} to {when(leaf.ends)}",
            )
        _verify(leaf, envelope)
        if not self._policy.allows(envelope.topic, leaf.name):
            raise Unbridgeable(Reason.SIGNER, f"{leaf.name} may not publish {envelope.topic}")
        if leaf.expired(now) is not None:
            self._expired(fields["certificate"], now)
        return leaf.name

    def refresh(self) -> bool:
        """Read the files again if they changed; whether something new is in force."""
        with self._lock:
            self._looked = time.monotonic()
            stamps = self._stat()
            if stamps == self._stamps:
                return False
            self._stamps = stamps
            try:
                self._state = self._read()
            except ToolsError as exc:
                _log.warning("%s What was read before stays in force.", exc)
                return False
            _log.info("CA and CRL read again.")
            return True

    def _expired(self, certificate: bytes, now: float) -> None:
        self.refresh()
        problem = self._state.leaf(certificate).expired(now)
        if problem is not None:
            raise Expired(problem)

    def _read(self) -> _State:
        bundles = [(str(path), _content(path)) for path in self._ca]
        crls = [(str(path), _content(path)) for path in self._crls]
        trust = Trust(bundles, crls, self._clock())
        return _State(
            trust, lru_cache(maxsize=self._cache)(lambda raw: trust.leaf(_text(raw, Reason.CERTIFICATE)))
        )

    def _stat(self) -> list[tuple[int, int, int] | None]:
        return [_stamp(path) for path in (*self._ca, *self._crls)]


class Signer:
    """Signs messages as fedmsg does. Threads may share it.

    Arguments:
        certificate: PEM; the first certificate in it is the signer's.
        key: PEM of its RSA key, not encrypted.

    Raises:
        ToolsError: they cannot be read, or do not belong together.
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
        self.name = common_names(parsed.subject)[0]
        self._key = private
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
        signature = self._key.sign(canonical.dumps(signed), _PADDING, _SHA1)
        signed["signature"] = base64.encodebytes(signature).decode("ascii")
        signed["certificate"] = self._certificate
        return signed


def sha1_problem() -> str | None:
    """One line when the system's crypto policy forbids SHA-1, which fedmsg's signatures use; None when all is well."""
    return None


def _signed(fields: Mapping[str, bytes], envelope: Envelope) -> None:
    for key in ("signature", "certificate"):
        if fields.get(key) in {None, b"null", b'""'}:
            raise Unbridgeable(Reason.UNSIGNED, f"the message has no {key}")
    if fields.get("crypto", b'"x509"') != b'"x509"' and (crypto := envelope.value("crypto")) != "x509":
        raise Unbridgeable(Reason.SIGNATURE, f"signed by {crypto!r:.50}; only x509 is checked")
    if envelope.value("topic") != envelope.topic:
        raise Unbridgeable(Reason.SIGNATURE, "the topic of the first frame is not the one that was signed")


def _verify(leaf: Leaf, envelope: Envelope) -> None:
    try:
        signature = base64.b64decode(_text(envelope.fields["signature"], Reason.SIGNATURE))
        leaf.key.verify(signature, _canonical(envelope), _PADDING, _SHA1)
    except InvalidSignature as exc:
        raise Unbridgeable(Reason.SIGNATURE, f"the signature of {leaf.name} does not match") from exc
    except (binascii.Error, ValueError, OverflowError, RecursionError) as exc:
        raise Unbridgeable(Reason.SIGNATURE, f"the signature cannot be checked: {exc}") from exc


def _canonical(envelope: Envelope) -> bytes:
    message = envelope.as_dict()
    del message["signature"], message["certificate"]
    if "source_name" in message and "source_version" in message:
        _undo_archive(message)
    return canonical.dumps(message)


def _undo_archive(message: dict[str, Any]) -> None:
    del message["source_name"], message["source_version"]
    if "headers" in message and not message["headers"]:
        del message["headers"]
    if "timestamp" in message:
        message["timestamp"] = int(message["timestamp"])


def _text(raw: bytes, reason: Reason) -> str:
    text = canonical.loads(raw)
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
