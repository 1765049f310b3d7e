# SPDX-License-Identifier: MIT
"""Signatures of fedmsg's messages: made and checked as fedmsg does, with files that change while messages flow."""

from __future__ import annotations

import base64
import json
import logging
import os
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from hypothesis import given
from hypothesis import strategies as st

from fedmsg_migration_tools.exceptions import Expired, Reason, ToolsError, Unbridgeable
from fedmsg_migration_tools.fedmsg import canonical, envelope
from fedmsg_migration_tools.fedmsg.policy import Policy
from fedmsg_migration_tools.fedmsg.signing import MAX_CERTIFICATE, Signer, Validator, _as_sent
from tests.pki import DAY, Pki, authority, rsa_key

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = datetime.now(UTC)
TOPIC = "org.example.prod.app.event"
MESSAGE: dict[str, Any] = {
    "topic": TOPIC,
    "msg": {
        "name": "ünïcode \ud800 \u2028",
        "float": 0.1,
        "nan": float("inf"),
        "nested": [{"b": 1, "a": None}],
    },
    "i": 1,
    "timestamp": 1532000000,
    "msg_id": "2018-1fe3e85a-7d0c-4b1c-8d3e-7ccf3c6d3b1d",
    "username": "app",
}
NAME = "app-valid.example.org"
DATA = Path(__file__).parents[4] / "tests" / "data" / "real-fedmsg-messages.jsonl"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """For tests that change no file."""
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path)


def signer(pki: Pki, kind: str = "valid") -> Signer:
    return loaded(pki.folder / f"{kind}.crt")


@cache
def loaded(certificate: Path) -> Signer:
    """OpenSSL examines a key when it is read, which takes longer than most of these tests."""
    return Signer.load(certificate, certificate.with_suffix(".key"))


def validator(pki: Pki, policy: Policy | None = None, **options: Any) -> Validator:
    return Validator(pki.ca_file, pki.crl_file, policy or Policy(), **options)


def parsed(message: dict[str, Any], topic: str | None = None) -> envelope.Envelope:
    return envelope.parse([(topic or message["topic"]).encode(), canonical.dumps(message)])


def refusal(checking: Validator, message: envelope.Envelope) -> Unbridgeable:
    with pytest.raises(Unbridgeable) as caught:
        checking.check(message)
    assert "\n" not in str(caught.value)
    return caught.value


def replace(path: Path, content: bytes) -> None:
    """As an operator should: a new file takes the old one's place at once."""
    new = path.with_suffix(".new")
    new.write_bytes(content)
    new.replace(path)


# The signature


def test_the_form_of_a_signature(shared: Pki) -> None:
    signed = signer(shared).sign(MESSAGE)
    assert {key: signed[key] for key in MESSAGE} == MESSAGE
    assert signed["crypto"] == "x509"
    text = json.dumps({**MESSAGE, "crypto": "x509"}, sort_keys=True, separators=(",", ":")).encode()
    expected = rsa_key(0).sign(text, padding.PKCS1v15(), hashes.SHA1())
    assert base64.b64decode(signed["signature"]) == expected
    assert base64.b64decode(signed["certificate"]) == shared.signers["valid"].pem
    for key in ("signature", "certificate"):
        *lines, last, end = signed[key].split("\n")
        assert {len(line) for line in lines} == {76}
        assert 0 < len(last) <= 76
        assert end == ""


def test_signing_leaves_the_message_alone_and_replaces_an_old_signature(shared: Pki) -> None:
    signing = signer(shared)
    before = dict(MESSAGE)
    signed = signing.sign(MESSAGE)
    assert before == MESSAGE
    assert signing.sign(signed) == signed
    assert signing.name == NAME
    assert signing.expires == shared.signers["valid"].certificate.not_valid_after_utc.timestamp()


@pytest.mark.parametrize("line", DATA.read_text().splitlines()[::7])
def test_real_messages_signed_and_checked(shared: Pki, line: str) -> None:
    signed = signer(shared).sign(json.loads(line))
    assert validator(shared).check(parsed(signed)) == NAME


