# SPDX-License-Identifier: MIT
"""Whom to believe: CA certificates, their CRLs, and the chain from a signer's certificate to them.

Pure: bytes in, verdicts out; no file is read and no clock is looked at. The rules are RFC 5280's as OpenSSL keeps
them, since fedmsg asks OpenSSL; certificates of that world are old (SHA-1, no subjectAltName), so that the stricter
rules of the web do not fit. Reading files again when they change is signing.py's business.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtensionOID, NameOID, SignatureAlgorithmOID

from ..exceptions import Reason, ToolsError, Unbridgeable
from .rsa_sha1 import PublicKey

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Authority", "Leaf", "Period", "Subject", "Trust", "common_names", "shown", "subject", "when"]

MAX_DEPTH = 8  # CA certificates in one chain

# What OpenSSL raises through cryptography for input that is well-formed enough to be read, and wrong.
_UNREADABLE = (ValueError, TypeError, OverflowError, UnsupportedAlgorithm, InvalidSignature)
# Critical extensions whose meaning is kept, or does not matter to a signature over a message.
_KNOWN = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.CERTIFICATE_POLICIES,
    }
)
_CRL = re.compile(rb"-----BEGIN X509 CRL-----.+?-----END X509 CRL-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Period:
    """From when to when something of the operator's holds.

    Attributes:
        what: its name and its file, for the operator.
        begins, ends: seconds since the epoch.
    """

    what: str
    begins: float
    ends: float

    def problem(self, now: float) -> str | None:
        """Why it does not hold at ``now``, and what to do; None when it holds."""
        if now > self.ends:
            mend = "put the renewed file in its place, it is read without a restart"
            return f"{self.what} expired at {when(self.ends)}; {mend}"
        if now < self.begins:
            return f"{self.what} is valid only from {when(self.begins)}; check this machine's clock"
        return None


@dataclass(slots=True, eq=False)
class Authority:
    """A CA certificate of the operator's, with what its CRL says.

    Attributes:
        certificate: as parsed.
        periods: of the certificate, and of its CRL where there is one.
        revoked: serial numbers in its CRL.
        paths: chains from this certificate up to a self-signed one, itself first.
    """

    certificate: x509.Certificate
    periods: tuple[Period, ...]
    revoked: frozenset[int] = frozenset()
    paths: tuple[tuple[Authority, ...], ...] = ()

    @property
    def is_root(self) -> bool:
        return self.certificate.issuer == self.certificate.subject


@dataclass(frozen=True, slots=True)
class Leaf:
    """A signer's certificate that chains to the CA and is not revoked.

    Attributes:
        name: the subject's CN.
        key: its public key.
        own: its validity.
        chains: for each chain, the periods of the CA certificates and CRLs in it.
        begins, ends: between these, in seconds since the epoch, all holds: nothing else needs to be asked.
    """

    name: str
    key: PublicKey
    own: Period
    chains: tuple[tuple[Period, ...], ...]
    begins: float = field(init=False)
    ends: float = field(init=False)

    def __post_init__(self) -> None:
        ends = {chain: min(period.ends for period in chain) for chain in self.chains}
        longest = max(ends, key=lambda chain: ends[chain])
        object.__setattr__(self, "begins", max(period.begins for period in (self.own, *longest)))
        object.__setattr__(self, "ends", min(self.own.ends, ends[longest]))

    def expired(self, now: float) -> str | None:
        """Why none of the chains holds at ``now``, and what to do; None when one does."""
        problem = None
        for chain in self.chains:
            problem = next(filter(None, (period.problem(now) for period in chain)), None)
            if problem is None:
                return None
        return problem


@dataclass(frozen=True, slots=True)
class Subject:
    """What a certificate says of itself; nothing of it is proven.

    Attributes:
        names: the CNs of its subject.
        period: its validity.
        is_ca: whether it says that it is a CA's.
    """

    names: tuple[str, ...]
    period: Period
    is_ca: bool


class Trust:
    """The operator's CA certificates and CRLs, as read at one time. Never changes.

    Arguments:
        bundles: (file name, PEM) of each file of CA certificates: roots and intermediates, in any order.
        crls: (file name, PEM) of each file of CRLs. When there is one, every CA that is valid at ``now`` must
            have a CRL in it, as with OpenSSL's CRL_CHECK_ALL, which fedmsg sets.
        now: seconds since the epoch.

    Raises:
        ToolsError: a file holds no such thing, cannot be read to its end, or does not fit the others.
    """

    def __init__(
        self, bundles: Sequence[tuple[str, bytes]], crls: Sequence[tuple[str, bytes]], now: float
    ) -> None:
        self.authorities = [ca for name, data in bundles for ca in _authorities(name, data)]
        if not any(ca.is_root for ca in self.authorities):
            raise ToolsError(
                f"No self-signed CA certificate in {_names(bundles)}: add the root of the chain."
            )
        if crls:
            _attach(
                self.authorities,
                [found for name, data in crls for found in _crls(name, data)],
                now,
                _names(crls),
            )
        self.periods = tuple(period for ca in self.authorities for period in ca.periods)
        self._by_name: dict[x509.Name, list[Authority]] = {}
        for ca in self.authorities:
            self._by_name.setdefault(ca.certificate.subject, []).append(ca)
        for ca in self.authorities:
            ca.paths = tuple(self._paths(ca, ()))

    def leaf(self, text: str | bytes) -> Leaf:
        """The signer's certificate of a message, chained.

        Arguments:
            text: the envelope's ``certificate``: base64 of PEM.

        Raises:
            Unbridgeable: CERTIFICATE or REVOKED. Time is not looked at.
        """
        certificate = _decode(text)
        try:
            return self._chained(certificate)
        except _UNREADABLE as exc:
            raise Unbridgeable(Reason.CERTIFICATE, f"the certificate cannot be read: {_line(exc)}") from exc

    def _chained(self, certificate: x509.Certificate) -> Leaf:
        key = certificate.public_key()
        if not isinstance(key, rsa.RSAPublicKey):
            raise Unbridgeable(Reason.CERTIFICATE, "the certificate's key is not RSA")
        name = _only_name(certificate)
        if unknown := _unknown_critical(certificate):
            raise Unbridgeable(
                Reason.CERTIFICATE, f"{shown(name)}: critical extension {unknown} is not known"
            )
        paths = [path for ca in self._issuers(certificate) for path in ca.paths if _long_enough(path)]
        if not paths:
            raise Unbridgeable(
                Reason.CERTIFICATE,
                f"{shown(name)}: issued by {_title(certificate.issuer)}, of which no chain leads to the configured CA",
            )
        standing = [path for path in paths if not _revoked(certificate, path)]
        if not standing:
            raise Unbridgeable(
                Reason.REVOKED, f"{shown(name)}: serial {certificate.serial_number:x} is revoked"
            )
        chains = tuple(tuple(period for ca in path for period in ca.periods) for path in standing)
        return Leaf(name, PublicKey(key), _period(f"the certificate of {shown(name)}", certificate), chains)

    def _issuers(self, certificate: x509.Certificate) -> Iterator[Authority]:
        return (
            ca for ca in self._by_name.get(certificate.issuer, ()) if _issued_by(certificate, ca.certificate)
        )

    def _paths(self, ca: Authority, below: tuple[Authority, ...]) -> Iterator[tuple[Authority, ...]]:
        path = (*below, ca)
        if ca.is_root:
            if any(issuer is ca for issuer in self._issuers(ca.certificate)):
                yield path
            return
        if len(path) < MAX_DEPTH:
            for issuer in self._issuers(ca.certificate):
                if issuer not in path:
                    yield from self._paths(issuer, path)


def subject(pem: bytes, what: str = "the certificate") -> Subject:
    """Whom a certificate in PEM is for; nothing is checked.

    Raises:
        Unbridgeable: CERTIFICATE.
    """
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        basic = (e.value for e in certificate.extensions if isinstance(e.value, x509.BasicConstraints))
        return Subject(
            tuple(common_names(certificate.subject)),
            _period(what, certificate),
            any(value.ca for value in basic),
        )
    except _UNREADABLE as exc:
        raise Unbridgeable(Reason.CERTIFICATE, f"{what} cannot be read: {_line(exc)}") from exc


def when(moment: float) -> str:
    """Seconds since the epoch as ISO 8601 in UTC, for a text."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def shown(name: str) -> str:
    """A name that others chose, for a text of one line."""
    return name[:200] if name.isprintable() else ascii(name[:200])


