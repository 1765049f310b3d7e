# SPDX-License-Identifier: MIT
"""What libzmq tells about connections: its monitor's events, decoded on the loop, and the state they add up to."""

from __future__ import annotations

import os
import socket as sockets
import struct
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import zmq

from .wakeup import Wakeup

if TYPE_CHECKING:
    from collections.abc import Callable

EVENTS = (
    zmq.EVENT_CONNECTED
    | zmq.EVENT_CONNECT_RETRIED
    | zmq.EVENT_ACCEPTED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)
_HEAD = struct.Struct("=HI")  # zmq_socket_monitor(3): event and value, in the machine's own order


class Event(NamedTuple):
    """One event: its kind, its value (a descriptor, an errno or an interval), and the endpoint it is about."""

    kind: int
    value: int
    endpoint: str


@dataclass(slots=True)
class EndpointState:
    """How it stands with one endpoint; kept up to date, read it whenever you like.

    ``connected``: the peer is there and speaks ZMTP; ``since``: when that last changed, seconds since the epoch;
    ``failures``: attempts and handshakes that failed, ``disconnects``: connections that were there and were lost,
    both since the endpoint was added.
    """

    connected: bool = False
    since: float = field(default_factory=time.time)
    failures: int = 0
    disconnects: int = 0

    def turn(self, connected: bool) -> None:
        """``connected`` is this from now on."""
        if self.connected != connected:
            self.connected = connected
            self.since = time.time()


class Monitor:
    """Reads the events of one socket, without a thread.

    Arguments:
        socket: the socket that is watched, before it connects or binds.
        handle: called with each event, on the loop.
    """

    def __init__(self, socket: zmq.Socket[Any], handle: Callable[[Event], None]) -> None:
        self._watched = socket
        self._handle = handle
        self._events = socket.get_monitor_socket(EVENTS)
        self._events.rcvhwm = 0
        self._wakeup = Wakeup(self._events, self.read)

    def attach(self) -> None:
        """Read on the running loop from now on."""
        self._wakeup.start()

    def read(self) -> None:
        """Handle all events that are there."""
        while True:
            try:
                head, endpoint = self._events.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            kind, value = _HEAD.unpack(head)
            self._handle(Event(kind, value, endpoint.decode(errors="replace")))

    def close(self) -> None:
        """No event after this one."""
        self._wakeup.stop()
        self._watched.disable_monitor()
        self._events.close(linger=0)  # else the context waits for it


class States:
    """The states of the endpoints that a socket connects to, from its events.

    libzmq names an endpoint as it was given until the first connection, and by its resolved address after that:
    the descriptor that comes with a connection says whose address it is.

    Arguments:
        reached: called with an endpoint and its address whenever there is a connection to it, before the handshake.
    """

    def __init__(self, reached: Callable[[str, str], None] = lambda _endpoint, _address: None) -> None:
        self.endpoints: dict[str, EndpointState] = {}
        self._reached = reached
        self._addresses: dict[str, str] = {}
        self._descriptors: dict[int, str] = {}
        self._lost: set[str] = set()

    def add(self, endpoint: str) -> None:
        """A new endpoint, not connected yet."""
        self.endpoints[endpoint] = EndpointState()

    def remove(self, endpoint: str) -> None:
        """Events that still come for it are ignored."""
        self.endpoints.pop(endpoint, None)
        self._addresses = {a: name for a, name in self._addresses.items() if name != endpoint}
        self.forget(endpoint)

    def forget(self, endpoint: str) -> None:
        """Its connection is closed by ourselves."""
        self._lost.discard(endpoint)
        self._descriptors = {d: name for d, name in self._descriptors.items() if name != endpoint}

    def talks(self, endpoint: str) -> None:
        """The peer has shown that it speaks ZMTP."""
        if endpoint in self._descriptors.values():
            self.endpoints[endpoint].turn(connected=True)

    def handle(self, event: Event) -> None:
        """Bring the state of the endpoint that ``event`` is about up to date."""
        name = self._name(event)
        state = self.endpoints.get(name)
        if state is None:
            return
        if event.kind == zmq.EVENT_CONNECTED:
            self._connected(name, event)
        elif event.kind == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            self.talks(name)
        elif event.kind == zmq.EVENT_DISCONNECTED:
            if self._descriptors.pop(event.value, None) is not None:
                self._lost.add(name)
                state.disconnects += state.connected
                state.turn(connected=False)
        elif event.kind == zmq.EVENT_CONNECT_RETRIED and name in self._lost:
            self._lost.discard(name)  # says that it will be tried again, not that it was
        else:
            state.failures += 1
            state.turn(connected=False)

    def _connected(self, name: str, event: Event) -> None:
        self._descriptors[event.value] = name
        self._lost.discard(name)
        address = event.endpoint if event.endpoint.startswith("ipc:") else _peer(event.value)
        if address is not None:
            self._addresses[address] = name
            self._reached(name, address)

    def _name(self, event: Event) -> str:
        if event.kind == zmq.EVENT_DISCONNECTED and event.value in self._descriptors:
            return self._descriptors[event.value]
        if event.endpoint in self.endpoints:
            return event.endpoint
        return self._addresses.get(event.endpoint, event.endpoint)


def _peer(descriptor: int) -> str | None:
    """The address at the other end of one of libzmq's connections, as libzmq writes it."""
    try:
        with sockets.socket(fileno=os.dup(descriptor)) as duplicate:
            address = duplicate.getpeername()
    except OSError:
        return None  # gone already, and the next event says so
    if not isinstance(address, tuple):
        return None
    host = f"[{address[0]}]" if len(address) == 4 else address[0]
    return f"tcp://{host}:{address[1]}"
