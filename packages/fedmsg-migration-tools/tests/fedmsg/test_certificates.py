# SPDX-License-Identifier: MIT
"""CA certificates, CRLs and chains: what is believed, what is refused, and what the operator is told."""

from __future__ import annotations

import base64
import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from fedmsg_migration_tools.exceptions import Reason, ToolsError, Unbridgeable
from fedmsg_migration_tools.fedmsg.certificates import Leaf, Trust, shown
from tests.pki import DAY, Authority, Credentials, authority, usage

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime.now(UTC)
ROOT = authority("Root")
MIDDLE = ROOT.intermediate("Middle")
SIGNER = "app-host.example.org"
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")


def trust(*cas: Credentials, crl: bytes | None = None) -> Trust:
    bundle = b"".join(ca.pem for ca in cas)
    return Trust([("ca.crt", bundle)], [] if crl is None else [("crl.pem", crl)], NOW.timestamp())


def text(credentials: Credentials) -> str:
    return base64.encodebytes(credentials.pem).decode()


def refusal(trusted: Trust, certificate: str | bytes) -> Unbridgeable:
    with pytest.raises(Unbridgeable) as caught:
        trusted.leaf(certificate)
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_signer_of_the_ca() -> None:
    leaf = trust(ROOT).leaf(text(ROOT.issue(SIGNER)))
    assert leaf.name == SIGNER
    assert leaf.begins <= NOW.timestamp() <= leaf.ends
    assert leaf.expired(NOW.timestamp()) is None


def test_another_ca_of_the_same_name_is_another_ca() -> None:
    found = refusal(trust(ROOT), text(authority("Root", key="other").issue(SIGNER)))
    assert found.reason is Reason.CERTIFICATE
    assert "issued by Root" in found.detail


@pytest.mark.parametrize(
    "cas", [(ROOT, authority("Z")), (authority("Z"), ROOT), (ROOT, authority("Root", key="2"))]
)
def test_several_cas_in_one_bundle(cas: tuple[Authority, ...]) -> None:
    for ca in cas:
        assert trust(*cas).leaf(text(ca.issue(SIGNER))).name == SIGNER


def test_an_intermediate_needs_its_root_and_the_root_the_intermediate() -> None:
    signer = text(MIDDLE.issue(SIGNER))
    assert trust(MIDDLE, ROOT).leaf(signer).name == SIGNER
    assert refusal(trust(ROOT), signer).reason is Reason.CERTIFICATE
    assert refusal(trust(authority("Z"), MIDDLE), signer).reason is Reason.CERTIFICATE
    with pytest.raises(ToolsError, match="No self-signed CA"):
        trust(MIDDLE)


def test_a_path_that_is_longer_than_its_ca_allows() -> None:
    short = authority("Root", extensions=[(x509.BasicConstraints(ca=True, path_length=0), True)])
    assert trust(short).leaf(text(short.issue(SIGNER)))
    middle = short.intermediate("Middle")
    assert refusal(trust(short, middle), text(middle.issue(SIGNER))).reason is Reason.CERTIFICATE


def test_a_signer_is_no_ca() -> None:
    signer = ROOT.issue(SIGNER)
    forged = Authority(signer.certificate, signer.key).issue("admin.example.org")
    assert refusal(trust(ROOT), text(forged)).reason is Reason.CERTIFICATE


def test_the_one_that_is_revoked_and_no_other() -> None:
    bad, good = ROOT.issue(SIGNER), ROOT.issue(SIGNER)
    trusted = trust(ROOT, crl=ROOT.crl([bad]))
    assert refusal(trusted, text(bad)).reason is Reason.REVOKED
    assert trusted.leaf(text(good)).name == SIGNER


def test_signers_of_a_revoked_intermediate() -> None:
    trusted = trust(ROOT, MIDDLE, crl=ROOT.crl([MIDDLE]) + MIDDLE.crl())
    assert refusal(trusted, text(MIDDLE.issue(SIGNER))).reason is Reason.REVOKED


@pytest.mark.parametrize("crl", [authority("Z").crl(), authority("Root", key="other").crl()])
def test_each_ca_needs_a_crl_that_it_signed(crl: bytes) -> None:
    with pytest.raises(ToolsError, match=r"No CRL signed by the CA Root in crl\.pem"):
        trust(ROOT, crl=crl)
    with pytest.raises(ToolsError, match="No CRL signed by the CA Middle"):
        trust(ROOT, MIDDLE, crl=ROOT.crl())


def test_a_ca_that_has_expired_needs_no_crl_any_more() -> None:
    old = authority("Old", ends=NOW - DAY)
    leaf = trust(ROOT, old, crl=ROOT.crl()).leaf(text(old.issue(SIGNER)))
    assert "The CA certificate Old in ca.crt expired" in str(leaf.expired(NOW.timestamp()))


