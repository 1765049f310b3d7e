# SPDX-License-Identifier: MIT
"""The service as it runs, on a real broker and real sockets, against an oracle.

The bridges are played by the test, which drops, doubles, alters and delays messages on purpose and writes down what
it did: the verdicts must be just that.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
import uuid
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import zmq

from fedmsg_migration_tools.bridges.declaring import declare
from fedmsg_migration_tools.fedmsg import envelope, setaside, translation
from fedmsg_migration_tools.reconcile.model import Witness
from fedmsg_migration_tools.verify.store import Store
from fedora_messaging.aio import Session
from fedora_messaging.message import Message
from fedora_messaging.private_node.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fedora_messaging.transports.base import Outgoing

COUNT = 1500
SETTLED = 600  # messages from which on the window follows what was measured
LONGEST = 6.0  # seconds
GONE = 3.0  # seconds
APPLICATIONS = ("bodhi", "koji", "pagure")


class Verifier:
    """The service, in a process of its own."""

    def __init__(self, folder: Path, url: str, publishers: list[str], bridge: str) -> None:
        self.page = f"127.0.0.1:{free_port()}"
        (folder / "config.toml").write_text(
            f"""
            [verify_missing]
            zmq_endpoints = {json.dumps(publishers)}
            bridge_endpoints = ["{bridge}"]
            shortest_window = 1.0
            longest_window = {LONGEST}
            store = "{folder / "verify.sqlite"}"
            listen = "{self.page}"
            """
        )
        self.log = folder / "log"
        self.store = folder / "verify.sqlite"
        command = [sys.executable, "-m", "fedmsg_migration_tools", "--conf", str(folder / "config.toml")]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*command, "verify_missing", "--amqp-url", url], stdout=log, stderr=subprocess.STDOUT
            )

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://{self.page}{path}", timeout=10) as answer:
            return json.load(answer)

    def wait(self, what: str, condition: Any, seconds: float = 30) -> Any:
        end = time.monotonic() + seconds
        found: Any = None
        while time.monotonic() < end:
            assert self.process.poll() is None, self.log.read_text()
            with contextlib.suppress(OSError):
                found = self.get("/api/snapshot")
                if condition(found):
                    return found
            time.sleep(0.1)
        raise AssertionError(f"{what}: {json.dumps(found, indent=1)[:4000]}\n{self.log.read_text()[-2000:]}")

    def until(self, path: str, *, taken_back: int) -> list[dict[str, Any]]:
        """Verdicts, once so many of them are taken back in the file as well, which is written now and then."""
        end = time.monotonic() + 10
        while True:
            found: list[dict[str, Any]] = self.get(path)
            if sum(one["taken_back"] for one in found) == taken_back or time.monotonic() > end:
                return found
            time.sleep(0.1)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


class World:
    """Publishers, the socket of a bridge, and a broker: what a verifier looks at."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._context = zmq.Context()
        self.publishers = [self._socket() for _ in range(2)]
        self.bridge = self._socket()
        self._sent = Counter[int]()

    def _socket(self) -> zmq.Socket[bytes]:
        made = self._context.socket(zmq.PUB)
        made.sndhwm = 0
        made.bind("tcp://127.0.0.1:*")
        return made

    def endpoint(self, made: zmq.Socket[bytes]) -> str:
        found = made.getsockopt(zmq.LAST_ENDPOINT)
        assert isinstance(found, bytes)
        return found.rstrip(b"\0").decode()

    def publish(self, number: int, body: dict[str, Any]) -> tuple[bytes, bytes]:
        """A fedmsg publisher sends."""
        which = number % len(self.publishers)
        self._sent[which] += 1
        frames = translation.frames(
            {
                "topic": f"org.example.prod.{APPLICATIONS[number % 3]}.event",
                "msg": body,
                "msg_id": f"2026-{uuid.uuid4()}",
                "timestamp": int(time.time()),
                "i": self._sent[which],
                "username": "apache",
            }
        )
        self.publishers[which].send_multipart(frames)
        return frames

    def close(self) -> None:
        self._context.destroy(linger=0)


