# SPDX-License-Identifier: MIT
"""Certificates that another made do as well: RSA, intermediate authorities, other shapes of names."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from cryptography import x509

from tests.pki import Authority, Credentials, authority

from .broker import Broker, Tls, tls


def names(*hosts: str) -> list[tuple[x509.ExtensionType, bool]]:
    return [(x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), False)]


class Elsewhere:
    """A root, an intermediate under it, and a broker that knows the root only. Keys are RSA, names have an O."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = authority("Elsewhere's root")
        self.between = self.root.intermediate("Elsewhere's intermediate", path_length=0)
        self.ca = folder / "root.pem"
        self.ca.write_bytes(self.root.pem)
        server = self.between.issue("rabbit", extensions=names("localhost"))
        self.broker = Broker(self.ca, *self.chain("rabbit", server))

    def chain(self, file: str, own: Credentials, *more: Authority) -> tuple[Path, Path]:
        """The certificate with those between it and the root, and its key."""
        certificate, key = own.write(self.folder, file)
        certificate.write_bytes(b"".join([own.pem, *(one.pem for one in more or (self.between,))]))
        return certificate, key


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elsewhere]:
    one = Elsewhere(tmp_path_factory.mktemp("elsewhere"))
    with one.broker.node:
        one.broker.add_user("bodhi")
        yield one


def client(elsewhere: Elsewhere, *pair: Path) -> Tls:
    return tls(elsewhere.ca, *pair)


def test_rsa_with_an_intermediate(elsewhere: Elsewhere) -> None:
    pair = elsewhere.chain("bodhi", elsewhere.between.issue("bodhi"))
    assert not elsewhere.broker.publishes(client(elsewhere, *pair))


def test_an_intermediate_that_is_not_shown(elsewhere: Elsewhere) -> None:
    certificate, key = elsewhere.between.issue("bodhi").write(elsewhere.folder, "alone")
    assert "refused our certificate" in elsewhere.broker.publishes(client(elsewhere, certificate, key))


def test_of_the_root_itself(elsewhere: Elsewhere) -> None:
    pair = elsewhere.root.issue("bodhi").write(elsewhere.folder, "direct")
    assert not elsewhere.broker.publishes(client(elsewhere, *pair))


def test_of_a_stranger_with_the_same_names(elsewhere: Elsewhere) -> None:
    root = authority("Elsewhere's root", key="another")
    between = root.intermediate("Elsewhere's intermediate")
    pair = elsewhere.chain("stranger", between.issue("bodhi"), between)
    assert "refused our certificate" in elsewhere.broker.publishes(client(elsewhere, *pair))


def test_a_second_ca_of_any_make_in_the_bundle(elsewhere: Elsewhere) -> None:
    """trustme's: EC, an O and no C, a CN beside the address in subjectAltName."""
    other = trustme.CA()
    made = other.issue_cert("bodhi@example.org", common_name="bodhi")
    certificate, key = elsewhere.folder / "trustme.pem", elsewhere.folder / "trustme.key"
    made.cert_chain_pems[0].write_to_path(certificate)
    made.private_key_pem.write_to_path(key)
    assert "refused our certificate" in elsewhere.broker.publishes(client(elsewhere, certificate, key))
    other.cert_pem.write_to_path(elsewhere.ca, append=True)
    elsewhere.broker.forget_files()
    assert not elsewhere.broker.publishes(client(elsewhere, certificate, key))
