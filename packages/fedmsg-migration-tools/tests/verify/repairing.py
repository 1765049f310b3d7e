# SPDX-License-Identifier: MIT
"""Lost messages, and those who may still have them: an archive over HTTP, and publishers that replay."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from fedmsg_migration_tools.archive import Archive, Record
from fedmsg_migration_tools.fedmsg import canonical
from fedmsg_migration_tools.reconcile.model import Leg
from fedmsg_migration_tools.reconcile.sightings import key
from fedmsg_migration_tools.sockets import Replier
from fedmsg_migration_tools.verify.recovered import Lost

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

TOPIC = "org.fedoraproject.prod.bodhi.update.comment"
NOWHERE = "tcp://127.0.0.1:9"
SENT = 1_532_000_000
HEADERS = {
    "fedora_messaging_schema": "bodhi.update.comment.v1",
    "fedora_messaging_severity": 30,
    "sent-at": "2018-07-19T11:33:20+00:00",
}


def envelope(number: int = 1, **more: Any) -> dict[str, Any]:
    """What a publisher of fedmsg sends."""
    return {
        "topic": TOPIC,
        "msg": {"text": "ünïcode <b>", "n": number},
        "msg_id": f"2018-{uuid(number)}",
        "timestamp": SENT,
        "i": number,
        "username": "bodhi",
        **more,
    }


def uuid(number: int) -> str:
    return f"1fe3e85a-7d0c-4b1c-8d3e-{number:012d}"


def frames(sent: Mapping[str, Any]) -> tuple[bytes, bytes]:
    return sent["topic"].encode(), canonical.dumps(sent)


def lost_to_amqp(sent: Mapping[str, Any] | None = None, *, forgotten: bool = False, **more: Any) -> Lost:
    """A message of ZeroMQ that did not reach AMQP."""
    sent = sent or envelope()
    lost = Lost(
        leg=Leg.ZMQ_TO_AMQP,
        key=key(sent["msg_id"]),
        message_id=sent["msg_id"],
        topic=sent["topic"],
        application="bodhi",
        seen_at=SENT + 1.0,
        frames=None if forgotten else frames(sent),
    )
    return dataclasses.replace(lost, **more)


def lost_to_zmq(number: int = 1, *, forgotten: bool = False, **more: Any) -> Lost:
    """A message of AMQP that did not reach ZeroMQ."""
    body = json.dumps({"n": number}).encode()
    lost = Lost(
        leg=Leg.AMQP_TO_ZMQ,
        key=key(uuid(number)),
        message_id=uuid(number),
        topic=TOPIC,
        application="bodhi",
        seen_at=SENT + 1.0,
        delivery=None if forgotten else (TOPIC, uuid(number), HEADERS, body),
    )
    return dataclasses.replace(lost, **more)


class Datagrepper:
    """An archive: what it answers, by id, and what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.records: dict[str, Any] = {}
        self.status = 200
        self.url = ""

    def answer(self, path: str) -> tuple[int, bytes]:
        message_id = path.partition("id=")[2].partition("&")[0]
        self.asked.append(path)
        if self.status != 200:
            return self.status, b"trouble"
        if message_id not in self.records:
            return 404, b'{"error": "no such id"}'
        return 200, json.dumps(self.records[message_id]).encode()


@contextlib.contextmanager
def datagrepper() -> Iterator[Datagrepper]:
    archive = Datagrepper()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = archive.answer(self.path)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        archive.url = f"http://127.0.0.1:{server.server_port}/datagrepper/"
        try:
            yield archive
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def replaying(path: Path, *sent: Mapping[str, Any]) -> Iterator[str]:
    """The endpoint of a publisher that has sent these envelopes; on the running loop."""
    archive = Archive(path, 1000, None)
    archive.add(
        [
            Record(archive.next_seq(), one.get("msg_id"), one["timestamp"], one["topic"], frames(one)[1])
            for one in sent
        ]
    )
    replier = Replier("tcp://127.0.0.1:*", archive.answer)
    replier.attach()
    try:
        yield replier.endpoint
    finally:
        replier.close()
        archive.close()


@contextlib.contextmanager
def answering(*parts: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """The endpoint of one that answers this, whatever it is asked, and what that was."""
    asked: list[bytes] = []

    def answer(request: bytes) -> list[bytes]:
        asked.append(request)
        return list(parts)

    replier = Replier("tcp://127.0.0.1:*", answer)
    replier.attach()
    try:
        yield replier.endpoint, asked
    finally:
        replier.close()
