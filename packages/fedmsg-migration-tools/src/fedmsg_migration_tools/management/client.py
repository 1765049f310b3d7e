# SPDX-License-Identifier: MIT
"""A client of RabbitMQ's management API: what is on the broker, and requests that change it.

Blocking, on the standard library. It goes to the first broker of several that answers, and stays there. What the
answers mean for the migration does not belong here.

The API is described on each broker at ``/api/index.html``. Statistics in its answers (``messages``, rates) are some
five seconds old, and a broker may keep none: each field but a name may be missing.
"""

from __future__ import annotations

import base64
import http.client
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlencode

from ..exceptions import ToolsError
from .reading import TooMuch, read
from .refusals import ManagementError, Problem, error, of_answer, of_failure
from .server import Server, servers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["Management", "ManagementError", "Problem", "Server", "Snapshot", "servers"]

TIMEOUT = 10.0  # seconds for one answer, whole
_PAGE = 500  # the API's greatest page size

_QUEUES = (
    "name",
    "type",
    "durable",
    "exclusive",
    "arguments",
    "consumers",
    "messages",
    "messages_details.rate",
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One virtual host as the API told it, with its names for the fields.

    Attributes:
        vhost: its name.
        queues: name, type, durable, exclusive, arguments, consumers, messages, messages_details.rate.
        bindings: source, destination, destination_type, routing_key, arguments; without those of the default
            exchange, which every queue has.
        exchanges: name, type.
        consumers: for each, ``queue.name`` and ``channel_details.connection_name``.
        apps: connection's name → the ``app`` that its client gave; empty for a user who may not see connections.
    """

    vhost: str
    queues: Sequence[Mapping[str, Any]]
    bindings: Sequence[Mapping[str, Any]]
    exchanges: Sequence[Mapping[str, Any]]
    consumers: Sequence[Mapping[str, Any]]
    apps: Mapping[str, str]

    def consumers_of(self) -> dict[str, list[str]]:
        """Queue → its consumers: their connection's app, or its name where that is not known."""
        found: dict[str, list[str]] = {}
        for one in self.consumers:
            connection = (one.get("channel_details") or {}).get("connection_name", "?")
            found.setdefault(one["queue"]["name"], []).append(self.apps.get(connection, connection))
        return found

    def exclusive(self) -> dict[str, str]:
        """Queue that is exclusive → whose it is: its consumer's app. The list of queues does not tell the owner."""
        names = {one["name"] for one in self.queues if one.get("exclusive")}
        return {name: apps[0] for name, apps in self.consumers_of().items() if name in names}


class Management:
    """One user's view. Use it as ``with``, or close it.

    Arguments:
        places: the brokers of a cluster, in the order in which to try them.
        timeout: seconds for each answer.

    All methods raise :class:`ManagementError`.
    """

    def __init__(self, places: Sequence[Server], *, timeout: float = TIMEOUT) -> None:
        if not places:
            raise ToolsError("No broker is configured whose management API could be asked")
        self._places = list(places)
        self._timeout = timeout
        self._connection: http.client.HTTPConnection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @property
    def server(self) -> Server:
        """The one that is asked; the first, or the first that answered."""
        return self._places[0]

    # what is there

    def whoami(self) -> tuple[str, tuple[str, ...]]:
        """Our name there, and our tags."""
        answer = self.get("whoami")
        tags = answer.get("tags") or ()  # a text with commas, before 3.10
        return answer["name"], tuple(tags.replace(" ", "").split(",") if isinstance(tags, str) else tags)

    def queues(self, vhost: str) -> list[dict[str, Any]]:
        """All queues, exclusive ones too."""
        return list(self.pages("queues", vhost, columns=",".join(_QUEUES)))

    def exchanges(self, vhost: str) -> list[dict[str, Any]]:
        """All exchanges."""
        return list(self.pages("exchanges", vhost, columns="name,type,durable,arguments"))

    def bindings(self, vhost: str) -> list[dict[str, Any]]:
        """All bindings, without those of the default exchange."""
        return [one for one in self.get("bindings", vhost) if one["source"]]

    def consumers(self, vhost: str) -> list[dict[str, Any]]:
        """All consumers."""
        answer: list[dict[str, Any]] = self.get("consumers", vhost)
        return answer

    def apps(self) -> dict[str, str]:
        """Connection's name → the ``app`` of its client properties, as far as the user may see them."""
        listed = self.pages("connections", columns="name,client_properties.app")
        return {
            one["name"]: str((one.get("client_properties") or {}).get("app") or one["name"]) for one in listed
        }

    def snapshot(self, vhost: str) -> Snapshot:
        """All of that, in some six requests."""
        return Snapshot(
            vhost,
            self.queues(vhost),
            self.bindings(vhost),
            self.exchanges(vhost),
            self.consumers(vhost),
            self.apps(),
        )

    # asking

    def get(self, *path: str, **query: str | int) -> Any:
        """The JSON of ``/api/PATH``; each part of the path is quoted here."""
        return self.request("GET", *path, query=query)

    def pages(self, *path: str, page_size: int = _PAGE, **query: str | int) -> Iterator[dict[str, Any]]:
        """The items of a list that is told page by page; what comes and goes meanwhile may be missed or told twice."""
        page, last = 1, 1
        while page <= last:
            try:
                answer = self.get(*path, page=page, page_size=page_size, **query)
            except ManagementError as exc:
                if page > 1 and exc.status == http.HTTPStatus.BAD_REQUEST:
                    return  # the list has become shorter: page_out_of_range
                raise
            if not isinstance(answer, dict) or not isinstance(answer.get("items"), list):
                raise error(self.server, "answers in a way that is not RabbitMQ's", Problem.BROKEN)
            yield from answer["items"]
            page, last = page + 1, int(answer.get("page_count", 1))

    def request(
        self, method: str, *path: str, body: Any = None, query: Mapping[str, str | int] | None = None
    ) -> Any:
        """One request; returns the JSON of the answer, None if it is empty.

        Arguments:
            method: ``GET``, ``PUT``, ``POST`` or ``DELETE``.
            path: the parts behind ``/api/``, not quoted.
            body: what to send as JSON, if anything.
            query: what stands behind the question mark.
        """
        target = "/api/" + "/".join(quote(part, safe="") for part in path)
        if query:
            target += "?" + urlencode(query)
        data = None if body is None else json.dumps(body).encode()
        status, kind, text = self._ask(method, target, data)
        if status >= http.HTTPStatus.MULTIPLE_CHOICES:
            raise of_answer(self.server, status, kind, text, target)
        if not text:
            return None
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as exc:
            raise error(
                self.server,
                "answers, but not with JSON: is it RabbitMQ's management plugin that listens there?",
                Problem.NOT_MANAGEMENT,
                status,
            ) from exc

    def _ask(self, method: str, target: str, data: bytes | None) -> tuple[int, str, bytes]:
        """The first answer that some server gives."""
        first: ManagementError | None = None
        for _ in range(len(self._places)):
            if method == "POST":
                self.close()  # on a connection that was kept one could not tell whether it was heard
            kept = self._connection is not None
            try:
                try:
                    return self._exchange(method, target, data)
                except ConnectionError:
                    self.close()
                    if not kept:
                        raise
                    return self._exchange(method, target, data)  # it had closed the one that was kept
            except (OSError, http.client.HTTPException) as exc:
                self.close()
                told = of_failure(self.server, exc, self._timeout)
                told.__cause__ = exc
                first = first or told
                self._places.append(self._places.pop(0))
        assert first is not None  # noqa: S101 - there is a server
        raise first

    def _exchange(self, method: str, target: str, data: bytes | None) -> tuple[int, str, bytes]:
        server, end = self.server, time.monotonic() + self._timeout
        if self._connection is None:
            if server.tls is None:
                self._connection = http.client.HTTPConnection(server.host, server.port, timeout=self._timeout)
            else:
                self._connection = http.client.HTTPSConnection(
                    server.host, server.port, timeout=self._timeout, context=server.tls()
                )
        token = base64.b64encode(f"{server.user}:{server.password}".encode()).decode()
        # limits of users have no JSON to offer in answer to PUT and DELETE: 406, if nothing else is accepted
        headers = {"Authorization": f"Basic {token}", "Accept": "application/json, */*;q=0.5"}
        if data is not None:
            headers["Content-Type"] = "application/json"
        self._connection.request(method, server.prefix + target, data, headers)
        answer = self._connection.getresponse()
        try:
            text = read(answer, end)
        except TooMuch as exc:
            self.close()
            raise error(server, str(exc).removeprefix("it "), Problem.BROKEN) from exc
        return answer.status, answer.headers.get_content_type(), text
