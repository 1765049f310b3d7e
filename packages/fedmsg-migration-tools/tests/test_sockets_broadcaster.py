# SPDX-License-Identifier: MIT
"""The broadcaster on real sockets: who listens is counted, and nobody can slow or hurt the others."""

from __future__ import annotations

import asyncio
import re
import resource
import signal
import socket as sockets
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import zmq
import zmq.asyncio
from zmq import auth
from zmq.asyncio import Context

from fedmsg_migration_tools.exceptions import ToolsError
from fedmsg_migration_tools.sockets import Broadcaster, Curve, CurveServer, Subscriber

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

SUBSCRIBER = """
import sys, zmq
socket = zmq.Context().socket(zmq.SUB)
socket.rcvhwm = 1000
socket.subscribe("")
socket.connect(sys.argv[1])
socket.recv()
print("first", flush=True)
sys.stdin.read()
"""
GOOD = """
import sys, zmq
socket = zmq.Context().socket(zmq.SUB)
socket.rcvhwm = 0
socket.subscribe("")
socket.connect(sys.argv[1])
count = 0
while socket.recv_multipart()[0] != b"end":
    count += 1
print(count, flush=True)
"""
PUBLIC, SECRET = (key.decode() for key in zmq.curve_keypair())


async def until(condition: Callable[[], object], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def run(test: Callable[[Broadcaster, Context], Awaitable[None]], **arguments: Any) -> None:
    """``test`` with a broadcaster on a free port, and a context for the clients."""

    async def whole() -> None:
        context = Context()
        broadcaster = Broadcaster(**{"endpoints": ["tcp://127.0.0.1:*"], "linger": 0.0, **arguments})
        broadcaster.attach()
        try:
            await test(broadcaster, context)
        finally:
            broadcaster.close()
            context.destroy(linger=0)

    asyncio.run(whole())


def client(context: Context, endpoint: str, *prefixes: str, curve: Curve | None = None) -> zmq.asyncio.Socket:
    made = context.socket(zmq.SUB)
    if curve is not None:
        curve.apply(made)
    for prefix in prefixes:
        made.subscribe(prefix)
    made.connect(endpoint)
    return made


def launch(code: str, endpoint: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, endpoint], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_subscribers_and_their_prefixes_are_counted() -> None:
    async def test(broadcaster: Broadcaster, context: Context) -> None:
        (endpoint,) = broadcaster.endpoints
        first = client(context, endpoint, "", "org.a")
        second = client(context, endpoint, "org.a", "org.b")
        await until(lambda: broadcaster.prefixes == Counter({b"org.a": 2, b"": 1, b"org.b": 1}))
        assert broadcaster.peers == 2
        broadcaster.send((b"org.b.x", b"{}"))
        assert await second.recv_multipart() == [b"org.b.x", b"{}"]
        second.unsubscribe("org.b")
        await until(lambda: broadcaster.prefixes == Counter({b"org.a": 2, b"": 1}))
        first.close(linger=0)
        await until(lambda: broadcaster.prefixes == Counter({b"org.a": 1}) and broadcaster.peers == 1)
        second.close(linger=0)
        await until(lambda: not broadcaster.prefixes and broadcaster.peers == 0)

    run(test)


def test_counts_are_kept_while_messages_are_sent_without_a_pause() -> None:
    async def test(broadcaster: Broadcaster, context: Context) -> None:
        clients = [client(context, broadcaster.endpoints[0], f"org.{number}") for number in range(20)]
        deadline = time.monotonic() + 10
        while len(broadcaster.prefixes) < 20:
            for _ in range(50):
                broadcaster.send((b"topic", b"{}"))
            await asyncio.sleep(0)
            assert time.monotonic() < deadline
        await until(lambda: broadcaster.peers == len(clients))

    run(test)


def test_a_frozen_subscriber_loses_and_the_others_do_not_notice() -> None:
    async def test(broadcaster: Broadcaster, _context: Context) -> None:
        (endpoint,) = broadcaster.endpoints
        frozen, good = launch(SUBSCRIBER, endpoint), launch(GOOD, endpoint)
        try:
            await until(lambda: broadcaster.prefixes[b""] == 2)
            frozen.send_signal(signal.SIGSTOP)
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            longest, body = 0.0, bytes(450)
            for number in range(200_000):
                started = time.perf_counter()
                broadcaster.send((b"org.fedoraproject.prod.test", body))
                longest = max(longest, time.perf_counter() - started)
                if number % 100 == 0:
                    await asyncio.sleep(0.0005)
            broadcaster.send((b"end", b""))
            count, _ = await asyncio.to_thread(good.communicate)
            assert int(count) == 200_000
            assert longest < 1.0
            # 5,000 messages of some 550 bytes wait for the frozen one; the good one was never far behind.
            assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40_000
        finally:
            for started_process in (frozen, good):
                started_process.kill()
                started_process.communicate()

    run(test, high_water_mark=5000)


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\xff" * 5000,
        bytes(5000),
        b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(48) + b"\x04\xff" + b"\xff" * 300,
        # A subscriber of ZMTP 2.0 that subscribes, unsubscribes what it never subscribed to, and sends nonsense.
        b"\xff"
        + bytes(7)
        + b"\x01\x7f\x01\x02\x00\x00"
        + b"\x00\x02\x01x\x00\x02\x00y\x00\x00\x00\x03zzz\x01\x01\x01",
        b"\xff" + bytes(7) + b"\x01\x7f\x01\x02\x00\x00\x02" + b"\x7f" + b"\xff" * 7,
    ],
)
def test_garbage_on_the_port_hurts_nobody(garbage: bytes) -> None:
    async def test(broadcaster: Broadcaster, context: Context) -> None:
        (endpoint,) = broadcaster.endpoints
        good = client(context, endpoint, "org.")
        await until(lambda: broadcaster.prefixes[b"org."] == 1)
        _reader, writer = await asyncio.open_connection("127.0.0.1", int(endpoint.rpartition(":")[2]))
        writer.write(garbage)
        await asyncio.sleep(0.2)
        broadcaster.send((b"org.x", b"{}"))
        assert await asyncio.wait_for(good.recv_multipart(), 5) == [b"org.x", b"{}"]
        assert broadcaster.prefixes[b"org."] == 1
        assert all(count > 0 for count in broadcaster.prefixes.values())
        writer.transport.abort()
        await until(lambda: broadcaster.peers == 1 and set(broadcaster.prefixes) == {b"org."})

    run(test)