@pytest.fixture
def world(amqp_url: str) -> Iterator[World]:
    made = World(amqp_url)
    yield made
    made.close()


@pytest.fixture
def verifier(world: World, tmp_path: Path) -> Iterator[Verifier]:
    endpoints = [world.endpoint(one) for one in world.publishers]
    made = Verifier(tmp_path, world.url, endpoints, world.endpoint(world.bridge))
    try:
        made.wait("all is seen", lambda s: all(w["seeing"] for w in s["witnesses"].values()))
        yield made
    finally:
        made.process.kill()
        made.process.wait()


async def submit(session: Session, outgoing: Outgoing) -> None:
    done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    session.submit(outgoing, 10, done.set_result)
    assert await done is None


def altered(outgoing: Outgoing) -> Outgoing:
    return type(outgoing)(
        outgoing.exchange, outgoing.topic, outgoing.properties, outgoing.body.replace(b'"n":', b'"m":')
    )


def ids(found: list[dict[str, Any]], kind: str) -> set[str]:
    return {one["id"].removeprefix("2026-") for one in found if one["kind"] == kind}


def plain(frames: tuple[bytes, bytes]) -> str:
    msg_id: str = json.loads(frames[1])["msg_id"]
    return msg_id.removeprefix("2026-")


def carried(fate: str, message: Outgoing, frames: tuple[bytes, bytes]) -> list[Outgoing]:
    """What the bridge publishes at once."""
    letter = setaside.SetAside("signature", "no", time.time(), "zmq_to_amqp@oracle", "zmq_to_amqp", frames)
    return {
        "well": [message],
        "doubled": [message, message],
        "altered": [altered(message)],
        "quarantined": [letter.encode("zmq.quarantine")],
    }.get(fate, [])


FATES = ("well", "well", "well", "well", "lost", "doubled", "altered", "late", "quarantined")


def test_the_verdicts_on_the_way_to_amqp_are_what_was_done(world: World, verifier: Verifier) -> None:
    chance = random.Random(7)
    did: dict[str, set[str]] = {fate: set() for fate in FATES}

    async def play() -> None:
        async with Session(amqp_url=world.url) as session:
            await declare(session, quarantine="zmq.quarantine", exchanges=["zmq.topic"])
            late: list[Outgoing] = []
            for number in range(COUNT):
                if (
                    number == SETTLED
                ):  # the beginning, when nothing could be seen, is to be out of reach of the window
                    await asyncio.sleep(LONGEST)
                frames = world.publish(number, {"n": number})
                fate = chance.choice(FATES) if number > SETTLED else "well"
                did[fate].add(plain(frames))
                message = translation.to_amqp(envelope.parse(frames), "zmq.topic", "zmq_to_amqp@oracle")
                late += [message] if fate == "late" else []
                for outgoing in carried(fate, message, frames):
                    await submit(session, outgoing)
            await asyncio.sleep(LONGEST + 1)
            for message in late:
                await submit(session, message)

    asyncio.run(play())
    books = verifier.wait(
        "all is judged",
        lambda s: (
            s["legs"]["zmq_to_amqp"]["late"] == len(did["late"])
            and not s["legs"]["zmq_to_amqp"]["books"]["in_flight"]
        ),
    )["legs"]["zmq_to_amqp"]
    found = verifier.get("/api/verdicts?limit=500&leg=zmq_to_amqp&kind=lost")
    found = verifier.until("/api/verdicts?limit=500&leg=zmq_to_amqp&kind=lost", taken_back=len(did["late"]))
    assert ids([one for one in found if not one["taken_back"]], "lost") == did["lost"]
    assert ids([one for one in found if one["taken_back"]], "lost") == did["late"]
    for fate, kind in (("doubled", "duplicated"), ("altered", "changed"), ("quarantined", "quarantined")):
        found = verifier.get(f"/api/verdicts?limit=500&leg=zmq_to_amqp&kind={kind}")
        assert ids(found, kind) == did[fate], kind
    assert books["books"] == {
        "in": COUNT,
        "matched": COUNT - len(did["lost"]) - len(did["quarantined"]),
        "lost": len(did["lost"]),
        "unverifiable": 0,
        "quarantined": len(did["quarantined"]),
        "loops": 0,
        "in_flight": 0,
    }
    changed = verifier.get("/api/verdicts?limit=1&kind=changed")[0]
    assert {one["path"] for one in changed["evidence"]["difference"]}
    assert verifier.stop() == 0