def test_a_ca_that_may_sign_no_crls() -> None:
    extensions = [
        (x509.BasicConstraints(ca=True, path_length=None), True),
        (usage(certificates=True, crls=False), True),
    ]
    ca = authority("Root", extensions=extensions)
    assert trust(ca).leaf(text(ca.issue(SIGNER)))
    with pytest.raises(ToolsError, match="No CRL signed by the CA Root"):
        trust(ca, crl=ca.crl())


def test_the_newest_crl_of_a_ca_counts() -> None:
    signer = ROOT.issue(SIGNER)
    old, new = ROOT.crl(begins=NOW - 3 * DAY), ROOT.crl([signer])
    for crls in (old + new, new + old):
        assert refusal(trust(ROOT, crl=crls), text(signer)).reason is Reason.REVOKED


@pytest.mark.parametrize(
    ("trusted", "said"),
    [
        (lambda: trust(authority("Root", ends=NOW - DAY)), "The CA certificate Root in ca.crt expired at"),
        (
            lambda: trust(authority("Root", begins=NOW + DAY)),
            "The CA certificate Root in ca.crt is valid only from",
        ),
        (lambda: trust(ROOT, crl=ROOT.crl(ends=NOW - DAY)), "The CRL of Root in crl.pem expired at"),
        (
            lambda: trust(ROOT, crl=ROOT.crl(begins=NOW + DAY)),
            "The CRL of Root in crl.pem is valid only from",
        ),
    ],
)
def test_a_ca_or_crl_that_does_not_hold_now(trusted: type[Trust], said: str) -> None:
    leaf: Leaf = trusted().leaf(text(ROOT.issue(SIGNER)))  # type: ignore[call-arg]  # a lambda
    assert said in str(leaf.expired(NOW.timestamp()))
    assert not leaf.begins <= NOW.timestamp() <= leaf.ends


def test_a_ca_that_was_renewed_with_its_key_takes_over() -> None:
    old, new = authority("Root", ends=NOW + DAY), authority("Root", begins=NOW + DAY / 2)
    leaf = trust(old, new).leaf(text(old.issue(SIGNER)))
    assert (NOW + 2 * DAY).timestamp() < leaf.ends  # the longer of the two is what is looked at first
    for days in (0, 0.7, 2):
        assert leaf.expired((NOW + days * DAY).timestamp()) is None


@pytest.mark.parametrize(
    ("extensions", "said"),
    [
        (
            [(x509.BasicConstraints(ca=False, path_length=None), True)],
            "basic constraints say that it is none",
        ),
        ([], "no basic constraints"),
        (
            [
                (x509.BasicConstraints(ca=True, path_length=None), True),
                (x509.NameConstraints([x509.DNSName("example.org")], None), False),
            ],
            "name constraints",
        ),
        ([(x509.BasicConstraints(ca=True, path_length=None), True), (UNKNOWN, True)], "1.2.3.4"),
        (
            [
                (x509.BasicConstraints(ca=True, path_length=None), True),
                (usage(certificates=False, crls=True), True),
            ],
            "key usage",
        ),
    ],
)
def test_what_cannot_be_a_ca(extensions: list[tuple[x509.ExtensionType, bool]], said: str) -> None:
    with pytest.raises(ToolsError, match=said):
        trust(authority("Root", extensions=extensions))


@pytest.mark.parametrize(
    ("bundle", "said"),
    [
        (b"", "holds no CERTIFICATE"),
        (b"nothing", "holds no CERTIFICATE"),
        (ROOT.pem[:300], "cut off"),
        (ROOT.pem + MIDDLE.pem[:-30], "cut off"),
        (ROOT.pem.replace(b"M", b"!"), "no CA certificates in PEM that can be read"),
        (ROOT.crl(), "holds no CERTIFICATE"),
    ],
)
def test_a_ca_file_that_is_none(bundle: bytes, said: str) -> None:
    with pytest.raises(ToolsError, match=said) as caught:
        Trust([("/etc/ca.crt", bundle)], [], NOW.timestamp())
    assert "/etc/ca.crt" in str(caught.value)


@pytest.mark.parametrize("crl", [b"", ROOT.crl()[:200], ROOT.crl().replace(b"M", b"!"), ROOT.pem])
def test_a_crl_file_that_is_none(crl: bytes) -> None:
    with pytest.raises(ToolsError, match=r"crl\.pem"):
        trust(ROOT, crl=crl)