def test_counts_of_prefixes_are_bounded() -> None:
    async def test(broadcaster: Broadcaster, context: Context) -> None:
        hostile = context.socket(zmq.XSUB)
        hostile.sndhwm = 0
        hostile.connect(broadcaster.endpoints[0])
        for number in range(12_000):
            await hostile.send(b"\x01%d" % number)
        await until(lambda: len(broadcaster.prefixes) == 10_000)
        hostile.close(linger=0)
        await until(lambda: not broadcaster.prefixes)

    run(test)


def test_what_was_sent_is_on_the_wire_after_close() -> None:
    async def test(broadcaster: Broadcaster, _context: Context) -> None:
        with launch(GOOD, broadcaster.endpoints[0]) as good:
            await until(lambda: broadcaster.prefixes[b""] == 1)
            for _ in range(50_000):
                broadcaster.send((b"topic", bytes(450)))
            broadcaster.send((b"end", b""))
            broadcaster.close()
            count, _ = good.communicate()
            assert int(count) == 50_000

    run(test, linger=10.0)


def test_close_waits_for_a_frozen_subscriber_no_longer_than_it_may() -> None:
    async def test(broadcaster: Broadcaster, _context: Context) -> None:
        with launch(SUBSCRIBER, broadcaster.endpoints[0]) as frozen:
            await until(lambda: broadcaster.prefixes[b""] == 1)
            frozen.send_signal(signal.SIGSTOP)
            for _ in range(50_000):
                broadcaster.send((b"topic", bytes(450)))
            started = time.monotonic()
            broadcaster.close()
            assert 0.4 < time.monotonic() - started < 2
            frozen.kill()

    run(test, linger=0.5)


def test_an_address_in_use_is_named_with_who_to_look_for() -> None:
    with sockets.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for endpoint in (f"tcp://127.0.0.1:{port}", f"tcp://*:{port}"):
            with pytest.raises(
                ToolsError, match=rf"{re.escape(endpoint)}.*in use.*sport = :{port}.*fedmsg-"
            ) as caught:
                Broadcaster([endpoint])
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "endpoint",
    ["tcp://*", "tcp://*:70000", "tcp://203.0.113.1:9940", "ipc:///nowhere/at/all", "pgm://x:1", "*:9940"],
)
def test_where_one_cannot_listen_is_said_in_a_line(endpoint: str) -> None:
    with pytest.raises(ToolsError) as caught:
        Broadcaster([endpoint])
    assert endpoint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_it_listens_on_all_interfaces_by_both_protocols() -> None:
    async def test(broadcaster: Broadcaster, context: Context) -> None:
        port = broadcaster.endpoints[0].rpartition(":")[2]
        context.setsockopt(zmq.IPV6, 1)
        clients = [client(context, f"tcp://{host}:{port}", "") for host in ("127.0.0.1", "[::1]")]
        clients.append(client(context, broadcaster.endpoints[1], ""))
        await until(lambda: broadcaster.prefixes[b""] == 3)
        broadcaster.send((b"topic", b"{}"))
        for each in clients:
            assert await asyncio.wait_for(each.recv_multipart(), 5) == [b"topic", b"{}"]

    run(test, endpoints=["tcp://*:*", "tcp://[::1]:*"])