@pytest.mark.parametrize("seed", range(5))
def test_the_order_and_the_spelling_on_the_wire_do_not_matter(shared: Pki, seed: int) -> None:
    items = list(signer(shared).sign(MESSAGE).items())
    random.Random(seed).shuffle(items)
    wire = json.dumps(dict(items), indent=seed)
    assert validator(shared).check(envelope.parse([TOPIC.encode(), wire.encode()])) == NAME


def test_what_is_tried_first_is_the_canonical_form(shared: Pki) -> None:
    signed = signer(shared).sign(MESSAGE)
    items = list({**signed, "ünï": 1, "Z": 2, "\ud800": 3}.items())
    random.Random(1).shuffle(items)
    fields = {key: canonical.dumps(value) for key, value in items}
    expected = {key: value for key, value in items if key not in {"signature", "certificate"}}
    assert _as_sent(fields) == canonical.dumps(expected)


def test_a_message_of_old_fedmsg_that_names_no_crypto(shared: Pki) -> None:
    signed = signer(shared).sign(MESSAGE)
    signature = rsa_key(0).sign(canonical.dumps(MESSAGE), padding.PKCS1v15(), hashes.SHA1())
    old = {**MESSAGE, "certificate": signed["certificate"], "signature": base64.b64encode(signature).decode()}
    assert validator(shared).check(parsed(old)) == NAME


@pytest.mark.parametrize("headers", [{}, None, "absent"])
@pytest.mark.parametrize("timestamp", [1532000000.0, 1532000000])
def test_what_the_archive_added_is_taken_off(shared: Pki, headers: Any, timestamp: float) -> None:
    archived = signer(shared).sign(MESSAGE)
    archived |= {"source_name": "datanommer", "source_version": "0.9.1", "timestamp": timestamp}
    if headers != "absent":
        archived["headers"] = headers
    assert validator(shared).check(parsed(archived)) == NAME


def test_headers_that_were_signed_are_not_taken_off(shared: Pki) -> None:
    archived = signer(shared).sign({**MESSAGE, "headers": {"a": 1}})
    archived |= {"source_name": "datanommer", "source_version": "0.9.1"}
    assert validator(shared).check(parsed(archived)) == NAME
    del archived["headers"]
    assert refusal(validator(shared), parsed(archived)).reason is Reason.SIGNATURE


@pytest.mark.parametrize("timestamp", [float("nan"), float("inf"), "soon", [], None, "9" * 5000])
def test_a_timestamp_of_the_archive_that_is_no_number(shared: Pki, timestamp: Any) -> None:
    archived = signer(shared).sign(MESSAGE)
    archived |= {"source_name": "datanommer", "source_version": "0.9.1", "timestamp": timestamp}
    assert refusal(validator(shared), parsed(archived)).reason is Reason.SIGNATURE


CHANGES: list[tuple[Callable[[dict[str, Any]], Any], Reason]] = [
    (lambda m: m.pop("signature"), Reason.UNSIGNED),
    (lambda m: m.pop("certificate"), Reason.UNSIGNED),
    (lambda m: m.update(signature=None, certificate=None), Reason.UNSIGNED),
    (lambda m: m.update(signature=""), Reason.UNSIGNED),
    (lambda m: m.update(msg={}), Reason.SIGNATURE),
    (lambda m: m.update(extra=1), Reason.SIGNATURE),
    (lambda m: m.update(source_name="x"), Reason.SIGNATURE),
    (lambda m: m.pop("i"), Reason.SIGNATURE),
    (lambda m: m.pop("crypto"), Reason.SIGNATURE),
    (lambda m: m.update(crypto="gpg"), Reason.SIGNATURE),
    (lambda m: m.update(crypto=None), Reason.SIGNATURE),
    (lambda m: m.pop("topic"), Reason.SIGNATURE),
    (lambda m: m.update(topic="another"), Reason.SIGNATURE),
    (lambda m: m.update(signature=7), Reason.SIGNATURE),
    (lambda m: m.update(signature="ünïcode"), Reason.SIGNATURE),
    (lambda m: m.update(signature="AAA"), Reason.SIGNATURE),
    (lambda m: m.update(signature=m["signature"][:80]), Reason.SIGNATURE),
    (
        lambda m: m.update(signature=base64.b64encode(base64.b64decode(m["signature"]) * 2).decode()),
        Reason.SIGNATURE,
    ),
    (lambda m: m.update(signature="A" * 1_000_000), Reason.SIGNATURE),
    (lambda m: m.update(certificate={}), Reason.CERTIFICATE),
    (lambda m: m.update(certificate="%%%"), Reason.CERTIFICATE),
    (lambda m: m.update(certificate="\ud800"), Reason.CERTIFICATE),
    (lambda m: m.update(certificate="AAAA"), Reason.CERTIFICATE),
    (lambda m: m.update(certificate=m["certificate"][:400]), Reason.CERTIFICATE),
    (lambda m: m.update(certificate="A" * 1_000_000), Reason.CERTIFICATE),
]


