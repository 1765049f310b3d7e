# SPDX-License-Identifier: MIT
"""Publishing to many subscribers through XPUB sockets. What the frames mean does not belong here."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import zmq

from ..exceptions import ToolsError
from .address import check_connect
from .curve import Gatekeeper
from .monitor import Event, Monitor
from .options import bind, last_endpoint, tune
from .wakeup import Wakeup

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .curve import CurveServer

_LARGEST_SUBSCRIPTION = 4096
_MOST_PREFIXES = 10_000


class Broadcaster:
    """XPUB sockets that say who listens.

    Arguments:
        endpoints: where to listen (``tcp://*:9940``), or to connect to.
        connect: connect instead of listening.
        high_water_mark: how many messages wait for one subscriber; what comes on top is lost for this one only.
        linger: how long, in seconds, :meth:`close` waits for what is not on the wire yet.
        curve: demand CURVE.
        curve_endpoints: where to demand it, with ``endpoints`` open to everybody; empty: at ``endpoints``.
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        *,
        connect: bool = False,
        high_water_mark: int = 100_000,
        linger: float = 5.0,
        curve: CurveServer | None = None,
        curve_endpoints: Sequence[str] = (),
    ) -> None:
        self._context: zmq.Context[Any] = zmq.Context()
        self._linger = linger
        self._gatekeeper: Gatekeeper | None = None
        self._outlets: list[_Outlet] = []
        self.prefixes: Counter[bytes] = Counter()
        try:
            self._open(endpoints, connect, high_water_mark, curve, curve_endpoints)
        except BaseException:
            self._context.destroy(linger=0)
            raise

    def _open(
        self,
        endpoints: Sequence[str],
        connect: bool,
        high_water_mark: int,
        curve: CurveServer | None,
        curve_endpoints: Sequence[str],
    ) -> None:
        if curve is not None and curve.allowed is not None:
            self._gatekeeper = Gatekeeper(self._context, curve)
        first = None if curve_endpoints else curve
        for where, keys in ((endpoints, first), (curve_endpoints, curve)):
            if where:
                outlet = _Outlet(self._context, high_water_mark, keys, self.prefixes)
                self._outlets.append(outlet)
                for endpoint in where:
                    outlet.open(endpoint, connect=connect)

    @property
    def endpoints(self) -> list[str]:
        """The endpoints as they really are, with the port that ``*`` became."""
        return [endpoint for outlet in self._outlets for endpoint in outlet.endpoints]

    @property
    def peers(self) -> int:
        """How many are connected now."""
        return sum(len(outlet.peers) for outlet in self._outlets)

    def attach(self) -> None:
        """Keep the counts, and answer for CURVE, on the running loop."""
        if self._gatekeeper is not None:
            self._gatekeeper.attach()
        for outlet in self._outlets:
            outlet.attach()

    def send(self, frames: tuple[bytes, bytes]) -> None:
        """Hand a message to libzmq, for all whose prefixes match; never waits."""
        for outlet in self._outlets:
            outlet.send(frames)

    def close(self) -> None:
        """Close; waits, at most ``linger`` seconds, until what was sent is on the wire."""
        for outlet in self._outlets:
            outlet.close(self._linger)
        self._outlets.clear()
        if self._gatekeeper is not None:
            self._gatekeeper.close()
        self._context.term()


class _Outlet:
    """One XPUB socket."""

    def __init__(
        self,
        context: zmq.Context[Any],
        high_water_mark: int,
        curve: CurveServer | None,
        prefixes: Counter[bytes],
    ) -> None:
        self.endpoints: list[str] = []
        self.peers: set[int] = set()
        self._prefixes = prefixes
        self._socket = context.socket(zmq.XPUB)
        tune(self._socket, largest=_LARGEST_SUBSCRIPTION)
        self._socket.setsockopt(zmq.XPUB_VERBOSER, 1)
        self._socket.sndhwm = high_water_mark
        if curve is not None:
            curve.apply(self._socket)
        self._send = self._socket.send
        self._monitor = Monitor(self._socket, self._count_peer)
        self._wakeup = Wakeup(self._socket, self._read)

    def open(self, endpoint: str, *, connect: bool) -> None:
        if connect:
            check_connect(endpoint)
            try:
                self._socket.connect(endpoint)
            except zmq.ZMQError as exc:
                raise ToolsError(f"{endpoint!r}: {exc.strerror}") from exc
            self.endpoints.append(last_endpoint(self._socket))
        else:
            self.endpoints.append(bind(self._socket, endpoint))

    def attach(self) -> None:
        self._monitor.attach()
        self._wakeup.start()

    def send(self, frames: tuple[bytes, bytes]) -> None:
        self._send(frames[0], zmq.SNDMORE | zmq.NOBLOCK)
        self._send(frames[1], zmq.NOBLOCK)
        self._wakeup.again()

    def close(self, linger: float) -> None:
        self._wakeup.stop()
        self._monitor.close()
        self._socket.close(linger=int(linger * 1000))

    def _count_peer(self, event: Event) -> None:
        if event.kind in {zmq.EVENT_ACCEPTED, zmq.EVENT_CONNECTED}:
            self.peers.add(event.value)
        elif event.kind == zmq.EVENT_DISCONNECTED:
            self.peers.discard(event.value)

    def _read(self) -> None:
        for _ in range(1000):
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            _count_subscription(self._prefixes, frames[0])
        self._wakeup.again()


def _count_subscription(prefixes: Counter[bytes], frame: bytes) -> None:
    """ZMTP's subscription frames: 1 and the prefix, or 0 and the prefix; anything else is ignored."""
    prefix = frame[1:]
    if frame[:1] == b"\x01" and (prefix in prefixes or len(prefixes) < _MOST_PREFIXES):
        prefixes[prefix] += 1
    elif frame[:1] == b"\x00" and prefix in prefixes:
        prefixes[prefix] -= 1
        if prefixes[prefix] <= 0:
            del prefixes[prefix]
