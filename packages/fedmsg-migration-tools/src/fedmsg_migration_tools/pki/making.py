# SPDX-License-Identifier: MIT
"""Keys, certificates and revocation lists, in the form that RFC 5280 asks for. No files, no clock.

Keys are EC P-256, which every TLS library of the last ten years has; signatures are ECDSA with SHA-256.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ..exceptions import ToolsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime
    from ipaddress import IPv4Address, IPv6Address

__all__ = ["Key", "Pair", "Validity", "authority", "certificate", "crl", "hash_of", "new_key"]

Key = ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class Validity:
    """From when until when, in UTC."""

    begins: datetime
    ends: datetime


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: Key

    @property
    def serial(self) -> str:
        """In hexadecimal, as ``openssl x509 -serial`` has it, in small letters."""
        return serial_text(self.certificate.serial_number)

    @property
    def pem(self) -> bytes:
        """The certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The key, PKCS #8, not encrypted: a broker that starts by itself could not ask for a passphrase."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    @classmethod
    def of(cls, pem: bytes, key_pem: bytes) -> Pair:
        """From their PEM. Raises ``ToolsError`` when they are none, or do not belong together."""
        try:
            certificate = x509.load_pem_x509_certificate(pem)
            key = serialization.load_pem_private_key(key_pem, None)
        except (ValueError, TypeError) as error:
            raise ToolsError("not a certificate and its key in PEM") from error
        if not isinstance(key, Key) or key.public_key() != certificate.public_key():
            raise ToolsError("the key is not the certificate's")
        return cls(certificate, key)


def serial_text(number: int) -> str:
    """A serial number as it is written everywhere here."""
    return f"{number:x}"


def new_key() -> Key:
    """A key."""
    return ec.generate_private_key(ec.SECP256R1())


def authority(name: str, validity: Validity, key: Key) -> Pair:
    """A self-signed CA that may sign certificates and CRLs, and no other CA."""
    builder = _builder(_name(name), key, validity)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(authority=True), critical=True)
    own = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    builder = builder.add_extension(own, critical=False)
    return Pair(builder.issuer_name(_name(name)).sign(key, hashes.SHA256()), key)


def certificate(
    issuer: Pair,
    name: str,
    validity: Validity,
    key: Key,
    *,
    hosts: Sequence[str | IPv4Address | IPv6Address] = (),
    client: bool = True,
) -> Pair:
    """A certificate of a server (which has hosts), of a client, or of both.

    Arguments:
        issuer: the CA.
        name: its common name: the user that a client logs in as.
        validity: cut off where the CA's own ends.
        key: its key.
        hosts: names and addresses by which clients reach the server; empty for one that is only a client.
        client: whether it may present itself as a client.
    """
    bounds = Validity(validity.begins, min(validity.ends, issuer.certificate.not_valid_after_utc))
    builder = _builder(_name(name), key, bounds)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(authority=False), critical=True)
    purposes = [ExtendedKeyUsageOID.SERVER_AUTH] if hosts else []
    purposes += [ExtendedKeyUsageOID.CLIENT_AUTH] if client else []
    builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    if hosts:
        names = [x509.DNSName(one) if isinstance(one, str) else x509.IPAddress(one) for one in hosts]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    identifier = issuer.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    issuers = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
    builder = builder.add_extension(issuers, critical=False).issuer_name(issuer.certificate.subject)
    return Pair(builder.sign(issuer.key, hashes.SHA256()), key)


def crl(issuer: Pair, number: int, validity: Validity, revoked: Iterable[tuple[int, datetime, str]]) -> bytes:
    """A revocation list in PEM.

    Arguments:
        issuer: the CA.
        number: greater than that of its former lists (RFC 5280, 5.2.3).
        validity: when it was made, and until when it may be used.
        revoked: serial number, time and reason (of :class:`cryptography.x509.ReasonFlags`) of each.
    """
    builder = x509.CertificateRevocationListBuilder().issuer_name(issuer.certificate.subject)
    builder = builder.last_update(validity.begins).next_update(validity.ends)
    builder = builder.add_extension(x509.CRLNumber(number), critical=False)
    identifier = issuer.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    issuers = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
    builder = builder.add_extension(issuers, critical=False)
    for serial, when, reason in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(when)
        flag = x509.ReasonFlags(reason)
        if flag != x509.ReasonFlags.unspecified:  # which is said by leaving it out (RFC 5280, 5.3.1)
            entry = entry.add_extension(x509.CRLReason(flag), critical=False)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(issuer.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def hash_of(name: x509.Name) -> str:
    """The eight digits by which OpenSSL, and Erlang after it, call a file of a CA: ``openssl x509 -subject_hash``.

    It is the beginning of the SHA-1 of the name in a canonical form: each text UTF-8, in small letters, with single
    spaces (``X509_NAME_hash_ex``).
    """
    encoded = b"".join(_set_of(one) for one in name.rdns)
    return hashlib.sha1(encoded, usedforsecurity=False).digest()[3::-1].hex()


def _set_of(rdn: x509.RelativeDistinguishedName) -> bytes:
    canonical = [
        x509.NameAttribute(one.oid, " ".join(str(one.value).lower().split()), _type=_UTF8) for one in rdn
    ]
    name = x509.Name([x509.RelativeDistinguishedName(canonical)]).public_bytes()
    return name[2 if name[1] < 0x80 else 2 + (name[1] & 0x7F) :]  # without the head of the sequence


_UTF8 = x509.name._ASN1Type.UTF8String  # noqa: SLF001 - there is no public name for it


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(subject: x509.Name, key: Key, validity: Validity) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(validity.begins).not_valid_after(validity.ends)
    own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return builder.add_extension(own, critical=False)


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