def common_names(name: x509.Name) -> list[str]:
    """The CNs of a subject, in their order."""
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return [value.decode("utf-8", "replace") if isinstance(value := a.value, bytes) else value for a in found]


def _decode(text: str | bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(base64.b64decode(text))
    except _UNREADABLE as exc:
        raise Unbridgeable(Reason.CERTIFICATE, f"no certificate (base64 of PEM): {_line(exc)}") from exc


def _period(what: str, certificate: x509.Certificate) -> Period:
    return Period(
        what, certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()
    )


def _only_name(certificate: x509.Certificate) -> str:
    names = common_names(certificate.subject)
    if len(names) != 1 or not names[0]:
        raise Unbridgeable(
            Reason.CERTIFICATE, f"the certificate's subject has {len(names)} names (CN) where one is needed"
        )
    return names[0]


def _authorities(name: str, data: bytes) -> Iterator[Authority]:
    _whole(name, data, b"CERTIFICATE")
    try:
        found = x509.load_pem_x509_certificates(data)
        for certificate in found:
            title = _title(certificate.subject)
            if reason := _no_ca(certificate):
                raise ToolsError(f"{title} in {name} cannot be used as a CA: {reason}.")
            yield Authority(certificate, (_period(f"The CA certificate {title} in {name}", certificate),))
    except _UNREADABLE as exc:
        raise ToolsError(f"{name} holds no CA certificates in PEM that can be read: {_line(exc)}.") from exc


def _no_ca(certificate: x509.Certificate) -> str | None:
    extensions = {extension.oid: extension.value for extension in certificate.extensions}
    basic = extensions.get(ExtensionOID.BASIC_CONSTRAINTS)
    usage = extensions.get(ExtensionOID.KEY_USAGE)
    if isinstance(basic, x509.BasicConstraints):
        if not basic.ca:
            return "its basic constraints say that it is none"
    elif certificate.version is not x509.Version.v1 or certificate.issuer != certificate.subject:
        return "it has no basic constraints"
    if isinstance(usage, x509.KeyUsage) and not usage.key_cert_sign:
        return "its key usage does not allow signing certificates"
    if ExtensionOID.NAME_CONSTRAINTS in extensions:
        return "its name constraints are not checked here"
    unknown = _unknown_critical(certificate)
    return f"its critical extension {unknown} is not known" if unknown else None


def _crls(name: str, data: bytes) -> Iterator[tuple[str, x509.CertificateRevocationList]]:
    _whole(name, data, b"X509 CRL")
    try:
        for text in _CRL.findall(data):
            crl = x509.load_pem_x509_crl(text)
            if unknown := next((str(e.oid.dotted_string) for e in crl.extensions if e.critical), None):
                raise ToolsError(
                    f"The CRL of {_title(crl.issuer)} in {name} has an extension not known: {unknown}."
                )
            yield name, crl
    except _UNREADABLE as exc:
        raise ToolsError(f"{name} holds no CRL in PEM that can be read: {_line(exc)}.") from exc


def _attach(
    authorities: list[Authority],
    crls: list[tuple[str, x509.CertificateRevocationList]],
    now: float,
    files: str,
) -> None:
    for ca in authorities:
        own = [(name, crl) for name, crl in crls if _signed_by(crl, ca)]
        if own:
            name, crl = max(own, key=lambda one: one[1].last_update_utc)
            ends = crl.next_update_utc.timestamp() if crl.next_update_utc else float("inf")
            title = f"The CRL of {_title(crl.issuer)} in {name}"
            ca.periods = (*ca.periods, Period(title, crl.last_update_utc.timestamp(), ends))
            ca.revoked = frozenset(entry.serial_number for entry in crl)
        elif ca.periods[0].problem(now) is None:
            raise ToolsError(
                f"No CRL signed by the CA {_title(ca.certificate.subject)} in {files}: add it, or take the CA out."
            )


def _signed_by(crl: x509.CertificateRevocationList, ca: Authority) -> bool:
    if crl.issuer != ca.certificate.subject:
        return False
    usage = next((e.value for e in ca.certificate.extensions if isinstance(e.value, x509.KeyUsage)), None)
    if usage is not None and not usage.crl_sign:
        return False
    key = ca.certificate.public_key()
    if crl.signature_algorithm_oid == SignatureAlgorithmOID.RSA_WITH_SHA1:
        return isinstance(key, rsa.RSAPublicKey) and PublicKey(key).verify(
            crl.signature, crl.tbs_certlist_bytes
        )
    try:
        return crl.is_signature_valid(key)  # type: ignore[arg-type]  # TypeError where it cannot sign
    except _UNREADABLE:
        return False


def _issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether the issuer's key signed it. With SHA-1 too, as fedmsg's own certificates are; MD5 is forgeable."""
    try:
        if certificate.signature_algorithm_oid == SignatureAlgorithmOID.RSA_WITH_SHA1:
            key = issuer.public_key()
            proof = certificate.signature, certificate.tbs_certificate_bytes
            return isinstance(key, rsa.RSAPublicKey) and PublicKey(key).verify(*proof)
        certificate.verify_directly_issued_by(issuer)
    except _UNREADABLE:
        return False
    return True


def _long_enough(path: tuple[Authority, ...]) -> bool:
    """Whether each CA's path length constraint holds (RFC 5280, 4.2.1.9): the CAs below it, self-issued ones aside."""
    below = 0
    for ca in path:
        for extension in ca.certificate.extensions:
            limit = (
                extension.value.path_length if isinstance(extension.value, x509.BasicConstraints) else None
            )
            if limit is not None and below > limit:
                return False
        below += not ca.is_root
    return True


def _revoked(certificate: x509.Certificate, path: tuple[Authority, ...]) -> bool:
    below = certificate
    for ca in path:
        if below.serial_number in ca.revoked:
            return True
        below = ca.certificate
    return below.serial_number in path[-1].revoked


def _unknown_critical(certificate: x509.Certificate) -> str | None:
    unknown = (e.oid.dotted_string for e in certificate.extensions if e.critical and e.oid not in _KNOWN)
    return next(unknown, None)


def _whole(name: str, data: bytes, kind: bytes) -> None:
    begins, ends = data.count(b"-----BEGIN " + kind), data.count(b"-----END " + kind)
    if begins == 0:
        raise ToolsError(f"{name} holds no {kind.decode()} in PEM.")
    if begins != ends:
        raise ToolsError(f"{name} is cut off: {begins} times BEGIN {kind.decode()}, {ends} times END.")


def _title(name: x509.Name) -> str:
    return shown(next(iter(common_names(name)), None) or name.rfc4514_string() or "(no name)")


def _names(files: Sequence[tuple[str, bytes]]) -> str:
    return ", ".join(name for name, _ in files)


def _line(exc: BaseException) -> str:
    return shown(" ".join(str(exc).split())) or type(exc).__name__