def test_what_the_verifier_could_not_see_is_not_called_lost(world: World, verifier: Verifier) -> None:
    """The socket of the bridge is gone for a while: what it would have sent then cannot be known."""
    sent = Counter[str]()

    async def play() -> None:
        async with Session(amqp_url=world.url) as session:
            for number in range(300):
                message = Message(topic="org.example.prod.koji.build", body={"n": number})
                await session.publish(message)
                sent["in"] += 1
                if 100 <= number < 200:
                    if number == 100:
                        gone = time.monotonic()
                        where = world.endpoint(world.bridge)
                        world.bridge.close(linger=0)
                    await asyncio.sleep(0.01)
                    if number == 199:
                        await asyncio.sleep(GONE - (time.monotonic() - gone))
                        world.bridge = world._context.socket(zmq.PUB)
                        world.bridge.bind(where)
                        await asyncio.sleep(2)
                    continue
                incoming = session.encode(message)
                made = translation.to_envelope(
                    incoming.topic,
                    message.id,
                    incoming.properties.headers,
                    incoming.body,
                    i=number + 1,
                    now=time.time(),
                    bridge="amqp_to_zmq@oracle",
                )
                world.bridge.send_multipart(translation.frames(made))

    asyncio.run(play())
    books = verifier.wait(
        "all is judged",
        lambda s: (
            s["legs"]["amqp_to_zmq"]["books"]["in"] == 300
            and not s["legs"]["amqp_to_zmq"]["books"]["in_flight"]
        ),
    )["legs"]["amqp_to_zmq"]["books"]
    assert verifier.stop() == 0
    store = Store(verifier.store)
    times = [one for one in store.blind_times(0.0) if one.witness == Witness.BRIDGE_SOCKET]
    assert all(one.end is not None for one in times)
    assert max((one.end or 0.0) - one.begin for one in times) == pytest.approx(GONE, abs=1.5)
    assert {name for name, one in store.load()["books"].items() if one["in"] == 300} == {"amqp_to_zmq"}
    store.close()
    with contextlib.closing(sqlite3.connect(verifier.store)) as file:
        delays = file.execute("SELECT delays FROM minutes WHERE application = 'koji' AND leg = 1").fetchall()
    assert sum(sum(json.loads(one)) for (one,) in delays) == books["matched"]
    assert books["lost"] == 0
    assert books["unverifiable"] >= 100
    assert books["matched"] + books["unverifiable"] == 300


def test_a_broker_that_cannot_be_used_is_told(amqp_url: str, tmp_path: Path) -> None:
    wrong = "amqp://localhost:99999/"
    verifier = Verifier(tmp_path, wrong, ["tcp://127.0.0.1:1"], "tcp://127.0.0.1:1")
    assert verifier.process.wait(30) == 2
    assert verifier.log.read_text().endswith(
        f"Error: Configuration error: The URL {wrong!r} is wrong: Port out of range 0-65535\n"
    )

    password = amqp_url.replace("@", "x@", 1)
    verifier = Verifier(tmp_path, password, ["tcp://127.0.0.1:1"], "tcp://127.0.0.1:1")
    try:
        end = time.monotonic() + 30
        while "refused the user" not in verifier.log.read_text() and time.monotonic() < end:
            time.sleep(0.1)
        assert verifier.process.poll() is None
        assert "Cannot listen to the broker" in verifier.log.read_text()
    finally:
        verifier.process.kill()
        verifier.process.wait()
