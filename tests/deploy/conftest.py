# SPDX-License-Identifier: MIT
"""Certificates for the machines, made as an operator makes them: by ``fedmsg-migration-tools pki``."""

from __future__ import annotations

import shutil
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .machines import Machines

TOOLS = Path(sys.executable).with_name("fedmsg-migration-tools")
HOSTS = ("bus1.example.org", "bus2.example.org", "bus3.example.org")


class Pki:
    """A certificate authority in a folder, with servers and clients."""

    def __init__(
        self, folder: Path, hosts: Iterable[str] = HOSTS, clients: Iterable[str] = ("alice", "bob")
    ) -> None:
        self.folder = folder
        self.run("init")
        for host in hosts:
            self.issue(host, "--host", host, "--host", "localhost", "--also-client")
        for client in clients:
            self.issue(client)

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    def run(self, command: str, *arguments: str) -> None:
        subprocess.run(
            [TOOLS, "pki", command, *arguments, "-C", self.folder], check=True, capture_output=True
        )

    def issue(self, name: str, *options: str) -> None:
        """For somebody who has it for good: of what was revoked the authority gives nothing away."""
        self.run("issue", name, *options)
        shutil.copytree(self.folder / "issued" / name, self.of(name))

    def of(self, name: str) -> Path:
        """The folder with its ``cert.pem`` and ``key.pem``."""
        return self.folder / "clients" / name

    def bring(self, machines: Machines, *hosts: str) -> None:
        """What these machines need, or all, goes to ``/etc/rabbitmq/tls``; lists that were there are replaced."""
        for host in hosts or machines.hosts:
            tls = machines.etc(host) / "tls"
            (tls / "crl").mkdir(parents=True, exist_ok=True)
            for source in (self.ca, *(self.folder / "issued" / host).iterdir()):
                shutil.copy(source, tls)
            for source in (self.folder / "crl").iterdir():
                shutil.copy(source, tls / "crl")

    def revocations(self, until: datetime) -> bytes:
        """A revocation list of the authority, good until then."""
        [crl] = (x509.load_pem_x509_crl(path.read_bytes()) for path in (self.folder / "crl").iterdir())
        ca = x509.load_pem_x509_certificate(self.ca.read_bytes())
        keys = (
            load_pem_private_key(path.read_bytes(), None) for path in self.folder.glob("private/*/key.pem")
        )
        [key] = (key for key in keys if key.public_key() == ca.public_key())
        assert isinstance(key, EllipticCurvePrivateKey)
        builder = x509.CertificateRevocationListBuilder().issuer_name(crl.issuer)
        builder = builder.last_update(until - timedelta(9)).next_update(until)
        for extension in crl.extensions:
            builder = builder.add_extension(extension.value, extension.critical)
        return builder.sign(key, SHA256()).public_bytes(Encoding.PEM)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """With clients ``alice`` and ``bob``; bob's certificate is revoked."""
    made = Pki(tmp_path_factory.mktemp("pki") / "pki")
    made.run("revoke", "bob")
    return made
