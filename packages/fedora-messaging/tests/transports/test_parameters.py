# SPDX-License-Identifier: MIT
"""What a URL and certificate files mean for pika, and which setting is named when they mean nothing."""

import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pika.credentials import ExternalCredentials

from fedora_messaging.exceptions import ConfigurationException
from fedora_messaging.transports.base import Address
from fedora_messaging.transports.parameters import Settings, parameters_of

Blamed = Callable[..., str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With good files (``ca.pem``, ``own.pem``, ``own.key``, ``both.pem``), and others."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    for name in ("own", "other"):
        certificate = ca.issue_cert(f"{name}@example.org", common_name=name)
        certificate.cert_chain_pems[0].write_to_path(tmp_path / f"{name}.pem")
        certificate.private_key_pem.write_to_path(tmp_path / f"{name}.key")
        certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / f"{name}-both.pem")
    (tmp_path / "own.der").write_bytes(ssl.PEM_cert_to_DER_cert((tmp_path / "own.pem").read_text()))
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("not a certificate\n")
    pem = (tmp_path / "own.pem").read_text()
    (tmp_path / "cut.pem").write_text(pem[: len(pem) // 2])
    (tmp_path / "loop").symlink_to("loop")
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"geheim"),
    )
    (tmp_path / "encrypted.key").write_bytes(key)
    return tmp_path


@pytest.fixture
def blamed(folder: Path) -> Blamed:
    """What the error says about these files; its folder is left out."""

    def message(**files: str) -> str:
        tls = {setting: str(folder / name) for setting, name in files.items()}
        with pytest.raises(ConfigurationException) as caught:
            parameters_of(Address("amqps://localhost/", tls))
        assert len(str(caught.value).splitlines()) == 1
        return caught.value.message.replace(f"{folder}/", "")

    return message


UNREADABLE = {
    "missing": "No such file or directory",
    ".": "Is a directory",
    "text/own.pem": "Not a directory",
    "loop": "Too many levels of symbolic links",
}


@pytest.mark.parametrize(("name", "why"), UNREADABLE.items())
def test_a_file_that_cannot_be_read(blamed: Blamed, folder: Path, name: str, why: str) -> None:
    shown = str(folder) if name == "." else name
    assert blamed(ca_cert=name) == f"tls.ca_cert: cannot read {shown}: {why}"
    assert blamed(certfile=name, keyfile="own.key") == f"tls.certfile: cannot read {shown}: {why}"
    assert blamed(certfile="own.pem", keyfile=name) == f"tls.keyfile: cannot read {shown}: {why}"


@pytest.mark.parametrize("name", ["empty", "text", "cut.pem", "own.der", "own.key"])
def test_a_file_without_a_certificate(blamed: Blamed, name: str) -> None:
    assert blamed(ca_cert=name).startswith(f"tls.ca_cert: {name} holds no PEM certificate (")
    assert blamed(certfile=name, keyfile="own.key").startswith(
        f"tls.certfile: {name} holds no PEM certificate ("
    )


@pytest.mark.parametrize("name", ["empty", "text", "own.pem", "own.der"])
def test_a_file_without_a_key(blamed: Blamed, name: str) -> None:
    assert blamed(certfile="own.pem", keyfile=name).startswith(f"tls.keyfile: {name} holds no PEM key (")


def test_a_certificate_without_its_key(blamed: Blamed) -> None:
    assert blamed(certfile="own.pem").startswith("tls.certfile: own.pem holds no PEM key (")


def test_the_key_of_another_certificate(blamed: Blamed) -> None:
    expected = "tls.keyfile: other.key is not the key of the certificate own.pem"
    assert blamed(certfile="own.pem", keyfile="other.key") == expected


