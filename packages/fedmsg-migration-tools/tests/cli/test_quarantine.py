# SPDX-License-Identifier: MIT
"""The commands on the real queue, with what a bridge puts there."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from fedmsg_migration_tools.bridges.declaring import declare
from fedmsg_migration_tools.exceptions import Reason
from fedmsg_migration_tools.fedmsg import canonical
from fedmsg_migration_tools.fedmsg.setaside import SetAside
from fedmsg_migration_tools.fedmsg.signing import Signer
from fedora_messaging.aio import Session
from fedora_messaging.transports.base import Incoming
from tests.pki import Pki

QUEUE = "zmq.quarantine"
DURABLE = {"durable": True, "auto_delete": False, "exclusive": False, "arguments": None}
TOPIC = {"type": "topic", "durable": True, "auto_delete": False, "arguments": {}}


def frames(number: int, **more: Any) -> tuple[bytes, bytes]:
    topic = f"org.example.dev.app.event{number}"
    envelope = {
        "topic": topic,
        "msg": {"n": number},
        "msg_id": f"2018-{number}",
        "timestamp": 1532979142,
        "i": 1,
    }
    return topic.encode(), canonical.dumps(envelope | more)


def letter(number: int, reason: Reason = Reason.SIGNER, **more: Any) -> SetAside:
    """A message that was set aside, and could cross now."""
    facts: dict[str, Any] = {
        "reason": reason,
        "detail": f"somebody may not publish {number}",
        "received_at": 1_700_000_000.0 + number,
        "bridge": "zmq_to_amqp@host",
        "direction": "zmq_to_amqp",
        "frames": frames(number),
    }
    return SetAside(**(facts | more))


class Bus:
    """A virtual host with both queues of an operator's day: quarantine, and one that has all of zmq.topic."""

    def __init__(self, url: str) -> None:
        self.url = url
        bindings = {"queue": "all", "exchange": "zmq.topic", "routing_keys": ["#"]}
        queues = {QUEUE: DURABLE, "all": DURABLE, "amqp_to_zmq": DURABLE}
        self._run(
            lambda session: session.declare(exchanges={"zmq.topic": TOPIC}, queues=queues, bindings=bindings)
        )

    def put(self, *letters: SetAside) -> None:
        async def publish(session: Session) -> None:
            await declare(session, quarantine=QUEUE)
            for one in letters:
                settled = asyncio.get_running_loop().create_future()
                session.submit(one.encode(QUEUE), 10, settled.set_result)
                assert await settled is None

        self._run(publish)

    def take(self, queue: str, expected: int) -> list[Incoming]:
        """So many messages from the queue, which are gone then; and no more are there."""

        async def consume(session: Session) -> list[Incoming]:
            found: list[Incoming] = []
            async with session.deliveries([], {queue: DURABLE}, raw=True) as deliveries:
                while True:
                    try:
                        async with asyncio.timeout(5 if len(found) < expected else 0.3):
                            delivery = await anext(deliveries)
                    except TimeoutError:
                        return found
                    found.append(delivery.incoming)
                    delivery.ack()

        found: list[Incoming] = self._run(consume)
        assert len(found) == expected
        return found

    def _run(self, work: Any) -> Any:
        async def whole() -> Any:
            async with Session({"exchanges": {}}, amqp_url=self.url) as session:
                return await work(session)

        return asyncio.run(whole())


@pytest.fixture
def bus(amqp_url: str) -> Bus:
    return Bus(amqp_url)


@pytest.fixture
def quarantine(command: Any, bus: Bus) -> Any:
    """Runs ``quarantine …`` on it."""
    command.conf.write_text(f'amqp_url = "{bus.url}"\n')
    return lambda *arguments, stdin="": command("quarantine", *arguments, stdin=stdin)


def test_list(quarantine: Any, bus: Bus) -> None:
    one, two = letter(1), letter(2, Reason.FRAMES, frames=(b"a\x1b[31m", b"", b"c"), detail="3 frames")
    bus.put(one, two)
    told = quarantine("list")
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.splitlines() == [
        f"{one.id}  2023-11-14T22:13:21  signer       org.example.dev.app.event1  somebody may not publish 1",
        f"{two.id}  2023-11-14T22:13:22  frames       a\\x1b[31m  3 frames",
    ]
    told = quarantine("list", "--reason", "frames", "--json")
    assert [json.loads(line) for line in told.stdout.splitlines()] == [
        {
            "id": two.id,
            "reason": "frames",
            "topic": "a\x1b[31m",
            "detail": "3 frames",
            "received_at": "2023-11-14T22:13:22+00:00",
            "bridge": "zmq_to_amqp@host",
            "direction": "zmq_to_amqp",
            "bytes": 7,
        }
    ]
    told = quarantine("list", "--limit", "1")
    assert [line.split()[0] for line in told.stdout.splitlines()] == [one.id]
    assert told.stderr == "There may be more: these are 1, as many as --limit allows.\n"


def test_show(quarantine: Any, bus: Bus) -> None:
    one = letter(1)
    bus.put(letter(0), one)
    told = quarantine("show", one.id)
    assert told.returncode == 0
    assert f"id: {one.id}\nreason: signer\n" in told.stdout
    assert (
        f"frame 1, 26 bytes:\norg.example.dev.app.event1\n\nframe 2, {len(one.frames[1])} bytes:\n"
        in told.stdout
    )
    assert one.frames[1].decode() in told.stdout
    whole = json.loads(quarantine("show", one.id, "--json").stdout)
    assert SetAside.decode(json.dumps(whole).encode()) == one
    assert whole["id"] == one.id
    told = quarantine("show", "0123456789ab")
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr == "Error: there is no message 0123456789ab in quarantine\n"


