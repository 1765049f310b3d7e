# SPDX-License-Identifier: MIT
"""Reading certificates, with `cryptography` (by way of trustme) as the judge."""

import ssl
from datetime import UTC, datetime, timedelta

import pytest
import trustme
from cryptography import x509

from fedora_messaging.cli import certificates

CA = trustme.CA()
NOW = datetime(2030, 1, 1, tzinfo=UTC)


def der(certificate: trustme.LeafCert) -> bytes:
    return ssl.PEM_cert_to_DER_cert(certificate.cert_chain_pems[0].bytes().decode())


@pytest.mark.parametrize("key", list(trustme.KeyType))
@pytest.mark.parametrize(
    ("identities", "name", "names"),
    [
        (["rabbitmq.example.org"], None, ("rabbitmq.example.org",)),
        (
            ["a.example", "*.b.example", "127.0.0.1", "::1"],
            "bodhi",
            ("a.example", "*.b.example", "127.0.0.1", "::1"),
        ),
        (["someone@example.org"], "müller", ()),
        ([f"host{n}.example.org" for n in range(50)], None, tuple(f"host{n}.example.org" for n in range(50))),
    ],
)
def test_reads_what_cryptography_reads(
    key: trustme.KeyType, identities: list[str], name: str | None, names: tuple[str, ...]
) -> None:
    bytes_ = der(CA.issue_cert(*identities, common_name=name, key_type=key))
    judge = x509.load_der_x509_certificate(bytes_)
    read = certificates.read(bytes_)
    assert read.names == names
    assert read.subject == (name or "")
    assert read.not_before == judge.not_valid_before_utc
    assert read.not_after == judge.not_valid_after_utc


@pytest.mark.parametrize("year", [1985, 2049, 2050, 2999])  # UTCTime ends with 2049
def test_years_in_either_form(year: int) -> None:
    end = datetime(year, 12, 31, 23, 59, 58, tzinfo=UTC)
    bytes_ = der(CA.issue_cert("a.example", not_before=datetime(1980, 1, 1, tzinfo=UTC), not_after=end))
    assert certificates.read(bytes_).not_after == end


@pytest.mark.parametrize(
    ("left", "days"), [(timedelta(days=3, hours=1), 3), (timedelta(0), 0), (timedelta(seconds=-1), -1)]
)
def test_days_left(left: timedelta, days: int) -> None:
    assert certificates.Certificate("", (), NOW, NOW + left).days_left(NOW) == days


def test_what_is_no_certificate_is_a_value_error() -> None:
    whole = der(CA.issue_cert("a.example"))
    for bytes_ in (
        b"",
        b"x",
        b"\x30",
        b"\x30\x03\x02\x01\x01",
        b"\xff" * 100,
        *(whole[:n] for n in range(len(whole))),
    ):
        with pytest.raises(ValueError):  # noqa: PT011 - which one does not matter
            certificates.read(bytes_)