def test_an_encrypted_key_asks_nobody(blamed: Blamed, capfd: pytest.CaptureFixture[str]) -> None:
    expected = "tls.keyfile: encrypted.key is encrypted: take a key without a passphrase"
    assert blamed(certfile="own.pem", keyfile="encrypted.key") == expected
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("url", "own", "external", "shown"),
    [
        ("amqps://localhost/", ("own.pem", "own.key"), True, True),
        ("amqps://localhost/", ("own-both.pem", "own-both.pem"), True, True),
        ("amqps://localhost/v@1", ("own.pem", "own.key"), True, True),
        ("amqps://user:secret@localhost/", ("own.pem", "own.key"), False, True),
        ("amqps://localhost/", ("own-both.pem", None), False, True),
        ("amqps://localhost/", (None, "own.key"), False, False),
        ("amqps://localhost/", (None, None), False, False),
        ("amqp://localhost/", ("own.pem", "own.key"), False, False),
    ],
)
def test_who_logs_in_by_certificate(
    folder: Path, url: str, own: tuple[str | None, str | None], external: bool, shown: bool
) -> None:
    certificate, key = (str(folder / name) if name else None for name in own)
    tls = {"ca_cert": str(folder / "ca.pem"), "certfile": certificate, "keyfile": key}
    parameters, context = parameters_of(Address(url, tls))
    assert isinstance(parameters.credentials, ExternalCredentials) is external
    assert parameters.certificate == (certificate if shown else None)
    assert (context is not None) is url.startswith("amqps")


def test_the_peer_is_always_checked(folder: Path) -> None:
    _, context = parameters_of(Address("amqps://localhost/", {"ca_cert": str(folder / "ca.pem")}))
    assert context is not None
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.cert_store_stats()["x509_ca"] == 1


def test_without_plain_tls_settings_files_are_not_looked_at() -> None:
    tls = {"ca_cert": "/no/such", "certfile": "/no/such", "keyfile": "/no/such"}
    _, context = parameters_of(Address("amqp://localhost/", tls))
    assert context is None


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("heartbeat=often", "Invalid heartbeat value 'often'"),
        ("nonsense=1", "Unknown URL parameter: 'nonsense'"),
        ("ssl_options={", "was never closed"),
        ("ssl_options={'ca_certs':'/no/such','password':'geheim'}", "No such file or directory"),
        ("stack_timeout=-1", "stack_timeout must be > 0"),
    ],
)
def test_a_parameter_of_the_url(query: str, words: str) -> None:
    with pytest.raises(ConfigurationException) as caught:
        parameters_of(Address(f"amqps://guest:geheim@localhost/?{query}"))
    assert caught.value.message.startswith("amqp_url: a parameter cannot be used: ")
    assert words in caught.value.message
    assert "geheim" not in str(caught.value)


def test_client_properties_reach_the_broker() -> None:
    parameters, _ = parameters_of(Address("amqp://localhost/", client_properties={"app": "shop"}))
    assert parameters.client_properties == {"app": "shop"}


def lasting(folder: Path, days: float, of: float) -> Settings:
    """Settings with a certificate that ends in so many days, after a life of so many; read once."""
    ca = trustme.CA()
    end = datetime.now(UTC) + timedelta(days=days, minutes=1)
    own = ca.issue_cert("own@example.org", not_before=end - timedelta(days=of), not_after=end)
    own.private_key_and_cert_chain_pem.write_to_path(folder / "own-both.pem")
    settings = Settings(Address("amqps://localhost/", {"certfile": str(folder / "own-both.pem")}))
    settings.read()
    return settings


@pytest.mark.parametrize(
    ("days", "of", "said"),
    [
        (100, 365, None),
        (14, 365, None),
        (13, 365, "ends on"),
        (0, 365, "ends on"),
        (-1, 365, "ended on"),
        (1, 2, None),
        (0.4, 2, "ends on"),
    ],
)
def test_the_end_of_our_certificate_is_said_in_time_and_once_a_day(
    folder: Path, caplog: pytest.LogCaptureFixture, days: float, of: float, said: str | None
) -> None:
    settings = lasting(folder, days, of)
    settings.read()
    settings.check()
    assert len(caplog.messages) == (said is not None)
    if said:
        assert (
            f"{folder}/own-both.pem {said} {datetime.now(UTC) + timedelta(days=days):%Y-%m-%d}" in caplog.text
        )


def test_a_renewed_certificate_is_not_warned_of(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = lasting(folder, 20, 30)
    lasting(folder, 1, 365)
    assert len(caplog.messages) == 1
    settings.check()
    assert len(caplog.messages) == 2
    caplog.clear()
    settings = lasting(folder, 100, 365)
    settings.check()
    assert caplog.messages == []
