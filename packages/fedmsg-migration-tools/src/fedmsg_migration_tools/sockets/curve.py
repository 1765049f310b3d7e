# SPDX-License-Identifier: MIT
"""CURVE: the keys of either side, and who may connect (ZAP, ZeroMQ RFC 27), answered on the loop."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zmq
from zmq import auth
from zmq.utils import z85

from ..exceptions import ToolsError
from .wakeup import Wakeup

if TYPE_CHECKING:
    from collections.abc import Sequence

_ZAP = "inproc://zeromq.zap.01"  # RFC 27: where libzmq asks
_DOMAIN = b"fedmsg"


@dataclass(frozen=True, slots=True)
class Curve:
    """The keys of a client, each of 40 characters in Z85: the server's public one, and its own two."""

    server_key: str
    public_key: str
    secret_key: str = field(repr=False)

    def apply(self, socket: zmq.Socket[Any]) -> None:
        """Use them for all that ``socket`` connects to from now on."""
        socket.curve_serverkey = _key(self.server_key, "server_key")
        socket.curve_publickey = _key(self.public_key, "public_key")
        socket.curve_secretkey = _key(self.secret_key, "secret_key")


@dataclass(frozen=True, slots=True)
class CurveServer:
    """The key of a server, and the public keys that may connect.

    Arguments:
        secret_key: 40 characters in Z85.
        allowed: public keys, or a folder with a ``.key`` file for each (pyzmq's certificates); None: whoever knows
            the server's public key.
    """

    secret_key: str = field(repr=False)
    allowed: Path | Sequence[str] | None = None

    def apply(self, socket: zmq.Socket[Any]) -> None:
        """Demand CURVE of all that connects to ``socket``, which binds after this."""
        socket.curve_server = True
        socket.curve_secretkey = _key(self.secret_key, "secret_key")
        socket.zap_domain = _DOMAIN

    def public_keys(self) -> frozenset[bytes] | None:
        """The allowed keys as they stand now, in Z85; None: any."""
        if self.allowed is None:
            return None
        if isinstance(self.allowed, Path):
            return _folder(self.allowed)
        return frozenset(_key(key, "allowed") for key in self.allowed)


class Gatekeeper:
    """Answers libzmq's question whether a client may connect; a folder of keys is read at each question."""

    def __init__(self, context: zmq.Context[Any], curve: CurveServer) -> None:
        curve.public_keys()
        self._curve = curve
        self._socket = context.socket(zmq.REP)
        self._socket.linger = 0
        self._socket.bind(_ZAP)
        self._wakeup = Wakeup(self._socket, self._answer)

    def attach(self) -> None:
        """Answer on the running loop from now on; until then, clients wait."""
        self._wakeup.start()

    def close(self) -> None:
        """No answer after this one."""
        self._wakeup.stop()
        self._socket.close()

    def _answer(self) -> None:
        try:
            version, request, _domain, _address, _identity, mechanism, *credentials = (
                self._socket.recv_multipart(zmq.NOBLOCK)
            )
        except zmq.Again:
            return
        good = mechanism == b"CURVE" and len(credentials) == 1 and self._allows(z85.encode(credentials[0]))
        status = [b"200", b"OK"] if good else [b"400", b"this key is not allowed"]
        self._socket.send_multipart([version, request, *status, b"", b""])
        self._wakeup.again()

    def _allows(self, key: bytes) -> bool:
        try:
            allowed = self._curve.public_keys()
        except ToolsError:
            return False  # the folder went away after the start: nobody new
        return allowed is None or key in allowed


def _folder(folder: Path) -> frozenset[bytes]:
    try:
        return frozenset(auth.load_certificates(folder))
    except OSError as exc:
        raise ToolsError(f"{folder}: the folder of the allowed public keys cannot be read: {exc}") from exc


def _key(text: str, name: str) -> bytes:
    try:
        key = text.encode("ascii")
        if len(key) == 40 and len(z85.decode(key)) == 32:
            return key
    except (ValueError, KeyError):
        pass
    raise ToolsError(
        f"curve.{name} is no CURVE key: it has to be 40 characters in Z85, as curve_keygen prints them"
    )