@pytest.mark.parametrize(
    ("names", "said"), [([], "0 names"), (["a", "b"], "2 names"), ([SIGNER, SIGNER], "2 names")]
)
def test_a_signer_has_one_name(names: list[str], said: str) -> None:
    found = refusal(trust(ROOT), text(ROOT.issue(names)))
    assert found.reason is Reason.CERTIFICATE
    assert said in found.detail


def test_a_signer_whose_key_is_not_rsa() -> None:
    found = refusal(trust(ROOT), text(ROOT.issue(SIGNER, key=ec.generate_private_key(ec.SECP256R1()))))
    assert (found.reason, found.detail) == (Reason.CERTIFICATE, "the certificate's key is not RSA")


def test_extensions_of_a_signer() -> None:
    assert trust(ROOT).leaf(text(ROOT.issue(SIGNER, extensions=[(UNKNOWN, False)]))).name == SIGNER
    found = refusal(trust(ROOT), text(ROOT.issue(SIGNER, extensions=[(UNKNOWN, True)])))
    assert "1.2.3.4" in found.detail


def test_a_small_key_as_old_signers_have() -> None:
    assert (
        trust(ROOT).leaf(text(ROOT.issue(SIGNER, key=rsa.generate_private_key(65537, 1024)))).name == SIGNER
    )


@pytest.mark.parametrize(("digest", "believed"), [("sha1", True), ("md5", False)])
def test_a_chain_signed_as_long_ago(tmp_path: Path, digest: str, believed: bool) -> None:
    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments, f"-{digest}"], cwd=tmp_path, check=True, capture_output=True)

    new = "-newkey", "rsa:2048", "-nodes"
    openssl("req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=Old", "-days", "9")
    openssl("req", *new, "-keyout", "a.key", "-out", "a.csr", "-subj", f"/CN={SIGNER}")
    issue = (
        "x509",
        "-req",
        "-in",
        "a.csr",
        "-CA",
        "ca.crt",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-days",
        "9",
    )
    openssl(*issue, "-out", "a.crt")
    if not believed:
        with pytest.raises((ToolsError, Unbridgeable)):
            signer_of(tmp_path)
        return
    assert signer_of(tmp_path).name == SIGNER
    (tmp_path / "index.txt").touch()
    (tmp_path / "ca.cnf").write_text("[ca]\ndefault_ca = old\n[old]\ndatabase = index.txt\n")
    crl = [
        "openssl",
        "ca",
        "-config",
        "ca.cnf",
        "-gencrl",
        "-keyfile",
        "ca.key",
        "-cert",
        "ca.crt",
        "-md",
        digest,
    ]
    subprocess.run([*crl, "-crldays", "9", "-out", "crl.pem"], cwd=tmp_path, check=True, capture_output=True)
    assert signer_of(tmp_path, "crl.pem").name == SIGNER
    pem = (tmp_path / "a.crt").read_text()
    body = base64.b64decode("".join(pem.splitlines()[1:-1]))
    changed = base64.encodebytes(body.replace(b"app-host", b"app-hosT")).decode()
    (tmp_path / "a.crt").write_text(f"{pem.splitlines()[0]}\n{changed}{pem.splitlines()[-1]}\n")
    with pytest.raises(Unbridgeable, match="no chain leads"):
        signer_of(tmp_path)


def signer_of(folder: Path, *crls: str) -> Leaf:
    read = [(name, (folder / name).read_bytes()) for name in ("ca.crt", *crls)]
    trusted = Trust(read[:1], read[1:], NOW.timestamp() + 60)
    return trusted.leaf(base64.b64encode((folder / "a.crt").read_bytes()).decode())


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200)))
def test_what_is_no_certificate(junk: bytes | str) -> None:
    assert refusal(TRUST, junk).reason is Reason.CERTIFICATE


@given(st.data())
def test_a_damaged_certificate_is_refused_as_such(data: st.DataObject) -> None:
    der = bytearray(GOOD.certificate.public_bytes(serialization.Encoding.DER))
    for at in data.draw(st.lists(st.integers(0, len(der) - 1), min_size=1, max_size=4, unique=True)):
        der[at] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.integers(1, len(der)))
    pem = b"-----BEGIN CERTIFICATE-----\n%b-----END CERTIFICATE-----\n" % base64.encodebytes(bytes(der[:cut]))
    assert refusal(TRUST, base64.b64encode(pem)).reason is Reason.CERTIFICATE


def test_names_of_others_do_not_break_the_log() -> None:
    assert shown("plain.example.org") == "plain.example.org"
    assert shown("two\nlines\x1b[31m") == r"'two\nlines\x1b[31m'"
    assert len(shown("x" * 5000)) == 200


TRUST = trust(ROOT)
GOOD = ROOT.issue(SIGNER)
