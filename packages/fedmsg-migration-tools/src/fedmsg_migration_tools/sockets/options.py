# SPDX-License-Identifier: MIT
"""What all sockets have in common: their options, how they bind, and libzmq's errors in words."""

from __future__ import annotations

import errno
from typing import Any

import zmq

from ..exceptions import ToolsError
from .address import check_bind


def tune(socket: zmq.Socket[Any], *, largest: int) -> None:
    """Find peers that vanished without a word, and drop those that never say who they are.

    Arguments:
        socket: before it binds or connects.
        largest: how long a frame from a peer may be, in bytes; a peer that announces a longer one is cut off,
            before memory is set aside for it.
    """
    socket.maxmsgsize = largest
    socket.handshake_ivl = 10_000  # ms
    socket.tcp_keepalive = 1
    socket.tcp_keepalive_idle = 60  # s
    socket.tcp_keepalive_intvl = 15  # s
    socket.tcp_keepalive_cnt = 4


def bind(socket: zmq.Socket[Any], endpoint: str) -> str:
    """Listen at ``endpoint``; return what it really is, with the port that ``*`` became.

    ``tcp://*`` is all interfaces, by IPv6 and IPv4 where the system has both.

    Raises:
        ToolsError: the text is no endpoint, or one cannot listen there.
    """
    check_bind(endpoint)
    socket.ipv6 = endpoint.startswith(("tcp://*:", "tcp://["))
    try:
        socket.bind(endpoint)
    except zmq.ZMQError as exc:
        raise ToolsError(_why(endpoint, exc)) from exc
    return last_endpoint(socket)


def last_endpoint(socket: zmq.Socket[Any]) -> str:
    """The endpoint of the last bind or connect, in libzmq's own spelling."""
    text = socket.getsockopt(zmq.LAST_ENDPOINT)
    return text.rstrip(b"\0").decode() if isinstance(text, bytes) else str(text)


def _why(endpoint: str, exc: zmq.ZMQError) -> str:
    if exc.errno == errno.EADDRINUSE and endpoint.startswith("tcp://"):
        port = endpoint.rpartition(":")[2]
        return (
            f"cannot listen at {endpoint}: the address is in use; `ss -ltnp 'sport = :{port}'` shows by whom "
            "(an old fedmsg-relay or fedmsg-gateway, or another bridge?)"
        )
    return f"cannot listen at {endpoint}: {exc.strerror}"
