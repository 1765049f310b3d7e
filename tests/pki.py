# SPDX-License-Identifier: MIT
"""A small public key infrastructure for tests: CAs, intermediates, CRLs and signers' certificates, as PEM.

Made with `cryptography` in memory; nothing of the code under test is used here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

DAY = timedelta(days=1)
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Credentials:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: Key

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        """`<name>.crt` and `<name>.key` in a folder, as fedmsg's ssldir has them."""
        certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
        certificate.write_bytes(self.pem)
        key.write_bytes(self.key_pem)
        return certificate, key


@dataclass(frozen=True)
class Authority(Credentials):
    """A CA: issues certificates, intermediates and CRLs."""

    def issue(
        self,
        names: str | Sequence[str],
        *,
        begins: datetime | None = None,
        ends: datetime | None = None,
        key: Key | None = None,
        extensions: Iterable[tuple[x509.ExtensionType, bool]] = (),
    ) -> Credentials:
        """A signer's certificate; ``names`` are the CNs of its subject."""
        key = key or rsa_key(0)
        subject = _name([names] if isinstance(names, str) else names)
        return Credentials(_certificate(subject, key, self, begins, ends, extensions), key)

    def intermediate(
        self, name: str, *, path_length: int | None = None, ends: datetime | None = None
    ) -> Authority:
        """A CA under this one."""
        key = rsa_key(f"{name} of {_title(self)}")
        ca = _certificate(_name([name]), key, self, None, ends, _ca_extensions(path_length))
        return Authority(ca, key)

    def crl(
        self,
        revoked: Iterable[Credentials] = (),
        *,
        begins: datetime | None = None,
        ends: datetime | None = None,
    ) -> bytes:
        """A CRL in PEM."""
        now = datetime.now(UTC)
        begins = begins or min(now, ends or now) - DAY
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.certificate.subject)
        builder = builder.last_update(begins).next_update(ends or now + 30 * DAY)
        for one in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(one.certificate.serial_number)
            builder = builder.add_revoked_certificate(entry.revocation_date(begins).build())
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@dataclass
class Pki:
    """A CA with one signer of each kind, and its files in a folder: ca.crt, crl.pem, and `<kind>.crt`, `<kind>.key`.

    `valid`, `revoked`, `expired` and `future` are of the CA; `stranger` is of another CA of the same name.
    """

    folder: Path
    ca: Authority = field(default_factory=lambda: authority("Test CA"))
    signers: dict[str, Credentials] = field(init=False)

    def __post_init__(self) -> None:
        now = datetime.now(UTC)
        self.signers = {
            "valid": self.ca.issue("app-valid.example.org"),
            "revoked": self.ca.issue("app-revoked.example.org"),
            "expired": self.ca.issue("app-expired.example.org", begins=now - 9 * DAY, ends=now - DAY),
            "future": self.ca.issue("app-future.example.org", begins=now + DAY, ends=now + 9 * DAY),
            "stranger": authority("Test CA", key="another").issue("app-valid.example.org"),
        }
        self.ca_file.write_bytes(self.ca.pem)
        self.crl_file.write_bytes(self.ca.crl([self.signers["revoked"]]))
        for kind, credentials in self.signers.items():
            credentials.write(self.folder, kind)

    @property
    def ca_file(self) -> Path:
        return self.folder / "ca.crt"

    @property
    def crl_file(self) -> Path:
        return self.folder / "crl.pem"


def authority(
    name: str = "Test CA",
    *,
    key: str = "",
    begins: datetime | None = None,
    ends: datetime | None = None,
    extensions: Iterable[tuple[x509.ExtensionType, bool]] | None = None,
) -> Authority:
    """A self-signed CA. The same ``name`` and ``key`` give the same key: a CA that was renewed."""
    private = rsa_key(f"{name} {key}")
    extensions = _ca_extensions(None) if extensions is None else extensions
    certificate = _certificate(_name([name]), private, None, begins, ends, extensions)
    return Authority(certificate, private)


def usage(*, certificates: bool, crls: bool) -> x509.KeyUsage:
    """What a CA's key may sign."""
    return x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificates,
        crl_sign=crls,
        encipher_only=False,
        decipher_only=False,
    )


@cache
def rsa_key(label: str | int) -> rsa.RSAPrivateKey:
    """An RSA key, the same for the same label, since making one takes a tenth of a second."""
    del label
    return rsa.generate_private_key(65537, 2048)


def _certificate(
    subject: x509.Name,
    key: Key,
    issuer: Authority | None,
    begins: datetime | None,
    ends: datetime | None,
    extensions: Iterable[tuple[x509.ExtensionType, bool]],
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(subject).public_key(key.public_key())
    builder = builder.issuer_name(issuer.certificate.subject if issuer else subject)
    builder = builder.serial_number(x509.random_serial_number())
    ends = ends or now + 365 * DAY
    builder = builder.not_valid_before(begins or min(now, ends) - DAY).not_valid_after(ends)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer.key if issuer else key, hashes.SHA256())


def _ca_extensions(path_length: int | None) -> list[tuple[x509.ExtensionType, bool]]:
    return [
        (x509.BasicConstraints(ca=True, path_length=path_length), True),
        (usage(certificates=True, crls=True), True),
    ]


def _name(names: Sequence[str]) -> x509.Name:
    organisation = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example")
    return x509.Name([organisation, *(x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names)])


def _title(ca: Authority) -> str:
    return ca.certificate.subject.rfc4514_string()
