# SPDX-License-Identifier: MIT
"""The subscriber on real sockets: nothing doubled, nothing left lying, dead peers found, old ones left alone."""

from __future__ import annotations

import asyncio
import signal
import struct
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import zmq

from fedmsg_migration_tools.exceptions import ToolsError
from fedmsg_migration_tools.sockets import Subscriber, subscriber

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

PUBLISHER = """
import sys, time, zmq
socket = zmq.Context().socket(zmq.XPUB)
socket.bind(sys.argv[1])
print(socket.getsockopt_string(zmq.LAST_ENDPOINT), flush=True)
while True:
    time.sleep(0.02)
    socket.send_multipart([b"tick", b"{}"])
"""


@pytest.fixture
def context() -> Iterator[zmq.Context[Any]]:
    made: zmq.Context[Any] = zmq.Context()
    yield made
    made.destroy(linger=0)


def publisher(context: zmq.Context[Any], endpoint: str = "tcp://127.0.0.1:*") -> tuple[zmq.Socket[Any], str]:
    socket = context.socket(zmq.XPUB)
    socket.sndhwm = 0
    socket.bind(endpoint)
    return socket, socket.getsockopt_string(zmq.LAST_ENDPOINT)


@contextmanager
def process(endpoint: str = "tcp://127.0.0.1:*") -> Iterator[tuple[subprocess.Popen[str], str]]:
    with subprocess.Popen(
        [sys.executable, "-c", PUBLISHER, endpoint], stdout=subprocess.PIPE, text=True
    ) as started:
        assert started.stdout is not None
        try:
            yield started, started.stdout.readline().strip()
        finally:
            started.kill()


