# SPDX-License-Identifier: MIT
"""Why a broker ended a connection right after the TLS handshake: asked once more, and listened to.

With TLS 1.3 a server judges the client's certificate when the client already counts the handshake as done (RFC 8446,
appendix E.1.6). What the client sends in that moment meets a closed socket, and the reset destroys the alert that
says why. A client that says nothing hears it.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

from .sockets import dial

if TYPE_CHECKING:
    from .parameters import Parameters

_PATIENCE = 2.0  # seconds for name, socket, handshake and alert


async def heard(parameters: Parameters, context: ssl.SSLContext) -> ssl.SSLError | None:
    """The alert that the broker sends after a handshake; None when it sends none in two seconds."""
    writer = None
    try:
        async with asyncio.timeout(_PATIENCE):
            sock = await dial(parameters)
            reader, writer = await asyncio.open_connection(
                sock=sock, ssl=context, server_hostname=parameters.host
            )
            await reader.read(1)
    except ssl.SSLError as error:
        return error
    except (OSError, TimeoutError):
        pass
    finally:
        if writer is not None:
            writer.transport.abort()
    return None