@pytest.mark.parametrize(("change", "reason"), CHANGES)
def test_a_message_changed_after_it_was_signed(
    shared: Pki, change: Callable[[dict[str, Any]], Any], reason: Reason
) -> None:
    message = signer(shared).sign(MESSAGE)
    change(message)
    assert refusal(validator(shared), parsed(message, TOPIC)).reason is reason


def test_a_certificate_that_is_too_long_is_not_read(shared: Pki) -> None:
    message = signer(shared).sign(MESSAGE)
    for blanks, good in ((MAX_CERTIFICATE // 2, True), (MAX_CERTIFICATE, False)):
        padded = parsed({**message, "certificate": message["certificate"] + " " * blanks})
        if good:
            assert validator(shared).check(padded) == NAME
        else:
            assert "at most 32768 are read" in refusal(validator(shared), padded).detail


def test_a_signed_message_sent_under_another_topic_is_refused(shared: Pki) -> None:
    message = parsed(signer(shared).sign(MESSAGE), "org.example.prod.other")
    assert refusal(validator(shared), message).reason is Reason.SIGNATURE


@given(st.data())
def test_whatever_comes_is_refused_with_a_reason(data: st.DataObject) -> None:
    text = st.text(max_size=40) | st.binary(max_size=300).map(lambda b: base64.b64encode(b).decode())
    value = st.none() | st.integers() | st.floats() | text | st.lists(text, max_size=2)
    key = st.sampled_from(
        ["signature", "certificate", "crypto", "topic", "source_name", "source_version", "timestamp"]
    )
    checking, signed = FUZZED[0]
    changes = data.draw(st.dictionaries(key, value, min_size=1))
    message = parsed({**signed, **changes}, TOPIC)
    changed = {key for key in changes if key not in signed or message.value(key) != signed[key]}
    if changed <= {"source_name", "source_version"} and len(changed) != 1:
        assert checking.check(message) == NAME
    else:
        assert refusal(checking, message).reason in {Reason.UNSIGNED, Reason.SIGNATURE, Reason.CERTIFICATE}


FUZZED: list[tuple[Validator, dict[str, Any]]] = []


@pytest.fixture(scope="module", autouse=True)
def _fuzzed(shared: Pki) -> None:
    FUZZED.append((validator(shared), signer(shared).sign(MESSAGE)))


# Whose signature


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("revoked", Reason.REVOKED),
        ("expired", Reason.CERTIFICATE),
        ("future", Reason.CERTIFICATE),
        ("stranger", Reason.CERTIFICATE),
    ],
)
def test_signers_that_are_not_believed(shared: Pki, kind: str, reason: Reason) -> None:
    checking = validator(shared)
    message = parsed(signer(shared, kind).sign(MESSAGE))
    for _ in range(3):  # the verdict does not depend on what is cached
        assert refusal(checking, message).reason is reason
    assert checking.check(parsed(signer(shared).sign(MESSAGE))) == NAME


def test_without_a_crl_nobody_is_revoked(shared: Pki) -> None:
    checking = Validator([shared.ca_file], None, Policy())
    assert checking.check(parsed(signer(shared, "revoked").sign(MESSAGE))) == "app-revoked.example.org"


