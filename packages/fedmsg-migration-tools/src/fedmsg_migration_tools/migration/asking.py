# SPDX-License-Identifier: MIT
"""Asking the pages of the bridge and of the verification service, one request each."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from fedora_messaging.address import shown

from ..exceptions import ToolsError
from ..management.reading import TooMuch, read

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["audit", "fetch", "subscribers"]

_KINDS = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
_PEERS = "amqp_to_zmq_subscribers"
_PREFIXES = "amqp_to_zmq_subscriptions"


def fetch(url: str, timeout: float, headers: Mapping[str, str] | None = None) -> bytes:
    """What is at a URL, ``http`` or ``https``.

    Arguments:
        url: whole.
        timeout: seconds.
        headers: of the request.

    Raises ``ToolsError`` with a line that says what to do.
    """
    connection, target = _place(url, timeout)
    try:
        connection.request("GET", target, headers=dict(headers or {}))
        answer = connection.getresponse()
        body = read(answer, time.monotonic() + timeout)
    except (OSError, http.client.HTTPException, TooMuch) as error:
        told = error.reason if isinstance(error, ssl.SSLError) else getattr(error, "strerror", None)
        why = told or " ".join(str(error).split())[:200] or type(error).__name__
        raise ToolsError(f"{shown(url)} gives no answer ({why}): does it run, and there?") from error
    finally:
        connection.close()
    if answer.status in {401, 403}:
        raise ToolsError(f"{shown(url)} wants a token: name its file by verify_missing.token_file")
    if answer.status != http.HTTPStatus.OK:
        raise ToolsError(f"{shown(url)} answers {answer.status}: is that the right address?")
    return body


def _place(url: str, timeout: float) -> tuple[http.client.HTTPConnection, str]:
    """Whom to ask, and for what."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ToolsError(f"The URL {shown(url)!r} is wrong: {error}") from error
    kind = _KINDS.get(parts.scheme)
    if kind is None or not parts.hostname:
        raise ToolsError(f"The URL {shown(url)!r} is wrong: it must be like http://host:port")
    query = f"?{parts.query}" if parts.query else ""
    return kind(parts.hostname, port, timeout=timeout), f"{parts.path or '/'}{query}"


def audit(url: str, timeout: float, token: str | None = None) -> dict[str, Any]:
    """What the running verification service tells, for :func:`.audit.understand`. Raises ``ToolsError``."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    body = fetch(f"{url.rstrip('/')}/api/snapshot", timeout, headers)
    try:
        told = json.loads(body)["audit"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ToolsError(
            f"{shown(url)} does not tell of an audit: is that the verification service?"
        ) from error
    if not isinstance(told, dict):
        raise ToolsError(f"{shown(url)} has no audit yet: wait a minute")
    return told


def subscribers(url: str, timeout: float) -> tuple[int, dict[str, int]]:
    """How many sockets are connected to the bridge, and to which prefixes they subscribed.

    ``url`` is that of its page, with or without ``/metrics``. Raises ``ToolsError``.
    """
    from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415 - 20 ms

    page = f"{url.rstrip('/').removesuffix('/metrics')}/metrics"
    body = fetch(page, timeout)
    peers, prefixes = None, {}
    try:
        for family in text_string_to_metric_families(body.decode()):
            if family.name == _PEERS:
                peers = int(family.samples[0].value)
            elif family.name == _PREFIXES:
                prefixes = {one.labels["prefix"]: int(one.value) for one in family.samples}
    except (ValueError, KeyError, IndexError) as error:
        raise ToolsError(f"{shown(page)} is no page of metrics: is that the bridge's?") from error
    if peers is None:
        raise ToolsError(f"{shown(page)} does not tell of {_PEERS}: is that the bridge from AMQP to ZeroMQ?")
    return peers, prefixes