def test_it_connects_where_another_listens() -> None:
    async def test() -> None:
        context = Context()
        relay = context.socket(zmq.SUB)
        relay.subscribe("")
        port = relay.bind_to_random_port("tcp://127.0.0.1")
        receiving = asyncio.ensure_future(relay.recv_multipart())
        broadcaster = Broadcaster([f"tcp://localhost:{port}"], connect=True)
        broadcaster.attach()
        await until(lambda: broadcaster.prefixes[b""] == 1)
        assert broadcaster.peers == 1
        broadcaster.send((b"topic", b"{}"))
        assert await asyncio.wait_for(receiving, 5) == [b"topic", b"{}"]
        broadcaster.close()
        context.destroy(linger=0)
        for endpoint in ("tcp://*:9940", "tcp://[zz]:9940"):
            with pytest.raises(ToolsError):
                Broadcaster([endpoint], connect=True)

    asyncio.run(test())


def keys() -> tuple[str, str]:
    public, secret = zmq.curve_keypair()
    return public.decode(), secret.decode()


def test_an_open_endpoint_and_one_that_demands_curve_stand_side_by_side() -> None:
    allowed, stranger = keys(), keys()

    async def test(broadcaster: Broadcaster, context: Context) -> None:
        opened, closed = broadcaster.endpoints
        anybody = client(context, opened, "")
        good = client(context, closed, "", curve=Curve(PUBLIC, *allowed))
        wrong = client(context, closed, "", curve=Curve(PUBLIC, *stranger))
        without = client(context, closed, "")
        await until(lambda: broadcaster.prefixes[b""] == 2)
        await asyncio.sleep(0.5)
        assert broadcaster.prefixes[b""] == 2
        broadcaster.send((b"topic", b"{}"))
        for each in (anybody, good):
            assert await asyncio.wait_for(each.recv_multipart(), 5) == [b"topic", b"{}"]
        for each in (wrong, without):
            assert not await each.poll(200)

    run(test, curve=CurveServer(SECRET, [allowed[0]]), curve_endpoints=["tcp://127.0.0.1:*"])


def test_a_folder_of_keys_may_grow_while_it_runs(tmp_path: Path) -> None:
    async def test(broadcaster: Broadcaster, _context: Context) -> None:
        auth.create_certificates(tmp_path / "new", "client")
        public, secret = auth.load_certificate(tmp_path / "new" / "client.key_secret")
        assert secret is not None
        listener = Subscriber([""], curve=Curve(PUBLIC, public.decode(), secret.decode()))
        messages: list[list[bytes]] = []
        listener.attach(lambda: messages.extend(listener.receive(10)))
        listener.connect(broadcaster.endpoints[0])
        state = listener.endpoints[broadcaster.endpoints[0]]
        await until(lambda: state.failures)
        assert not state.connected
        (tmp_path / "new" / "client.key").rename(tmp_path / "allowed" / "client.key")
        listener.disconnect(
            broadcaster.endpoints[0]
        )  # a client that was refused does not try again by itself
        listener.connect(broadcaster.endpoints[0])
        await until(lambda: broadcaster.prefixes[b""] == 1)
        assert listener.endpoints[broadcaster.endpoints[0]].connected
        broadcaster.send((b"topic", b"{}"))
        await until(lambda: messages == [[b"topic", b"{}"]])
        listener.close()

    (tmp_path / "new").mkdir()
    (tmp_path / "allowed").mkdir()
    run(test, curve=CurveServer(SECRET, tmp_path / "allowed"))


def test_keys_that_are_none_are_refused_without_showing_them() -> None:
    for curve in (
        CurveServer("short"),
        CurveServer(SECRET, ["x" * 40 + "é"]),
        CurveServer(SECRET[:-1] + '"'),
    ):
        with pytest.raises(ToolsError, match=r"curve\.\w+ is no CURVE key"):
            Broadcaster(["tcp://127.0.0.1:*"], curve=curve)
    assert SECRET not in repr(CurveServer(SECRET))
    assert SECRET not in repr(Curve(PUBLIC, PUBLIC, SECRET))