def test_the_routing_policy(shared: Pki) -> None:
    message = parsed(signer(shared).sign(MESSAGE))
    assert validator(shared, Policy({TOPIC: [NAME]}, nitpicky=True)).check(message) == NAME
    for policy in (Policy({TOPIC: ["other"]}), Policy({}, nitpicky=True)):
        assert refusal(validator(shared, policy), message).reason is Reason.SIGNER


def test_a_certificate_that_expires_while_it_is_cached(shared: Pki) -> None:
    clock = [NOW.timestamp()]
    checking = validator(shared, clock=lambda: clock[0])
    message = parsed(signer(shared).sign(MESSAGE))
    assert checking.check(message) == NAME
    clock[0] = shared.signers["valid"].certificate.not_valid_after_utc.timestamp() + 1
    assert refusal(checking, message).reason is Reason.CERTIFICATE


def test_a_small_cache_and_many_signers(shared: Pki) -> None:
    checking = validator(shared, cache=2)
    for number in [*range(6), 0]:
        one = shared.ca.issue(f"host{number}")
        assert checking.check(parsed(Signer(one.pem, one.key_pem).sign(MESSAGE))) == f"host{number}"


def test_threads_share_a_validator_while_its_files_change(pki: Pki) -> None:
    checking = validator(pki)
    messages = [parsed(signer(pki, kind).sign(MESSAGE)) for kind in ("valid", "revoked", "stranger")]
    done = threading.Event()

    def renew() -> None:
        while not done.wait(0.002):
            replace(pki.crl_file, pki.ca.crl([pki.signers["revoked"]]))
            checking.refresh()

    def check(number: int) -> str:
        try:
            return checking.check(messages[number % 3])
        except Unbridgeable as exc:
            return exc.reason

    renewing = threading.Thread(target=renew)
    renewing.start()
    try:
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(check, range(600))) == [NAME, Reason.REVOKED, Reason.CERTIFICATE] * 200
    finally:
        done.set()
        renewing.join()


# Files that change


def test_a_renewed_crl_revokes_without_a_restart(pki: Pki) -> None:
    checking = validator(pki)
    message = parsed(signer(pki).sign(MESSAGE))
    assert checking.check(message) == NAME
    assert not checking.refresh()
    replace(pki.crl_file, pki.ca.crl([pki.signers["valid"]]))
    assert checking.refresh()
    assert refusal(checking, message).reason is Reason.REVOKED


def test_a_new_ca_counts_at_once(pki: Pki) -> None:
    checking = Validator(pki.ca_file, None, Policy())
    new = authority("New CA")
    one = new.issue(NAME)
    message = parsed(Signer(one.pem, one.key_pem).sign(MESSAGE))
    assert refusal(checking, message).reason is Reason.CERTIFICATE
    replace(pki.ca_file, pki.ca.pem + new.pem)
    assert checking.check(message) == NAME


