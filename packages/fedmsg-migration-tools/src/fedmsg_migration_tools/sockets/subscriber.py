# SPDX-License-Identifier: MIT
"""Listening to many publishers through one SUB socket. What the frames mean does not belong here."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import zmq

from ..exceptions import ToolsError
from . import greeting
from .address import check_connect, is_ipv6
from .monitor import Monitor, States
from .options import last_endpoint, tune
from .wakeup import Wakeup

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .curve import Curve
    from .monitor import EndpointState

# Longer than RabbitMQ takes (128 MiB): no message that could be bridged is refused, and no peer makes us allocate
# what it merely announces.
_LARGEST_MESSAGE = 128 * 1024 * 1024
_DRAIN_SECONDS = 2.0
_MOST_SOCKETS = 65_535
_HEARTBEAT_INTERVAL = 10_000  # ms
_HEARTBEAT_TIMEOUT = 30_000  # ms


class Subscriber:
    """A SUB socket that connects to any number of publishers.

    Arguments:
        topics: prefixes to subscribe to; ``""`` is everything. A message that several match comes once.
        curve: keys, when all publishers demand CURVE.
        high_water_mark: how many messages libzmq holds for each publisher before it stops reading from it, after
            which they wait, and are finally lost, at the publisher's side; 0: as many as come.
        beside: share this one's thread for input and output, for those who have a socket for each publisher; it has to
            be closed last.
    """

    def __init__(
        self,
        topics: Sequence[str],
        *,
        curve: Curve | None = None,
        high_water_mark: int = 0,
        beside: Subscriber | None = None,
    ) -> None:
        self._beside = beside
        self._context: zmq.Context[Any] = _context() if beside is None else beside.context
        self._socket = self._context.socket(zmq.SUB)
        tune(self._socket, largest=_LARGEST_MESSAGE)
        _find_dead_peers(self._socket)
        self._socket.rcvhwm = high_water_mark
        if curve is not None:
            self._use(curve)
        self._states = States(self._reached)
        self._monitor = Monitor(self._socket, self._states.handle)
        self._wakeup = Wakeup(self._socket, self._look)
        self._readable: Callable[[], None] = lambda: None
        self._drained: deque[list[bytes]] = deque()
        self._links: dict[str, _Link] = {}
        self._asking: set[asyncio.Task[None]] = set()
        for topic in topics:
            self._socket.subscribe(topic)

    @property
    def context(self) -> zmq.Context[Any]:
        """Of libzmq, for another one beside this."""
        return self._context

    @property
    def endpoints(self) -> Mapping[str, EndpointState]:
        """The endpoints by the text they were connected with, and how it stands with each."""
        return MappingProxyType(self._states.endpoints)

    def attach(self, readable: Callable[[], None]) -> None:
        """Call ``readable`` on the running loop whenever messages may be there.

        It is called again, after the loop's other work, until :meth:`receive` returned fewer than it was allowed.
        """
        self._readable = readable
        self._monitor.attach()
        self._wakeup.start()

    def pause(self) -> None:
        """Do not call ``readable`` until :meth:`resume`; libzmq goes on receiving, up to the high-water mark."""
        self._wakeup.stop()

    def resume(self) -> None:
        """The opposite of :meth:`pause`."""
        self._wakeup.start()

    def receive(self, limit: int) -> list[list[bytes]]:
        """At most ``limit`` messages that are there, each a list of its frames; never waits."""
        messages: list[list[bytes]] = []
        while self._drained and len(messages) < limit:
            messages.append(self._drained.popleft())
        self._take(messages, limit)
        if len(messages) == limit:
            self._wakeup.again()
        return messages

    def connect(self, endpoint: str) -> None:
        """Listen to one more publisher; libzmq keeps trying for as long as it does not answer.

        Raises:
            ToolsError: no such address can exist; the other endpoints are not touched.
        """
        if endpoint in self._states.endpoints:
            return
        check_connect(endpoint)
        self._states.add(endpoint)
        try:
            self._link(endpoint, heartbeats=True)
        except zmq.ZMQError as exc:
            self._states.remove(endpoint)
            raise ToolsError(f"{endpoint!r}: {exc.strerror}") from exc

    def disconnect(self, endpoint: str) -> None:
        """Listen to this publisher no more; what had arrived from it still comes out of :meth:`receive`.

        libzmq throws away what is queued from a connection that is closed, so the queue is emptied first. What
        arrives in the microseconds between, or is still in the kernel's buffer, is lost.

        Raises:
            ToolsError: it is not connected to.
        """
        if endpoint not in self._states.endpoints:
            raise ToolsError(f"{endpoint!r} is not connected to")
        self._drain(_DRAIN_SECONDS)
        self._states.remove(endpoint)
        self._socket.disconnect(self._links.pop(endpoint).last_endpoint)
        self._wakeup.again()

    def close(self) -> None:
        """Close the socket; messages that were not received are gone."""
        for task in self._asking:
            task.cancel()
        self._wakeup.stop()
        self._monitor.close()
        self._socket.close(linger=0)
        if self._beside is None:
            self._context.term()

    def _use(self, curve: Curve) -> None:
        try:
            curve.apply(self._socket)
        except ToolsError:
            self._context.destroy(linger=0)
            raise

    def _link(self, endpoint: str, *, heartbeats: bool) -> None:
        """Connect, with options that hold for this endpoint from now on."""
        # With IPv6 on, libzmq never tries the IPv4 address of a name that has both.
        self._socket.ipv6 = is_ipv6(endpoint)
        self._socket.heartbeat_ivl = _HEARTBEAT_INTERVAL if heartbeats else 0
        self._socket.connect(endpoint)
        self._links[endpoint] = _Link(last_endpoint(self._socket), heartbeats)
        self._wakeup.again()

    def _reached(self, endpoint: str, address: str) -> None:
        """There is a connection: ask, aside from it, which version of ZMTP the publisher speaks."""
        task = asyncio.get_running_loop().create_task(self._ask(endpoint, address))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _ask(self, endpoint: str, address: str) -> None:
        version = await greeting.ask(address)
        link = self._links.get(endpoint)
        if version is None or link is None:
            return
        if version.major < 3:
            self._states.talks(
                endpoint
            )  # libzmq reports no handshake for these, and sends them no heartbeats
        elif link.heartbeats != (version >= greeting.HEARTBEATS):
            self._drain(_DRAIN_SECONDS / 20)
            self._states.forget(endpoint)
            self._socket.disconnect(link.last_endpoint)
            self._link(endpoint, heartbeats=not link.heartbeats)

    def _look(self) -> None:
        self._readable()

    def _take(self, messages: list[list[bytes]], limit: int) -> None:
        receive = self._socket.recv_multipart
        try:
            while len(messages) < limit:
                messages.append(receive(zmq.NOBLOCK))
        except zmq.Again:
            pass

    def _drain(self, seconds: float) -> None:
        """Take what is queued; in a flood from the others, stop after a while."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            batch: list[list[bytes]] = []
            self._take(batch, 1000)
            self._drained.extend(batch)
            if len(batch) < 1000:
                break


class _Link(NamedTuple):
    """How an endpoint is connected: libzmq's own spelling of it, and whether heartbeats are sent."""

    last_endpoint: str
    heartbeats: bool


def _context() -> zmq.Context[Any]:
    context: zmq.Context[Any] = zmq.Context()
    context.set(zmq.MAX_SOCKETS, _MOST_SOCKETS)
    return context


def _find_dead_peers(socket: zmq.Socket[Any]) -> None:
    """How dead peers are found, and how soon they are tried again; all times in ms."""
    socket.linger = 0
    socket.reconnect_ivl = 100
    # As fedmsg has it: what a publisher sends before it is reached is lost. 500 dead ones cost 1.3 % of a core.
    socket.reconnect_ivl_max = 1_000
    socket.heartbeat_timeout = _HEARTBEAT_TIMEOUT
    socket.heartbeat_ttl = 2 * _HEARTBEAT_TIMEOUT