def test_replay_of_some(quarantine: Any, bus: Bus) -> None:
    letters = [letter(number) for number in range(3)]
    bus.put(*letters)
    told = quarantine("replay", letters[1].id)
    assert (told.returncode, told.stdout, told.stderr) == (0, "1 message replayed.\n", "")
    (incoming,) = bus.take("all", 1)
    assert (incoming.topic, incoming.body) == ("org.example.dev.app.event1", b'{"n":1}')
    assert incoming.properties.message_id == "2018-1"
    left = [SetAside.decode(found.body) for found in bus.take(QUEUE, 2)]
    assert left == [letters[0], letters[2]]


def test_replay_of_all_leaves_what_cannot_cross(quarantine: Any, bus: Bus) -> None:
    broken = letter(1, Reason.JSON, frames=(b"a.b", b"{"))
    loop = letter(2, frames=frames(2, username="amqp-bridge"))
    lost = letter(3, direction="sideways")
    bus.put(letter(0), broken, loop, lost)
    told = quarantine("replay", "--all")
    assert (told.returncode, told.stdout) == (1, "1 message replayed.\n")
    complaints = dict(line.split(" stays: ") for line in told.stderr.splitlines()[:-1])
    assert set(complaints) == {broken.id, loop.id, lost.id}
    assert complaints[broken.id].startswith("json: ")
    assert "bears a bridge's mark" in complaints[loop.id]
    assert "'sideways'" in complaints[lost.id]
    assert told.stderr.splitlines()[-1] == "Error: 3 messages stayed in quarantine"
    bus.take("all", 1)
    bus.take(QUEUE, 3)


def test_replay_checks_signatures_where_the_bridge_does(
    quarantine: Any, command: Any, bus: Bus, tmp_path: Path
) -> None:
    pki = Pki(tmp_path)
    envelope = {"topic": "org.example.dev.app.signed", "msg": {"n": 0}, "timestamp": 1532979142, "i": 1}
    signer = pki.signers["valid"]
    signed = Signer(signer.pem, signer.key_pem).sign(envelope)
    bus.put(letter(0, frames=(b"org.example.dev.app.signed", canonical.dumps(signed))), letter(1))
    with command.conf.open("a") as file:
        file.write(f'[zmq_to_amqp.signatures]\nvalidate = true\nca = "{pki.ca_file}"\n')
    told = quarantine("replay", "--all")
    assert (told.returncode, told.stdout) == (1, "1 message replayed.\n")
    assert f"{letter(1).id} stays: unsigned: " in told.stderr
    bus.take("all", 1)
    told = quarantine("replay", "--all", "--unchecked")
    assert (told.returncode, told.stdout) == (0, "1 message replayed.\n")
    bus.take("all", 1)


def test_replay_of_a_message_from_amqp(quarantine: Any, bus: Bus) -> None:
    one = letter(
        1,
        Reason.BODY,
        direction="amqp_to_zmq",
        frames=(b"app.event", b"[1]"),
        properties={"message_id": "id-1", "headers": {"fedora_messaging_severity": 20}},
    )
    bus.put(one)
    told = quarantine("replay", "--reason", "body")
    assert (told.returncode, told.stderr) == (0, "")
    (incoming,) = bus.take("amqp_to_zmq", 1)
    assert (incoming.topic, incoming.body) == ("app.event", b"[1]")
    assert incoming.properties.headers == {"fedora_messaging_severity": 20}
    bus.take("all", 0)
    bus.take(QUEUE, 0)


def test_drop_asks(quarantine: Any, bus: Bus) -> None:
    letters = [letter(number) for number in range(3)]
    bus.put(*letters)
    told = quarantine("drop", "--all", stdin="n\n")
    assert told.returncode == 1
    assert "Drop 3 messages for good? [y/N]" in told.stdout
    told = quarantine("drop", letters[0].id, letters[2].id, stdin="y\n")
    assert told.returncode == 0
    assert told.stdout.endswith("2 messages dropped.\n")
    assert [SetAside.decode(found.body) for found in bus.take(QUEUE, 1)] == [letters[1]]
    told = quarantine("drop", "--all")
    assert (told.returncode, told.stdout) == (0, "There is nothing to drop.\n")


def test_drop_without_a_question(quarantine: Any, bus: Bus) -> None:
    letters = [letter(0), letter(1, Reason.TOPIC)]
    bus.put(*letters)
    told = quarantine("drop", "--reason", "topic", "--yes")
    assert (told.returncode, told.stdout) == (0, "1 message dropped.\n")
    told = quarantine("drop", letters[0].id, letters[1].id, "--yes")
    assert (told.returncode, told.stdout) == (1, "1 message dropped.\n")
    assert told.stderr == f"Error: not in quarantine: {letters[1].id}\n"


def test_no_queue_and_no_broker(command: Any, amqp_url: str) -> None:
    told = command("quarantine", "list", "--amqp-url", amqp_url)
    assert told.returncode == 1
    assert (
        told.stderr
        == "Error: there is no queue zmq.quarantine on the broker: the bridge makes it when it starts\n"
    )
    told = command("quarantine", "list", "--amqp-url", "amqp://127.0.0.1:1")
    assert told.returncode == 14
    assert told.stderr.startswith("Error: ")
    assert len(told.stderr.splitlines()) == 1