def test_changes_are_seen_by_the_checks_themselves(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    checking = validator(pki)
    message = parsed(signer(pki).sign(MESSAGE))
    replace(pki.crl_file, pki.ca.crl([pki.signers["valid"]]))
    assert checking.check(message) == NAME  # a second has not passed
    monkeypatch.setattr("fedmsg_migration_tools.fedmsg.signing.LOOK", 0.0)
    assert refusal(checking, message).reason is Reason.REVOKED


@pytest.mark.parametrize(
    "damage", [lambda data: data[: len(data) // 2], lambda _: b"", lambda _: b"404 not found"]
)
def test_a_half_written_file_changes_nothing_and_is_told_once(
    pki: Pki, damage: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    checking = validator(pki)
    message = parsed(signer(pki).sign(MESSAGE))
    whole = pki.crl_file.read_bytes()
    with caplog.at_level(logging.WARNING):
        pki.crl_file.write_bytes(damage(whole))
        for _ in range(3):
            assert not checking.refresh()
            assert checking.check(message) == NAME
    [record] = caplog.records
    assert str(pki.crl_file) in record.getMessage()
    assert refusal(checking, parsed(signer(pki, "revoked").sign(MESSAGE))).reason is Reason.REVOKED
    pki.crl_file.write_bytes(pki.ca.crl([pki.signers["valid"]]))
    assert checking.refresh()
    assert refusal(checking, message).reason is Reason.REVOKED


def test_a_file_that_is_gone_changes_nothing(pki: Pki, caplog: pytest.LogCaptureFixture) -> None:
    checking = validator(pki)
    pki.ca_file.unlink()
    with caplog.at_level(logging.WARNING):
        assert not checking.refresh()
        assert not checking.refresh()
    assert [str(pki.ca_file) in record.getMessage() for record in caplog.records] == [True]
    assert checking.check(parsed(signer(pki).sign(MESSAGE))) == NAME


def test_a_file_replaced_by_one_of_the_same_size_and_time(pki: Pki) -> None:
    checking = validator(pki)
    old = pki.crl_file.stat()
    new = pki.crl_file.with_suffix(".new")
    new.write_bytes(pki.ca.crl([pki.signers["valid"]]))
    os.utime(new, ns=(old.st_atime_ns, old.st_mtime_ns))
    new.replace(pki.crl_file)
    assert checking.refresh()


def test_an_expired_crl_gives_no_verdict_until_it_is_renewed(pki: Pki) -> None:
    replace(pki.crl_file, pki.ca.crl([pki.signers["revoked"]], ends=NOW - DAY))
    checking = validator(pki)
    message = parsed(signer(pki).sign(MESSAGE))
    with pytest.raises(
        Expired, match=r"The CRL of Test CA in .*crl\.pem expired at .*Z; put the renewed file in its place"
    ):
        checking.check(message)
    assert [period.problem(NOW.timestamp()) is None for period in checking.periods] == [True, False]
    # What is wrong whatever the CRL says does not wait for it.
    assert refusal(checking, parsed(signer(pki, "revoked").sign(MESSAGE))).reason is Reason.REVOKED
    assert refusal(checking, parsed({**signer(pki).sign(MESSAGE), "i": 2})).reason is Reason.SIGNATURE
    replace(pki.crl_file, pki.ca.crl())
    assert checking.check(message) == NAME


def test_an_expired_ca_gives_no_verdict_until_it_is_renewed(tmp_path: Path) -> None:
    pki = Pki(tmp_path, authority("Test CA", ends=NOW - DAY))
    checking = validator(pki)
    message = parsed(signer(pki).sign(MESSAGE))
    with pytest.raises(Expired, match=r"The CA certificate Test CA in .*ca\.crt expired at"):
        checking.check(message)
    replace(pki.ca_file, authority("Test CA").pem)
    assert checking.check(message) == NAME


def test_a_start_without_the_files_is_refused(pki: Pki) -> None:
    for ca, crl in ((pki.folder / "none", pki.crl_file), (pki.ca_file, pki.folder / "none")):
        with pytest.raises(ToolsError, match="none cannot be read: No such file"):
            Validator(ca, crl, Policy())


# What one signs with


def test_a_key_and_a_certificate_that_do_not_fit(shared: Pki) -> None:
    certificate, key = shared.signers["valid"].pem, shared.signers["valid"].key_pem
    strange = authority("Other").key_pem
    curve = shared.ca.issue("curve", key=ec.generate_private_key(ec.SECP256R1()))
    nameless = shared.ca.issue([])
    for bad, said in [
        ((certificate, strange), "not the key of the certificate"),
        ((certificate, b""), "cannot be read"),
        ((b"", key), "cannot be read"),
        ((curve.pem, curve.key_pem), "not RSA"),
        ((nameless.pem, nameless.key_pem), r"0 names \(CN\)"),
    ]:
        with pytest.raises(ToolsError, match=said):
            Signer(*bad)
    with pytest.raises(ToolsError, match="cannot be read: No such file"):
        Signer.load(shared.folder / "none", shared.folder / "none")


def test_the_largest_certificates_fit(shared: Pki) -> None:
    key = rsa.generate_private_key(65537, 4096)
    one = shared.ca.issue("large", key=key)
    signed = Signer(one.pem, one.key_pem).sign(MESSAGE)
    assert len(signed["certificate"]) < MAX_CERTIFICATE / 8
    assert validator(shared).check(parsed(signed)) == "large"