async def until(condition: Callable[[], object], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


class Listener:
    """A subscriber that keeps what it receives."""

    def __init__(self, *topics: str, limit: int = 100) -> None:
        self.socket = Subscriber(topics or [""])
        self.messages: list[list[bytes]] = []
        self.turns = 0
        self.limit = limit
        self.socket.attach(self.read)

    def read(self) -> None:
        self.turns += 1
        self.messages += self.socket.receive(self.limit)


def run(test: Callable[[Listener], Awaitable[None]], *topics: str, limit: int = 100) -> None:
    async def whole() -> None:
        listener = Listener(*topics, limit=limit)
        try:
            await test(listener)
        finally:
            listener.socket.close()

    asyncio.run(whole())


def test_prefixes_that_overlap_do_not_double_a_message(context: zmq.Context[Any]) -> None:
    sender, endpoint = publisher(context)

    async def test(listener: Listener) -> None:
        listener.socket.connect(endpoint)
        listener.socket.connect(endpoint)
        await until(lambda: listener.socket.endpoints[endpoint].connected)
        for _ in range(3):
            sender.recv()
        for number in range(100):
            sender.send_multipart([b"org.x", b"%d" % number])
        sender.send_multipart([b"end", b""])
        await until(lambda: listener.messages[-1:] == [[b"end", b""]])
        assert listener.messages[:-1] == [[b"org.x", b"%d" % number] for number in range(100)]

    run(test, "", "org.", "org.x")


def test_a_flood_is_read_to_its_end_in_turns_that_leave_room_for_others(context: zmq.Context[Any]) -> None:
    sender, endpoint = publisher(context)

    async def test(listener: Listener) -> None:
        listener.socket.connect(endpoint)
        await until(lambda: sender.poll(0))
        others = 0
        for number in range(20_000):
            sender.send_multipart([b"topic", b"%d" % number])
        async with asyncio.timeout(20):
            while len(listener.messages) < 20_000:
                await asyncio.sleep(0)
                others += 1
        assert [int(body) for _, body in listener.messages] == list(range(20_000))
        assert others >= 200
        assert listener.turns < 20_000

    run(test)


def test_paused_nothing_is_called_and_resumed_nothing_is_missing(context: zmq.Context[Any]) -> None:
    sender, endpoint = publisher(context)

    async def test(listener: Listener) -> None:
        listener.socket.connect(endpoint)
        await until(lambda: sender.poll(0))
        listener.socket.pause()
        turns = listener.turns
        for number in range(500):
            sender.send_multipart([b"topic", b"%d" % number])
        await asyncio.sleep(0.2)
        assert listener.turns == turns
        assert listener.messages == []
        listener.socket.resume()
        await until(lambda: len(listener.messages) == 500)

    run(test)


def test_what_had_arrived_comes_out_after_a_disconnect(context: zmq.Context[Any]) -> None:
    leaving, leaves = publisher(context)
    staying, stays = publisher(context)

    async def test(listener: Listener) -> None:
        listener.socket.connect(leaves)
        listener.socket.connect(stays)
        await until(lambda: leaving.poll(0) and staying.poll(0))
        listener.socket.pause()
        for number in range(5000):
            leaving.send_multipart([b"leaving", b"%d" % number])
            staying.send_multipart([b"staying", b"%d" % number])
        await asyncio.sleep(0.3)
        listener.socket.disconnect(leaves)
        assert list(listener.socket.endpoints) == [stays]
        staying.send_multipart([b"staying", b"5000"])
        listener.socket.resume()
        await until(lambda: len(listener.messages) >= 10_001)
        for topic, count in ((b"leaving", 5000), (b"staying", 5001)):
            assert [int(body) for name, body in listener.messages if name == topic] == list(range(count))
        with pytest.raises(ToolsError):
            listener.socket.disconnect(leaves)

    run(test)


@pytest.mark.parametrize(
    "endpoint",
    [
        "localhost:9940",
        "http://localhost:9940",
        "tcp://localhost",
        "tcp://localhost:",
        "tcp://localhost:0",
        "tcp://localhost:65536",
        "tcp://localhost:http",
        "tcp://*:9940",
        "tcp://:9940",
        "tcp://::1:9940",
        "tcp://a b:9940",
        "tcp://a;b:9940",
        "tcp://",
        "ipc://",
        "ipc:///" + "x" * 108,
        "inproc://x",
        "tcp://[zz]:9940",
        "tcp://a:9940\n",
        "",
    ],
)
def test_a_bad_address_is_named_in_a_line_and_the_others_go_on(
    context: zmq.Context[Any], endpoint: str
) -> None:
    sender, good = publisher(context)

    async def test(listener: Listener) -> None:
        listener.socket.connect(good)
        with pytest.raises(ToolsError) as caught:
            listener.socket.connect(endpoint)
        assert repr(endpoint) in str(caught.value)
        assert "\n" not in str(caught.value)
        assert list(listener.socket.endpoints) == [good]
        await until(lambda: sender.poll(0))
        sender.send_multipart([b"topic", b""])
        await until(lambda: listener.messages)

    run(test)


def test_a_name_that_does_not_resolve_counts_failures_and_harms_nobody(context: zmq.Context[Any]) -> None:
    sender, good = publisher(context)

    async def test(listener: Listener) -> None:
        listener.socket.connect("tcp://nobody.invalid:9940")
        listener.socket.connect(good)
        await until(lambda: sender.poll(0))
        sender.send_multipart([b"topic", b""])
        await until(lambda: listener.messages)
        await until(lambda: listener.socket.endpoints["tcp://nobody.invalid:9940"].failures >= 2)
        assert not listener.socket.endpoints["tcp://nobody.invalid:9940"].connected
        listener.socket.disconnect("tcp://nobody.invalid:9940")

    run(test)


def test_the_state_follows_a_publisher_that_is_late_dies_and_comes_back() -> None:
    async def test(listener: Listener) -> None:
        with process() as (_first, address):
            port = address.rpartition(":")[2]
        name = f"tcp://localhost:{port}"
        listener.socket.connect(name)
        state = listener.socket.endpoints[name]
        await until(lambda: state.failures >= 2)
        assert not state.connected
        for times in (1, 2):
            with process(address):
                await until(lambda: state.connected)
                listener.messages.clear()
                await until(lambda: listener.messages)
                assert state.since > time.time() - 10
            await until(lambda: not state.connected)
            assert state.disconnects == times

    run(test)


def test_a_frozen_publisher_is_found_and_heard_again_when_it_thaws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriber, "_HEARTBEAT_INTERVAL", 200)
    monkeypatch.setattr(subscriber, "_HEARTBEAT_TIMEOUT", 600)

    async def test(listener: Listener) -> None:
        with process() as (frozen, endpoint), process() as (_alive, other):
            listener.socket.connect(endpoint)
            listener.socket.connect(other)
            states = listener.socket.endpoints
            await until(lambda: states[endpoint].connected and states[other].connected)
            frozen.send_signal(signal.SIGSTOP)
            await until(lambda: not states[endpoint].connected)
            assert states[other].disconnects == 0
            frozen.send_signal(signal.SIGCONT)
            await until(lambda: states[endpoint].connected, 20)
            listener.socket.disconnect(other)
            listener.messages.clear()
            await until(lambda: listener.messages)

    run(test)


class Proxy:
    """Between a subscriber and a publisher; silent, it swallows everything, as a dropped network does."""

    def __init__(self) -> None:
        self.silent = False

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        if self.silent:
            await asyncio.sleep(60)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(self.pump(reader, far_writer), self.pump(far_reader, writer))

    async def pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                if not self.silent:
                    writer.write(data)
        except OSError:
            pass
        writer.close()


def test_a_network_that_drops_everything_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriber, "_HEARTBEAT_INTERVAL", 200)
    monkeypatch.setattr(subscriber, "_HEARTBEAT_TIMEOUT", 600)

    async def test(listener: Listener) -> None:
        proxy = Proxy()
        with process() as (_publisher, endpoint):
            port = int(endpoint.rpartition(":")[2])
            server = await asyncio.start_server(lambda r, w: proxy.relay(r, w, port), "127.0.0.1", 0)
            through = f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            listener.socket.connect(through)
            state = listener.socket.endpoints[through]
            await until(lambda: listener.messages and state.connected)
            proxy.silent = True
            await until(lambda: not state.connected)
            assert state.disconnects == 1
            proxy.silent = False
            await until(lambda: state.connected, 25)
            server.close()

    run(test)


