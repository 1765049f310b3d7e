# SPDX-License-Identifier: MIT
"""What is answered to which request. It reads no socket; what it shows, others know and tell it."""

from __future__ import annotations

import hashlib
import logging
import time
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import parts
from .access import Access
from .wire import JSON, Answer, Request, Stream, says

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_log = logging.getLogger(__name__)

LEGS = ("zmq_to_amqp", "amqp_to_zmq")
PERIOD = 1.0  # seconds between two snapshots, however many look
MOST = 500  # verdicts in one answer
_LONGEST = 100  # characters of a kind: longer ones are none
_STATIC = Path(__file__).parent / "static"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class Filters:
    """Which verdicts are asked for: of one kind, of one leg (``None``: all), and at most so many."""

    kind: str | None = None
    leg: str | None = None
    limit: int = 50


class _UnclearError(Exception):
    """What is asked for makes no sense; the text is for the asker."""


class Page:
    """The verification page, and the JSON behind it.

    Arguments:
        snapshot: what goes on, as ``/api/snapshot`` shows it; called once a second while anybody looks, on the
            event loop, so it must not block.
        message: what is known of a message, by its id: ``{"path": [{"at", "where", "what"}], "message": {…}}`` and
            whatever else there is; ``None`` when nothing is.
        verdicts: the latest that pass the filters, the newest first, in the snapshot's form.
        token: who shows it may look; ``None``: everybody on this machine.
        clock: seconds, for the age of the last snapshot.
    """

    def __init__(
        self,
        snapshot: Callable[[], Mapping[str, Any]],
        message: Callable[[str], Mapping[str, Any] | None],
        verdicts: Callable[[Filters], Sequence[Mapping[str, Any]]],
        token: str | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.access = Access(token)
        self._snapshot, self._message, self._verdicts = snapshot, message, verdicts
        self._clock = clock
        self._taken = float("-inf")
        self._latest: parts.Parts = {}
        self._files = {f"/{path.name}": _file(path) for path in _STATIC.iterdir()}
        self._files["/"] = self._files.pop("/index.html")

    def answer(self, request: Request) -> Answer | Stream:
        """The answer to a request, whatever it is."""
        if request.method not in ("GET", "HEAD"):
            return says(HTTPStatus.METHOD_NOT_ALLOWED, "Only GET and HEAD are allowed.", Allow="GET, HEAD")
        try:
            return self.access.refuse(request) or self._answer(request)
        except _UnclearError as error:
            return says(HTTPStatus.BAD_REQUEST, str(error))
        except Exception:  # noqa: BLE001 - whoever asks shall know; what it was is for the log
            _log.exception("The page could not answer %s", request.path[:_LONGEST])
            return says(HTTPStatus.INTERNAL_SERVER_ERROR, "This failed; the service's log says why.")

    def latest(self) -> parts.Parts:
        """The snapshot of this second; ``trouble`` in it says why it could not be taken anew."""
        if self._clock() - self._taken >= PERIOD * 0.9:
            self._taken = self._clock()
            try:
                self._latest = {**parts.of(self._snapshot()), "trouble": b"null"}
            except Exception as error:  # noqa: BLE001 - whatever it is, it must not look like silence
                _log.exception("The snapshot for the page failed")
                text = f"The service could not say what goes on: {type(error).__name__}: {error}"
                self._latest = {**self._latest, "trouble": parts.in_json(text)}
        return self._latest

    def _answer(self, request: Request) -> Answer | Stream:
        path = request.path
        if path in self._files:
            return _fresh(self._files[path], request.headers.get("if-none-match"))
        if path == "/events":
            return Stream()
        if path == "/api/snapshot":
            return _json(parts.whole(self.latest()))
        if path == "/api/verdicts":
            return _json(parts.in_json(list(self._verdicts(_filters(request.query)))))
        if path.startswith("/api/message/"):
            return self._one(path.removeprefix("/api/message/"))
        return says(
            HTTPStatus.NOT_FOUND,
            "There are /, /events, /api/snapshot, /api/verdicts?kind=&leg=&limit= and /api/message/ID.",
        )

    def _one(self, name: str) -> Answer:
        found = self._message(name)
        if found is None:
            return says(HTTPStatus.NOT_FOUND, "Nothing is known of a message with this id.")
        return _json(parts.in_json(found))


def _filters(query: Mapping[str, str]) -> Filters:
    """Raises ``_UnclearError``, whose text is for the asker."""
    leg, kind, limit = query.get("leg") or None, query.get("kind") or None, query.get("limit") or "50"
    if leg is not None and leg not in LEGS:
        raise _UnclearError(f"There are the legs {' and '.join(LEGS)}.")
    if kind is not None and len(kind) > _LONGEST:
        raise _UnclearError("There is no such kind of verdict.")
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit[:9]) <= MOST):
        raise _UnclearError(f"limit is a number from 1 to {MOST}.")
    return Filters(kind, leg, int(limit))


def _json(text: bytes) -> Answer:
    return Answer(HTTPStatus.OK, text, JSON, {"Cache-Control": "no-store"})


def _file(path: Path) -> Answer:
    body = path.read_bytes()
    tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
    return Answer(HTTPStatus.OK, body, _TYPES[path.suffix], {"Cache-Control": "no-cache", "ETag": tag})


def _fresh(file: Answer, known: str | None) -> Answer:
    """The file, or that it is what the browser has already."""
    if known == file.headers["ETag"]:
        return Answer(HTTPStatus.NOT_MODIFIED, headers=file.headers)
    return file
