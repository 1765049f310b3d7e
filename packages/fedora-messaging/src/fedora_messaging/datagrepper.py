# SPDX-License-Identifier: MIT
"""Asking an archive of messages (datagrepper, ``GET /v2/id``) for one of them. What its answer means is not known here.

Blocking: for a command, or for a thread.
"""

from __future__ import annotations

import json
import time
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import HTTPRedirectHandler, build_opener

if TYPE_CHECKING:
    from http.client import HTTPMessage, HTTPResponse
    from typing import IO
    from urllib.request import Request

__all__ = ["NotArchived", "Unreachable", "ask"]

SECONDS = 30.0
LARGEST = 64 * 2**20
_READ = 65536  # bytes
_ABSENT = (400, 404)  # 400: what is no id to it


class NotArchived(Exception):
    """The archive has no such message."""


class Unreachable(Exception):
    """The archive gave no answer, or none that is JSON; one line that says which."""


def ask(url: str, message_id: str, *, seconds: float = SECONDS, largest: int = LARGEST) -> Any:
    """What the archive at ``url`` (http or https) says about this id: decoded JSON.

    Arguments:
        url: where it is.
        message_id: the id.
        seconds: for the whole of it.
        largest: bytes of the answer.

    Raises ``NotArchived`` or ``Unreachable``.
    """
    address = f"{url.rstrip('/')}/v2/id?id={quote(message_id, safe='')}&is_raw=true"
    end = time.monotonic() + seconds
    try:
        with build_opener(_NoWayDown).open(address, timeout=seconds) as response:
            body = _read(response, end, largest)
    except HTTPError as error:
        error.close()
        if error.code in _ABSENT:
            raise NotArchived(f"the archive at {url} has no message {message_id} ({error.code})") from error
        raise Unreachable(f"the archive at {url} answered {error.code} {error.reason}") from error
    except (OSError, URLError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise Unreachable(f"no answer from the archive at {url}: {reason}") from error
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        said = " ".join(str(error).split())
        raise Unreachable(f"the archive at {url} answered something else than JSON: {said}") from error


def _read(response: HTTPResponse, end: float, largest: int) -> bytes:
    """The whole answer: a time limit of a socket is for each of its packets only."""
    parts = bytearray()
    while part := response.read1(_READ):
        parts += part
        if len(parts) > largest:
            raise ValueError(f"the answer has more than {largest} bytes")
        if time.monotonic() > end:
            raise TimeoutError("timed out")
    return bytes(parts)


class _NoWayDown(HTTPRedirectHandler):
    """Does not follow from https to where anyone on the way could change the message."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        if req.type == "https" and not newurl.startswith("https://"):
            raise URLError(f"it redirects to {newurl[:200]}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)
