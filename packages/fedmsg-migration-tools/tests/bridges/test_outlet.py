# SPDX-License-Identifier: MIT
"""What goes out over ZeroMQ: numbered, kept for replay, open and by CURVE. Real sockets, no broker."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import zmq
import zmq.auth

from fedmsg_migration_tools.bridges.outlet import Outlet
from fedmsg_migration_tools.config import AmqpToZmq, Curve, CurveServer, Replay
from fedmsg_migration_tools.exceptions import ToolsError, Unbridgeable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ANYWHERE = "tcp://127.0.0.1:*"


@contextlib.contextmanager
def outlet(**settings: Any) -> Iterator[Outlet]:
    made = Outlet(AmqpToZmq(publish_endpoint=(ANYWHERE,), linger=1.0, **settings))
    try:
        yield made
    finally:
        made.close()


@contextlib.contextmanager
def subscriber(endpoint: str, keys: Curve | None = None) -> Iterator[zmq.Socket[bytes]]:
    with zmq.Context() as context, context.socket(zmq.SUB) as socket:
        if keys is not None:
            socket.curve_serverkey = zmq.auth.load_certificate(keys.server_key)[0]
            socket.curve_publickey, socket.curve_secretkey = zmq.auth.load_certificate(keys.secret_key)
        socket.subscribe(b"")
        socket.connect(endpoint)
        yield socket


def numbered(made: Outlet, number: int) -> tuple[dict[str, Any], tuple[bytes, bytes]]:
    envelope = made.envelope("org.example.prod.shop.order", None, {}, b'{"n": %d}' % number)
    return envelope, made.frames(envelope)


def certificates(folder: Path, name: str) -> tuple[Path, Path]:
    public, secret = zmq.auth.create_certificates(folder, name)
    return Path(public), Path(secret)


def frames_at(socket: zmq.Socket[bytes]) -> list[bytes]:
    assert socket.poll(10_000)
    return socket.recv_multipart()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


def test_messages_are_numbered_in_order_and_those_that_cannot_cross_leave_no_gap() -> None:
    with outlet() as made:
        first, _ = numbered(made, 1)
        with pytest.raises(Unbridgeable):
            made.envelope("topic", None, {}, b"no JSON")
        second, _ = numbered(made, 2)
    assert (first["i"], second["i"]) == (1, 2)


def test_open_and_curve_subscribers_get_the_same(tmp_path: Path) -> None:
    server, server_secret = certificates(tmp_path, "server")
    client, client_secret = certificates(tmp_path, "client")
    curve = CurveServer(secret_key=server_secret, endpoints=(ANYWHERE,))
    keys = Curve(server_key=server, public_key=client, secret_key=client_secret)

    async def main() -> list[list[bytes]]:
        with outlet(curve=curve) as made:
            made.attach()
            everybody, with_keys = made.describe().split(", ")
            with subscriber(everybody) as one, subscriber(with_keys, keys) as other:
                await until(lambda: sum(g.values.get(("",)) or 0 for g in made.gauges()) == 2)
                made.send([numbered(made, 1)])
                return [await asyncio.to_thread(frames_at, socket) for socket in (one, other)]

    frames = asyncio.run(main())
    assert frames[0] == frames[1]
    assert json.loads(frames[0][1])["msg"] == {"n": 1}


def test_without_keys_there_is_nothing_to_be_had_where_curve_is_demanded(tmp_path: Path) -> None:
    _, secret = certificates(tmp_path, "server")

    async def main() -> int:
        with outlet(curve=CurveServer(secret_key=secret)) as made:
            made.attach()
            with subscriber(made.describe()) as socket:
                for number in range(10):
                    made.send([numbered(made, number)])
                    await asyncio.sleep(0.05)
                return socket.poll(0)

    assert asyncio.run(main()) == 0


@pytest.mark.parametrize("text", ["", "no key", 'secret-key = "short"'])
def test_a_key_that_is_none_is_said_to_be_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "server.key_secret"
    path.write_text(text)
    with pytest.raises(ToolsError, match="CURVE key"), outlet(curve=CurveServer(secret_key=path)):
        pass


def test_what_was_sent_can_be_asked_for(tmp_path: Path) -> None:
    replay = Replay(endpoint=ANYWHERE, path=tmp_path / "replay.sqlite")

    async def main() -> tuple[list[dict[str, Any]], list[bytes]]:
        with outlet(replay=replay) as made:
            made.attach()
            sent = [numbered(made, number) for number in range(5)]
            made.send(sent)
            endpoint = made.describe().rpartition(" at ")[2]
            request = json.dumps({"seq_id_range": [sent[1][0]["seq_id"], sent[3][0]["seq_id"]]}).encode()
            with zmq.Context() as context, context.socket(zmq.REQ) as socket:
                socket.connect(endpoint)
                socket.send(request)
                answer = await asyncio.to_thread(frames_at, socket)
            return [envelope for envelope, _ in sent], answer

    sent, answer = asyncio.run(main())
    assert [json.loads(part) for part in answer] == sent[1:4]
