# SPDX-License-Identifier: MIT
"""TCP connections to a broker's host: its addresses one after the other, options of the socket, forks."""

from __future__ import annotations

import asyncio
import os
import socket
import weakref
from typing import TYPE_CHECKING

from pika import tcp_socket_opts

if TYPE_CHECKING:
    from .parameters import Parameters

_UNACKNOWLEDGED = 30_000  # ms that sent bytes may stay unacknowledged before the peer counts as gone

# Those of this process, also while they are being opened.
_sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()


def drop(sock: socket.socket) -> None:
    """Close the descriptor only: neither the peer nor an epoll shared with the parent may notice."""
    descriptor = sock.detach()
    if descriptor >= 0:
        os.close(descriptor)


def _drop_all() -> None:
    """In a forked child: these connections are the parent's, and must end when the parent ends."""
    for sock in list(_sockets):
        drop(sock)


os.register_at_fork(after_in_child=_drop_all)


async def dial(parameters: Parameters) -> socket.socket:
    """A connected socket to the first of the host's addresses that answers."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(parameters.host, parameters.port, type=socket.SOCK_STREAM)
    failure: OSError | None = None
    for family, kind, protocol, _, address in found:
        sock = socket.socket(family, kind, protocol)
        _sockets.add(sock)
        try:
            sock.setblocking(False)
            _set_options(sock, parameters)
            async with asyncio.timeout(parameters.socket_timeout or 10.0):
                await loop.sock_connect(sock, address)
        except (OSError, TimeoutError) as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    if isinstance(failure, TimeoutError):
        failure = OSError(f"no answer within {parameters.socket_timeout or 10.0:g} s")
    raise failure or OSError("the name has no address")


def _set_options(sock: socket.socket, parameters: Parameters) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED)
    tcp_socket_opts.set_sock_opts(parameters.tcp_options, sock)
