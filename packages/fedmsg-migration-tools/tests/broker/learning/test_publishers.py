# SPDX-License-Identifier: MIT
"""Who is believed to have sent a message."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from fedmsg_migration_tools.broker.learning import publishers
from fedmsg_migration_tools.broker.learning.publishers import Proof, Publisher, Unlearnt, of_envelope
from fedmsg_migration_tools.exceptions import ToolsError
from fedmsg_migration_tools.fedmsg import translation
from fedmsg_migration_tools.fedmsg.envelope import Envelope, parse
from fedmsg_migration_tools.fedmsg.signing import Signer
from tests.pki import DAY, Pki, authority

if TYPE_CHECKING:
    from pathlib import Path

TOPIC = "org.example.prod.bodhi.update.comment"
CN = "app-valid.example.org"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


def envelope(**more: Any) -> Envelope:
    return parse(
        translation.frames({"topic": TOPIC, "msg": {}, "username": "apache", "timestamp": 1, **more})
    )


def signed(pki: Pki, kind: str = "valid", **more: Any) -> Envelope:
    credentials = pki.signers[kind]
    message = {"topic": TOPIC, "msg": {}, "timestamp": int(datetime.now(UTC).timestamp()), **more}
    return parse(translation.frames(Signer(credentials.pem, credentials.key_pem).sign(message)))


def named(*names: str) -> Envelope:
    """An envelope with a certificate for these names, and no good signature."""
    pem = authority("CA").issue(names).pem
    return envelope(certificate=base64.b64encode(pem).decode(), signature="AAAA")


def unlearnt(message: Envelope) -> str:
    with pytest.raises(Unlearnt) as caught:
        of_envelope(message, publishers.unverified)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_signed_message_is_its_certificates(pki: Pki) -> None:
    assert of_envelope(signed(pki), publishers.unverified) == Publisher(CN, Proof.SIGNED)


def test_an_unsigned_message_is_its_topics_application() -> None:
    assert of_envelope(envelope(), publishers.unverified) == Publisher("bodhi", Proof.TOPIC)


def test_without_an_application_it_is_its_usernames() -> None:
    message = parse(translation.frames({"topic": "short.topic", "msg": {}, "username": "pingou"}))
    assert of_envelope(message, publishers.unverified) == Publisher("pingou", Proof.USERNAME)


def test_what_names_nobody_is_nobodys() -> None:
    for more in ({}, {"username": 7}, {"username": ""}, {"username": "amqp-bridge"}):
        message = parse(translation.frames({"topic": "short.topic", "msg": {}, **more}))
        assert "no publisher" in unlearnt(message)


def test_a_bridges_signature_is_not_the_applications(pki: Pki) -> None:
    carried = signed(pki, username="amqp-bridge")
    assert of_envelope(carried, publishers.unverified) == Publisher("bodhi", Proof.TOPIC)


def test_an_archives_null_is_no_certificate() -> None:
    message = envelope(certificate=None, signature=None)
    assert of_envelope(message, publishers.unverified).proof is Proof.TOPIC


@pytest.mark.parametrize(
    "certificate", ["AAAA", "no base64!", 7, {}, "x" * 40_000], ids=["bytes", "text", "int", "dict", "long"]
)
def test_a_certificate_that_cannot_be_read_is_said(certificate: object) -> None:
    said = unlearnt(envelope(certificate=certificate, signature="AAAA"))
    assert said.startswith("a certificate that cannot be read")


def test_a_certificate_has_one_name() -> None:
    assert "several names" in unlearnt(named("a", "b"))
    assert "several names" in unlearnt(named())


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[31m", "\u202eevil", "\x00"])
def test_an_odd_name_is_no_user(name: str) -> None:
    assert "nothing can be called" in unlearnt(named(name))


def test_quotes_and_blanks_are_odd_and_still_a_name() -> None:
    assert of_envelope(named('a "b" \\ [c]'), publishers.unverified).name == 'a "b" \\ [c]'


def test_signatures_are_checked_as_they_were_when_the_message_was_sent(pki: Pki, tmp_path: Path) -> None:
    ca = tmp_path / "ca.crt"
    ca.write_bytes(authority("Test CA", begins=datetime.now(UTC) - 30 * DAY).pem)
    signer = publishers.verified([ca])
    assert of_envelope(signed(pki), signer) == Publisher(CN, Proof.VERIFIED)
    then = int((datetime.now(UTC) - 3 * DAY).timestamp())
    assert of_envelope(signed(pki, "expired", timestamp=then), signer).proof is Proof.VERIFIED
    for message in (signed(pki, "expired"), signed(pki, "stranger"), named(CN)):
        with pytest.raises(Unlearnt, match="signature that is not good"):
            of_envelope(message, signer)
    assert of_envelope(envelope(), signer).proof is Proof.TOPIC


def test_a_file_that_is_no_ca_is_said(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("hello")
    with pytest.raises(ToolsError, match=r"ca\.crt"):
        publishers.verified([tmp_path / "ca.crt"])


def test_the_service_is_what_certnames_says_or_what_is_before_the_host() -> None:
    known = publishers.services({"release-monitoring.app01": "release-monitoring-app01.example", "x.y": "z"})
    assert known == {"release-monitoring-app01.example": "release-monitoring"}
    assert publishers.service_of("release-monitoring-app01.example", known) == "release-monitoring"
    assert publishers.service_of("bodhi-bodhi-backend01.example", known) == "bodhi"
    assert publishers.service_of("plain.example", known) == "plain.example"
    assert publishers.service_of("-odd.example", known) == "-odd.example"
    assert publishers.service_of("release-monitoring", known) == "release-monitoring"
    assert list(publishers.prefixes("a-b-c.example-x.org")) == ["a-b-c.example", "a-b", "a"]
    assert list(publishers.prefixes("a-b")) == []


def test_a_value_that_python_cannot_hold_is_said() -> None:
    fields = {"topic": json.dumps(TOPIC).encode(), "msg": b"{}", "username": b"1" * 5000}
    assert "something that cannot be decoded" in unlearnt(Envelope(TOPIC, fields))
