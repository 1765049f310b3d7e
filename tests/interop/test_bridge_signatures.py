# SPDX-License-Identifier: MIT
"""Signed messages across the bridges: what fedmsg signs and validates, and what goes to quarantine and back."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from fedmsg_migration_tools.fedmsg.signing import Signer
from tests import pki
from tests.interop.bridging import depth, endpoint, eventually, numbered, probe, tap
from tests.interop.frames import Publisher
from tests.interop.sides import drain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.interop.bridging import Bus, Lines, Program
    from tests.interop.sides import Side

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]

PROBE = "org.example.probe"
FORBIDDEN = "org.example.forbidden"
BRIDGE = "bridge.example.org"


@pytest.fixture
def keys(tmp_path: Path) -> pki.Pki:
    """A CA, its CRL, and signers, in fedmsg's ``ssldir``; ``bridge`` is the bridge's."""
    folder = tmp_path / "pki"
    folder.mkdir()
    made = pki.Pki(folder)
    made.signers["bridge"] = made.ca.issue(BRIDGE)
    made.signers["bridge"].write(folder, "bridge")
    return made


def signatures(keys: pki.Pki, more: str = "") -> str:
    """The section of a bridge that validates; only ``someone-else`` may publish the forbidden topic."""
    return f"""
[zmq_to_amqp.signatures]
validate = true
ca = "{keys.ca_file}"
crl = "{keys.crl_file}"
bridge_signers = ["{BRIDGE}"]
{more}
[zmq_to_amqp.signatures.routing_policy]
"{FORBIDDEN}" = ["someone-else.example.org"]
"""


def validating(keys: pki.Pki, **more: Any) -> dict[str, Any]:
    """The configuration with which fedmsg validates."""
    return {
        "validate_signatures": True,
        "ca_cert_location": str(keys.ca_file),
        "crl_location": str(keys.crl_file),
        **more,
    }


def signed(keys: pki.Pki, kind: str, envelope: Mapping[str, Any]) -> dict[str, Any]:
    """The envelope, signed by the signer of this kind."""
    credentials = keys.signers[kind]
    return Signer(credentials.pem, credentials.key_pem).sign(dict(envelope))


def quarantined(bus: Bus) -> list[dict[str, Any]]:
    """What ``quarantine list --json`` says."""
    code, listed = bus.tool("quarantine", "list", "--json")
    assert code == 0, listed
    return [json.loads(line) for line in listed.splitlines()]


def test_what_fedmsg_signs_crosses_validated(
    bus: Bus, channel: Any, keys: pki.Pki, fedmsg: Callable[..., Lines], old: Side
) -> None:
    address = endpoint()
    channel.queue_declare("work", durable=True, arguments={"x-dead-letter-exchange": "dead"})
    channel.queue_bind("work", "zmq.topic", "org.example.dev.#")
    tap(channel, "probes", "zmq.topic", PROBE)
    signing = {"sign_messages": True, "ssldir": str(keys.folder), "certnames": {"publisher": "valid"}}
    with (
        fedmsg("publish", endpoints={"publisher": [address]}, **signing) as publisher,
        fedmsg("validate", **validating(keys)) as judge,
        bus.zmq_to_amqp(address, config=signatures(keys)),
    ):
        probe(
            lambda: publisher.ask({"topic": PROBE, "msg": {}}),
            lambda: depth(channel, "probes"),
            "a signed message of fedmsg in the queue",
        )
        bodies = [{"a": 1}, {"ß": "ж 😀 \ud83d"}, {"nan": float("nan"), "big": 10**40, "f": 0.1}]
        sent = [publisher.ask({"topic": "org.example.dev.test.one", "msg": body}) for body in bodies]
        eventually(lambda: depth(channel, "work") == len(bodies), "all in the queue")
        for envelope in sent:
            assert envelope["crypto"] == "x509"
            assert judge.ask(envelope) is True
    got = old.bus("consume", str(len(bodies)), "work")
    for envelope, message in zip(sent, got, strict=True):
        assert (message["topic"], message["id"]) == (envelope["topic"], envelope["msg_id"])
        assert message["body"] == json.loads(json.dumps(envelope["msg"]), parse_constant=str)
        assert message["severity"] == 20
        for name in ("crypto", "signature", "certificate"):
            assert message["headers"][f"fedmsg_{name}"] == envelope[name]
    assert quarantined(bus) == []


def test_what_a_bridge_signs_fedmsg_validates(
    bus: Bus, channel: Any, keys: pki.Pki, fedmsg: Callable[..., Lines], old: Side
) -> None:
    address = endpoint()
    signing = f"""
