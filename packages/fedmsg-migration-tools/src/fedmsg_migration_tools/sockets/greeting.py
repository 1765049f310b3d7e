# SPDX-License-Identifier: MIT
"""Which version of ZMTP a publisher speaks, asked for in a connection of our own that is closed at once.

libzmq 4.3 sends its heartbeats to every peer of ZMTP 3, and cuts off those that do not answer; but only ZMTP 3.1
(libzmq 4.2) knows PING. To peers of 3.0 (libzmq 4.0 and 4.1) no heartbeats must be sent, and libzmq says nowhere
which version a peer has. It stands in the first twelve bytes that a peer sends (ZMTP 3.1, RFC 37, 2.2).
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

_SIGNATURE = b"\xff" + bytes(7) + b"\x01\x7f"
_GREETING = _SIGNATURE + b"\x03\x01" + b"NULL".ljust(20, b"\0") + bytes(32)
_PATIENCE = 10.0  # s; a peer that is alive answers at once


class Version(NamedTuple):
    """Major and minor version; (2, 0) stands for all that came before 3.0."""

    major: int
    minor: int


HEARTBEATS = Version(3, 1)


def parse(head: bytes) -> Version | None:
    """The version in the first twelve bytes from a peer; None: it is no ZeroMQ."""
    if len(head) < 2:
        return None
    if head[0] != 0xFF:
        return Version(2, 0) if head[1] == 0 else None  # ZMTP 1.0: an empty identity, framed
    if len(head) < 12 or not head[9] & 1:
        return None
    return Version(head[10], head[11]) if head[10] >= 3 else Version(2, 0)


async def ask(address: str) -> Version | None:
    """Connect to ``tcp://IP:PORT`` or ``ipc://PATH``, and ask; None: no answer, or no ZeroMQ."""
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(_PATIENCE):
            reader, writer = await _open(address)
            writer.write(_GREETING)
            head = await reader.read(2)
            if head[:1] == b"\xff":
                head += await reader.readexactly(12 - len(head))
            return parse(head)
    except (OSError, EOFError, ValueError):
        return None
    finally:
        if writer is not None:
            writer.transport.abort()


async def _open(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    scheme, _, rest = address.partition("://")
    if scheme == "ipc":
        return await asyncio.open_unix_connection(f"\0{rest[1:]}" if rest.startswith("@") else rest)
    host, _, port = rest.rpartition(":")
    return await asyncio.open_connection(host.strip("[]"), int(port))
