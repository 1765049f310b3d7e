# SPDX-License-Identifier: MIT
"""This project and fedmsg 1.1.7 sign alike, byte for byte, and agree about what is validly signed."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedmsg_migration_tools.exceptions import Unbridgeable
from fedmsg_migration_tools.fedmsg import envelope as envelopes
from fedmsg_migration_tools.fedmsg.policy import Policy
from fedmsg_migration_tools.fedmsg.signing import Signer, Validator
from tests import pki
from tests.interop.bridging import Lines, numbered, real_messages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]

POLICY = {"org.example.mine": ["app-valid.example.org"], "org.example.theirs": ["another.example.org"]}
TEXT = st.text(st.characters(), max_size=10)
LEAVES = st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats() | TEXT
BODIES = st.dictionaries(TEXT, LEAVES | st.lists(LEAVES, max_size=3), max_size=4)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> pki.Pki:
    return pki.Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def signer(keys: pki.Pki) -> Signer:
    return Signer.load(keys.folder / "valid.crt", keys.folder / "valid.key")


@pytest.fixture(scope="module")
def fedmsg_signs(keys: pki.Pki, fedmsg_python: Path) -> Iterator[Lines]:
    config = {"ssldir": str(keys.folder), "certname": "valid"}
    with Lines(fedmsg_python, keys.folder, "sign", config) as lines:
        yield lines


@pytest.fixture(scope="module", params=[False, True], ids=["", "nitpicky"])
def judges(
    keys: pki.Pki, fedmsg_python: Path, request: pytest.FixtureRequest
) -> Iterator[tuple[Callable[[dict[str, Any]], bool], Lines]]:
    """Ours and fedmsg's."""
    validator = Validator([keys.ca_file], keys.crl_file, Policy(POLICY, request.param))

    def ours(envelope: dict[str, Any]) -> bool:
        frames = (str(envelope.get("topic", "none")).encode(), json.dumps(envelope).encode())
        try:
            return bool(validator.check(envelopes.parse(frames)))
        except Unbridgeable:
            return False

    config = {
        "ca_cert_location": str(keys.ca_file),
        "crl_location": str(keys.crl_file),
        "routing_policy": POLICY,
        "routing_nitpicky": request.param,
    }
    with Lines(fedmsg_python, keys.folder, "validate", config) as theirs:
        yield ours, theirs


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(body=BODIES, headers=st.none() | st.dictionaries(TEXT, LEAVES, max_size=3))
def test_both_sign_alike(signer: Signer, fedmsg_signs: Lines, body: Any, headers: Any) -> None:
    unsigned = {**numbered([0])[0], "msg": body, **({} if headers is None else {"headers": headers})}
    ours, theirs = signer.sign(dict(unsigned)), fedmsg_signs.ask(unsigned)
    assert json.dumps(ours, sort_keys=True) == json.dumps(theirs, sort_keys=True)


def variants(signed: Callable[[dict[str, Any]], dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Envelopes, each with its name: signed, changed on the way, broken."""
    (plain,) = numbered([1])
    good = signed(dict(plain))
    yield "plain", plain
    yield "good", good
    for topic in (*POLICY, "org.example.unlisted"):
        yield f"topic {topic}", signed({**plain, "topic": topic})
    for key in good:
        yield f"without {key}", {name: value for name, value in good.items() if name != key}
        yield f"another {key}", {**good, key: "another"}
        yield f"null {key}", {**good, key: None}
    yield "topic changed", {**good, "topic": "org.example.mine"}
    yield "one more key", {**good, "more": 1}
    yield "no final newline", {**good, "signature": good["signature"].strip()}
    yield (
        "no newlines",
        {key: value.replace("\n", "") if key == "signature" else value for key, value in good.items()},
    )
    yield "blanks in base64", {**good, "signature": " ".join(good["signature"])}
    yield "half a signature", {**good, "signature": good["signature"][:40]}
    yield "certificate twice", {**good, "certificate": _twice(good["certificate"])}
    yield "gpg", {**good, "crypto": "gpg"}
    yield "from the archive", {**good, "source_name": "datanommer", "source_version": "0.6"}
    archived = {
        **good,
        "source_name": "datanommer",
        "source_version": "0.6",
        "timestamp": float(good["timestamp"]),
    }
    yield "from the archive, float", archived
    yield "from the archive, headers", {**archived, "headers": {}}
    yield "from the archive, null headers", {**archived, "headers": None}
    yield "from the archive, some headers", {**archived, "headers": {"a": 1}}
    yield "half from the archive", {**good, "source_name": "datanommer"}
    yield "float, not from the archive", {**good, "timestamp": float(good["timestamp"])}
    yield "headers signed", signed({**plain, "headers": {"a": 1}})
    yield "empty headers signed", signed({**plain, "headers": {}})
    yield "float signed", signed({**plain, "timestamp": 1532000000.25})
    yield "odd", signed({**plain, "msg": {"nan": float("nan"), "ß": "\ud83d", "n": 10**30}})
    yield "source name signed", signed({**plain, "source_name": "mine"})


def _twice(text: str) -> str:
    return base64.encodebytes(2 * base64.b64decode(text)).decode()


def test_both_agree_about_what_is_valid(
    signer: Signer, judges: tuple[Callable[[dict[str, Any]], bool], Lines]
) -> None:
    ours, theirs = judges
    verdicts = {name: (ours(dict(one)), theirs.ask(one)) for name, one in variants(signer.sign)}
    differ = {name: verdict for name, verdict in verdicts.items() if verdict[0] != verdict[1]}
    assert differ == {}
    assert {verdict[0] for verdict in verdicts.values()} == {True, False}


@pytest.mark.parametrize("kind", ["valid", "revoked", "expired", "future", "stranger"])
def test_both_agree_about_every_kind_of_signer(
    keys: pki.Pki, judges: tuple[Callable[[dict[str, Any]], bool], Lines], kind: str
) -> None:
    ours, theirs = judges
    one = keys.signers[kind]
    signed = Signer(one.pem, one.key_pem).sign({**numbered([1])[0], "topic": "org.example.mine"})
    assert ours(dict(signed)) is theirs.ask(signed) is (kind == "valid")


def test_both_agree_about_the_real_messages(
    signer: Signer, judges: tuple[Callable[[dict[str, Any]], bool], Lines]
) -> None:
    ours, theirs = judges
    for one in real_messages():
        archive: dict[str, Any] = {key: one[key] for key in ("source_name", "source_version") if key in one}
        signed = signer.sign({key: value for key, value in one.items() if key not in {"crypto", *archive}})
        for envelope in (one, signed, {**signed, **archive}):
            assert ours(dict(envelope)) is theirs.ask(envelope)
