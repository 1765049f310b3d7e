# SPDX-License-Identifier: MIT
"""What certificates and lists hold, and what OpenSSL, an implementation of its own, says of them."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmsg_migration_tools.exceptions import ToolsError
from fedmsg_migration_tools.pki.making import Pair, Validity, authority, certificate, crl, hash_of, new_key
from fedmsg_migration_tools.pki.names import host

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
YEAR = Validity(NOW - DAY, NOW + 365 * DAY)
CA = authority("Test CA", Validity(NOW - DAY, NOW + 100 * DAY), new_key())


def extension(pair: Pair, kind: type[x509.ExtensionType]) -> x509.Extension[x509.ExtensionType]:
    return pair.certificate.extensions.get_extension_for_class(kind)


def purposes(pair: Pair) -> set[x509.ObjectIdentifier]:
    usage = pair.certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    return set(usage.value)


def test_the_authority() -> None:
    basic = CA.certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    usage = CA.certificate.extensions.get_extension_for_class(x509.KeyUsage)
    assert (basic.critical, basic.value.ca, basic.value.path_length) == (True, True, 0)
    assert (usage.critical, usage.value.key_cert_sign, usage.value.crl_sign) == (True, True, True)
    assert not usage.value.digital_signature
    assert isinstance(CA.key.curve, ec.SECP256R1)


def test_a_client() -> None:
    one = certificate(CA, "bodhi", YEAR, new_key())
    (name,) = one.certificate.subject
    assert (name.oid, name.value) == (NameOID.COMMON_NAME, "bodhi")
    assert purposes(one) == {ExtendedKeyUsageOID.CLIENT_AUTH}
    with pytest.raises(x509.ExtensionNotFound):
        extension(one, x509.SubjectAlternativeName)


@pytest.mark.parametrize("client", [False, True])
def test_a_server(client: bool) -> None:
    hosts = [host("rabbit.example.org"), host("::1")]
    one = certificate(CA, "rabbit", YEAR, new_key(), hosts=hosts, client=client)
    names = one.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [entry.value for entry in names] == hosts
    also = {ExtendedKeyUsageOID.CLIENT_AUTH} if client else set()
    assert purposes(one) == {ExtendedKeyUsageOID.SERVER_AUTH} | also


def test_nothing_outlives_its_authority() -> None:
    one = certificate(CA, "bodhi", YEAR, new_key())
    assert one.certificate.not_valid_after_utc == CA.certificate.not_valid_after_utc
    assert one.certificate.not_valid_before_utc == YEAR.begins


def test_a_pair_is_read_back_and_one_that_is_none_is_refused() -> None:
    one, other = (certificate(CA, "bodhi", YEAR, new_key()) for _ in range(2))
    assert Pair.of(one.pem, one.key_pem).certificate == one.certificate
    with pytest.raises(ToolsError, match="not the certificate's"):
        Pair.of(one.pem, other.key_pem)
    with pytest.raises(ToolsError, match="in PEM"):
        Pair.of(one.pem, one.pem)


def openssl(*arguments: object) -> str:
    done = subprocess.run(
        ["openssl", *map(str, arguments)], capture_output=True, text=True, check=False, timeout=30
    )
    return done.stdout + done.stderr


def test_openssl_accepts_them_and_refuses_what_is_revoked(tmp_path: Path) -> None:
    good, gone = (
        certificate(CA, name, YEAR, new_key(), hosts=[host("localhost")], client=False) for name in "ab"
    )
    listed = [(gone.certificate.serial_number, NOW, "keyCompromise")]
    texts = {
        "ca": CA.pem,
        "crl": crl(CA, 7, Validity(NOW - DAY, NOW + DAY), listed),
        "good": good.pem,
        "gone": gone.pem,
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.pem").write_bytes(text)
    strict = (
        "-x509_strict",
        "-crl_check_all",
        "-CAfile",
        tmp_path / "ca.pem",
        "-CRLfile",
        tmp_path / "crl.pem",
    )
    verify = ("verify", *strict)
    assert openssl(*verify, tmp_path / "good.pem").endswith(": OK\n")
    assert "certificate revoked" in openssl(*verify, tmp_path / "gone.pem")
    for purpose, accepted in (("sslserver", True), ("sslclient", False)):
        said = openssl("verify", *strict, "-purpose", purpose, tmp_path / "good.pem")
        assert said.endswith(": OK\n") == accepted
    shown = openssl("crl", "-in", tmp_path / "crl.pem", "-noout", "-text")
    assert "Key Compromise" in shown
    assert "X509v3 CRL Number" in shown


@settings(deadline=None, max_examples=15)
@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=60))
def test_the_hash_is_openssls(name: str) -> None:
    one = authority(name, YEAR, new_key())
    done = subprocess.run(
        ["openssl", "x509", "-noout", "-subject_hash"],
        input=one.pem,
        capture_output=True,
        check=True,
        timeout=30,
    )
    assert done.stdout.decode().strip() == hash_of(one.certificate.subject)
