# SPDX-License-Identifier: MIT
"""What is asked and what is answered, as values: no sockets here, and nothing about the page's content."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from http import HTTPStatus

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"

# No page of another origin may read, frame or feed this one, and no content of a message can become a script: none
# runs but the files of this origin, and the browser refuses to make HTML out of strings (trusted types).
SECURITY = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class Request:
    """A request's head.

    Arguments:
        method: as it came: ``GET``.
        target: path and query, as they came.
        headers: by lower-case name.
    """

    method: str
    target: str
    headers: Mapping[str, str]

    @property
    def path(self) -> str:
        """The path, decoded."""
        return unquote(self._split.path, errors="replace")

    @property
    def query(self) -> dict[str, str]:
        """The query, decoded; the last of each name."""
        return dict(parse_qsl(self._split.query, keep_blank_values=True, errors="replace", max_num_fields=20))

    @property
    def _split(self) -> _Target:
        path, _, query = self.target.partition("?")
        if not path.startswith("/"):  # the absolute form, which proxies send
            parts = urlsplit(self.target)
            path, query = parts.path or "/", parts.query
        return _Target(path, query)


@dataclass(frozen=True, slots=True)
class _Target:
    path: str
    query: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; ``SECURITY`` goes with it."""

    status: HTTPStatus
    body: bytes = b""
    content_type: str = TEXT
    headers: Mapping[str, str] = field(default_factory=dict)


class Stream:
    """In place of an :class:`Answer`: the asker wants events, from now on."""


def says(status: HTTPStatus, text: str, **headers: str) -> Answer:
    """An answer of one sentence."""
    return Answer(status, text.encode() + b"\n", headers={k.replace("_", "-"): v for k, v in headers.items()})