[amqp_to_zmq.signing]
sign_messages = true
ssldir = "{keys.folder}"
certname = "bridge"
"""
    policy = {"routing_nitpicky": True, "routing_policy": {"org.example.signed": [BRIDGE], PROBE: [BRIDGE]}}
    bodies = [
        {"a": [1, 2.5, None, True, {"b": {}}]},
        {"ß": "ж 😀 \u2028 \x00 \x7f"},
        {"nan": float("nan"), "inf": float("-inf"), "big": 10**40, "f": [1e300, 1e16, 1.0, -0.0, 5e-324]},
        {"lone": "\ud83d"},
    ]
    samples = [
        {"class": "base.message", "topic": "org.example.signed", "body": body, "severity": severity}
        for body in bodies
        for severity in (10, 40)
    ]
    with (
        bus.amqp_to_zmq(address, config=signing),
        fedmsg("tail", endpoints={"bridge": [address]}, **validating(keys, **policy)) as tail,
    ):
        probe(
            lambda: channel.basic_publish("amq.topic", PROBE, b"{}"),
            lambda: not tail.silent(0.1),
            "a message of AMQP at fedmsg, valid",
        )
        sent = old.bus("publish", given=[*samples, {**samples[0], "topic": "org.example.unlisted"}])
        got: list[dict[str, Any]] = []
        while len(got) < len(samples):
            _, topic, envelope = tail.next()
            if topic != PROBE:
                got.append(envelope)
        assert tail.silent()  # fedmsg itself has refused the topic that is not listed
    for message, envelope in zip(sent, got, strict=False):
        assert envelope["topic"] == "org.example.signed"
        assert json.loads(json.dumps(envelope["msg"]), parse_constant=str) == message["body"]
        assert envelope["msg_id"].endswith(message["id"])
        assert envelope["headers"]["fedora_messaging_severity"] == message["severity"]


def bad(keys: pki.Pki) -> dict[str, tuple[bytes, ...]]:
    """Frames that cannot cross, by what is wrong and the reason that the quarantine gives."""
    envelopes = iter(numbered(range(20)))
    tampered = signed(keys, "valid", next(envelopes))
    tampered["msg"] = {"n": "another"}
    return {
        "stranger: certificate": frames(signed(keys, "stranger", next(envelopes))),
        "expired: certificate": frames(signed(keys, "expired", next(envelopes))),
        "future: certificate": frames(signed(keys, "future", next(envelopes))),
        "revoked: revoked": frames(signed(keys, "revoked", next(envelopes))),
        "forbidden: signer": frames(signed(keys, "valid", {**next(envelopes), "topic": FORBIDDEN})),
        "tampered: signature": frames(tampered),
        "unsigned: unsigned": frames(next(envelopes)),
        "malformed: json": (b"org.example.test", b'{"topic": "org.example.test", "msg": {'),
        "list: body": frames({**next(envelopes), "msg": [1]}),
        "long: topic": (b"x" * 256, b'{"msg": {}}'),
        "three: frames": (b"org.example.test", b"{}", b"{}"),
        "one: frames": (b"org.example.test",),
    }


def frames(envelope: Mapping[str, Any]) -> tuple[bytes, ...]:
    return envelope["topic"].encode(), json.dumps(envelope).encode()


def test_each_bad_message_is_in_quarantine_with_its_reason_and_mended_it_crosses(
    bus: Bus, channel: Any, keys: pki.Pki
) -> None:
    tap(channel, "work", "zmq.topic")
    cases = bad(keys)
    good = signed(keys, "valid", numbered([99])[0])
    with Publisher() as publisher, bus.zmq_to_amqp(publisher.endpoint, config=signatures(keys)):
        publisher.wait()
        for message in cases.values():
            publisher.send(*message)
        publisher.envelope(good)
        eventually(lambda: depth(channel, "work") == 1, "the good one in the queue")
        eventually(lambda: depth(channel, "zmq.quarantine") == len(cases), "the others in quarantine")
    (crossed,) = drain(channel, "work")
    assert crossed.properties["message_id"] == good["msg_id"]

    listed = quarantined(bus)
    assert [one["reason"] for one in listed] == [case.partition(": ")[2] for case in cases]
    for one, message in zip(listed, cases.values(), strict=True):
        assert one["topic"] == message[0].decode()
        assert one["detail"]
        assert one["bridge"] == "zmq_to_amqp@inward"
        assert one["direction"] == "zmq_to_amqp"
        assert one["bytes"] == sum(map(len, message))
        assert datetime.now(UTC) - datetime.fromisoformat(one["received_at"]) < timedelta(minutes=5)

    ids = {case: one["id"] for case, one in zip(cases, listed, strict=True)}
    stays_unless_mended(bus, channel, keys, cases)
    crosses_when_mended(bus, channel, keys, cases, ids)
    code, said = bus.tool("quarantine", "drop", "--all", "--yes")
    assert code == 0, said
    assert depth(channel, "zmq.quarantine") == 0


def stays_unless_mended(bus: Bus, channel: Any, keys: pki.Pki, cases: Mapping[str, Any]) -> None:
    code, said = bus.tool("quarantine", "replay", "--all", config=signatures(keys))
    assert (code, said.count(" stays: ")) == (1, len(cases)), said
    assert depth(channel, "work") == 0
    assert len(quarantined(bus)) == len(cases)


def crosses_when_mended(
    bus: Bus, channel: Any, keys: pki.Pki, cases: Mapping[str, tuple[bytes, ...]], ids: Mapping[str, str]
) -> None:
    """The other CA is trusted now, nobody is revoked, and the topic is free: these three cross, and the rest stays."""
    stranger = pki.authority("Test CA", key="another")
    keys.ca_file.write_bytes(keys.ca.pem + stranger.pem)
    keys.crl_file.write_bytes(keys.ca.crl() + stranger.crl())
    mended = signatures(keys).replace(FORBIDDEN, "org.example.another")
    code, said = bus.tool("quarantine", "replay", "--all", config=mended)
    assert code == 1, said
    left = {one["id"] for one in quarantined(bus)}
    crossed = [case for case in cases if ids[case] not in left]
    assert crossed == ["stranger: certificate", "revoked: revoked", "forbidden: signer"]
    for case, message in zip(crossed, drain(channel, "work"), strict=True):
        envelope = json.loads(cases[case][1])
        assert (message.topic, json.loads(message.body)) == (envelope["topic"], envelope["msg"])
        assert message.properties["message_id"] == envelope["msg_id"]

    code, said = bus.tool("quarantine", "replay", "--unchecked", ids["unsigned: unsigned"], config=mended)
    assert code == 0, said
    (unsigned,) = drain(channel, "work")
    assert json.loads(unsigned.body) == json.loads(cases["unsigned: unsigned"][1])["msg"]


def test_a_bridges_mark_counts_only_on_what_a_bridge_has_signed(
    bus: Bus, channel: Any, keys: pki.Pki
) -> None:
    tap(channel, "work", "zmq.topic")
    plain, mine, theirs, header, last = (
        {**one, "username": "amqp-bridge"} for one in numbered(range(5), "org.example.mark")
    )
    header["username"] = "tester"
    header["headers"] = {"fedmsg_bridge": "amqp_to_zmq@elsewhere"}
    with Publisher() as publisher, bus.zmq_to_amqp(publisher.endpoint, config=signatures(keys)):
        publisher.wait()
        publisher.envelope(plain)  # anyone may write that name
        publisher.envelope(signed(keys, "valid", mine))  # even one who may publish
        publisher.envelope(signed(keys, "valid", header))
        publisher.envelope(signed(keys, "bridge", theirs))  # a loop
        publisher.envelope(
            signed(keys, "bridge", {**last, "username": "tester"})
        )  # signed by it, and no loop
        eventually(lambda: depth(channel, "work") >= 3, "those which are no loops in the queue")
        eventually(lambda: depth(channel, "zmq.quarantine") == 1, "the unsigned one in quarantine")
    assert [message.properties["message_id"] for message in drain(channel, "work")] == [
        mine["msg_id"],
        header["msg_id"],
        last["msg_id"],
    ]
    (one,) = quarantined(bus)
    assert (one["reason"], one["topic"]) == ("unsigned", "org.example.mark")


def test_what_a_bridge_has_signed_does_not_come_back(bus: Bus, channel: Any, keys: pki.Pki) -> None:
    tap(channel, "work", "zmq.topic")
    address = endpoint()
    section = f'[amqp_to_zmq.signing]\nsign_messages = true\nssldir = "{keys.folder}"\ncertname = "bridge"\n'
    dropped = 'zmq_to_amqp_loops_total{application="signed"}'
    with (
        bus.amqp_to_zmq(address, config=section),
        bus.zmq_to_amqp(address, config=signatures(keys)) as inward,
    ):
        probe(
            lambda: channel.basic_publish("amq.topic", "org.example.dev.signed.one", b"{}"),
            lambda: inward.metrics().get(dropped),
            "a message of AMQP at the other bridge, and dropped there",
        )
    assert depth(channel, "work") == depth(channel, "zmq.quarantine") == 0


def said(bridge: Program, *words: str) -> bool:
    """Whether a line of its log has all these words."""
    return any(all(word in line for word in words) for line in bridge.log.read_text().splitlines())


def test_while_a_ca_is_expired_messages_wait_and_then_cross(bus: Bus, channel: Any, keys: pki.Pki) -> None:
    tap(channel, "work", "zmq.topic")
    expired = pki.authority(begins=datetime(2020, 1, 1, tzinfo=UTC), ends=datetime(2021, 1, 1, tzinfo=UTC))
    keys.ca_file.write_bytes(expired.pem)
    sent = [signed(keys, "valid", one) for one in numbered(range(20))]
    with Publisher() as publisher, bus.zmq_to_amqp(publisher.endpoint, config=signatures(keys)) as bridge:
        publisher.wait()
        for one in sent:
            publisher.envelope(one)
        eventually(lambda: said(bridge, "ERROR", "expired"), "an alert in the log")
        assert depth(channel, "work") == depth(channel, "zmq.quarantine") == 0
        keys.ca_file.write_bytes(keys.ca.pem)
        eventually(
            lambda: depth(channel, "work") == len(sent), "all in the queue, after the CA was renewed", 60
        )
    ids = [message.properties["message_id"] for message in drain(channel, "work")]
    assert ids == [one["msg_id"] for one in sent]


def test_by_option_what_comes_under_an_expired_crl_is_refused(bus: Bus, channel: Any, keys: pki.Pki) -> None:
    tap(channel, "work", "zmq.topic")
    keys.crl_file.write_bytes(keys.ca.crl(ends=datetime.now(UTC) - pki.DAY))
    config = signatures(keys, 'when_expired = "quarantine"')
    with Publisher() as publisher, bus.zmq_to_amqp(publisher.endpoint, config=config):
        publisher.wait()
        publisher.envelope(signed(keys, "valid", numbered([0])[0]))
        eventually(lambda: depth(channel, "zmq.quarantine") == 1, "it in quarantine")
    assert [one["reason"] for one in quarantined(bus)] == ["expired"]
    keys.crl_file.write_bytes(keys.ca.crl())
    code, said = bus.tool("quarantine", "replay", "--reason", "expired", config=config)
    assert code == 0, said
    assert depth(channel, "work") == 1