class OldPublisher:
    """Speaks an old ZMTP, as its bytes are, and never answers a PING."""

    def __init__(self, head: bytes, ready: bytes = b"") -> None:
        self.head = head
        self.ready = ready
        self.writers: list[asyncio.StreamWriter] = []
        self.subscribers: list[asyncio.StreamWriter] = []
        self.heard = b""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        writer.write(self.head)
        try:
            while data := await reader.read(1000):
                if self.ready and b"READY" in data:
                    writer.write(self.ready)
                if data.endswith(b"\x01"):  # a subscription to everything
                    self.subscribers.append(writer)
                self.heard += data
        except OSError:
            pass


ZMTP_30 = OldPublisher(
    b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32),
    b"\x04\x19\x05READY\x0bSocket-Type" + struct.pack(">I", 3) + b"PUB",
)
OLD = {
    "3.0": ZMTP_30,
    "2.0": OldPublisher(b"\xff" + bytes(7) + b"\x01\x7f\x01\x01\x00\x00"),
    "1.0": OldPublisher(b"\x01\x00"),
}


@pytest.mark.parametrize("version", OLD)
def test_an_old_publisher_is_not_cut_off_for_its_silence(
    monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    monkeypatch.setattr(subscriber, "_HEARTBEAT_INTERVAL", 100)
    monkeypatch.setattr(subscriber, "_HEARTBEAT_TIMEOUT", 300)
    old = OLD[version]

    async def test(listener: Listener) -> None:
        server = await asyncio.start_server(old, "127.0.0.1", 0)
        endpoint = f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        listener.socket.connect(endpoint)
        state = listener.socket.endpoints[endpoint]
        await until(lambda: state.connected and old.subscribers)
        await asyncio.sleep(1.2)
        assert (state.connected, state.disconnects, state.failures) == (True, 0, 0)
        assert b"PING" not in old.heard
        old.subscribers[-1].write(b"\x03\x01ab\x02\x00c" if version == "1.0" else b"\x01\x02ab\x00\x01c")
        await until(lambda: listener.messages)
        assert listener.messages == [[b"ab", b"c"]]
        server.close()
        for writer in old.writers:
            writer.close()

    run(test)


def test_a_peer_that_announces_a_huge_frame_is_cut_off_before_memory_is_taken() -> None:
    peer = OldPublisher(ZMTP_30.head, ZMTP_30.ready)

    async def test(listener: Listener) -> None:
        server = await asyncio.start_server(peer, "127.0.0.1", 0)
        endpoint = f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        listener.socket.connect(endpoint)
        state = listener.socket.endpoints[endpoint]
        await until(lambda: state.connected and peer.subscribers)
        peer.subscribers[-1].write(b"\x02" + struct.pack(">Q", 1 << 40))
        await until(lambda: state.disconnects)
        server.close()
        for writer in peer.writers:
            writer.close()

    run(test)


def test_what_is_no_zeromq_counts_as_a_failure_and_is_not_connected() -> None:
    async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n" * 10)
        writer.close()

    async def test(listener: Listener) -> None:
        server = await asyncio.start_server(web, "127.0.0.1", 0)
        endpoint = f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        listener.socket.connect(endpoint)
        await until(lambda: listener.socket.endpoints[endpoint].failures >= 3)
        assert not listener.socket.endpoints[endpoint].connected
        server.close()  # libzmq takes such bytes for ZMTP 1.0, and they may arrive as messages

    run(test)


@pytest.mark.parametrize("where", ["tcp://[::1]:*", "ipc://{folder}/socket"])
def test_ipv6_and_unix_sockets_work(
    context: zmq.Context[Any], tmp_path_factory: pytest.TempPathFactory, where: str
) -> None:
    context.setsockopt(zmq.IPV6, 1)
    sender, endpoint = publisher(context, where.format(folder=tmp_path_factory.mktemp("s")))

    async def test(listener: Listener) -> None:
        listener.socket.connect(endpoint)
        await until(lambda: sender.poll(0) and listener.socket.endpoints[endpoint].connected)
        sender.send_multipart([b"topic", b""])
        await until(lambda: listener.messages)
        sender.close()
        await until(lambda: listener.socket.endpoints[endpoint].disconnects == 1)

    run(test)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_five_hundred_endpoints_are_one_socket() -> None:
    async def test(listener: Listener) -> None:
        before = open_files()
        for port in range(20000, 20500):
            listener.socket.connect(f"tcp://127.255.0.1:{port}")
        assert len(listener.socket.endpoints) == 500
        await until(lambda: all(state.failures for state in listener.socket.endpoints.values()))
        assert open_files() < before + 20

    run(test)
