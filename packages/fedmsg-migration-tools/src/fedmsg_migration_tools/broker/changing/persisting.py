# SPDX-License-Identifier: MIT
"""Requests that may be made twice, made until the broker answers: it may be started again meanwhile."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

from ...exceptions import ToolsError
from ...management.client import ManagementError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ...management.client import Management

__all__ = ["Persistent", "Refused"]

#: Those of a broker that stops, starts, or has been killed.
_PASSING = {Problem.UNREACHABLE, Problem.NOT_MANAGEMENT, Problem.BROKEN}
_SECRET = {"password", "password_hash", "uri", "src-uri", "dest-uri"}
_BROKEN = 10.0  # seconds of answers that say the broker has an error of its own


class Refused(ToolsError):
    """The broker does not do it, and would not if asked again."""


class Persistent:
    """A broker that is asked again while it is away.

    Arguments:
        management: of the broker.
        patience: seconds to wait for it.
    """

    def __init__(self, management: Management, patience: float) -> None:
        self._management = management
        self._patience = patience

    def get(self, *path: str, **query: str | int) -> Any:
        """What is there. Raises as :meth:`change`; ``ManagementError`` where there is nothing."""
        return self._asked("GET", path, None, query)

    def change(
        self, method: str, path: Sequence[str], body: Any = None, query: Mapping[str, str | int] | None = None
    ) -> Any:
        """Have something done; what is to be deleted and is not there is deleted.

        Raises:
            Refused: it is not done.
            ToolsError: there is no broker any more.
        """
        try:
            return self._asked(method, path, body, query)
        except ManagementError as exc:
            if exc.problem is Problem.NOT_FOUND and method == "DELETE":
                return None
            if exc.problem is Problem.FORBIDDEN:
                user = self._management.server.user
                raise Refused(
                    f"RabbitMQ refuses it to the user {user}: let another administrator do it"
                ) from exc
            if exc.problem in {Problem.REFUSED, Problem.NOT_FOUND, Problem.BROKEN}:
                raise Refused(_without(str(exc), body)) from exc
            raise

    def _asked(
        self, method: str, path: Sequence[str], body: Any, query: Mapping[str, str | int] | None
    ) -> Any:
        begun, pauses = time.monotonic(), _pauses()
        while True:
            try:
                return self._management.request(method, *path, body=body, query=query)
            except ManagementError as exc:
                patience = min(self._patience, _BROKEN) if exc.problem is Problem.BROKEN else self._patience
                if exc.problem not in _PASSING or time.monotonic() - begun > patience:
                    raise
            time.sleep(next(pauses))


def _pauses() -> Iterator[float]:
    """Seconds between one try and the next."""
    pause = 0.1
    while True:
        yield pause
        pause = min(pause * 2, 2.0)


def _without(text: str, body: Any) -> str:
    """The text without the secrets of what was sent, which RabbitMQ may quote."""
    for secret in sorted(_secrets(body), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def _secrets(value: Any, *, secret: bool = False) -> Iterator[str]:
    if isinstance(value, dict):
        for name, one in value.items():
            yield from _secrets(one, secret=secret or name in _SECRET)
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _secrets(one, secret=secret)
    elif secret and isinstance(value, str) and value:
        yield "".join(value)
        login = re.search("//[^:/]*:([^/]+)@", value)
        if login:
            yield login[1]  # RabbitMQ may quote a part of a URI
