# SPDX-License-Identifier: MIT
"""An HTTP server that says how a consumer is doing: ``/live``, ``/ready``, ``/metrics``.

What is counted is in :mod:`fedora_messaging.statistics`, and counted elsewhere. Importing this costs nothing;
the server and what it needs are loaded by :func:`start`. :class:`.server.Server` serves other pages as well:
the bridges have their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..statistics import Statistics
    from .server import Server

__all__ = ["Page", "start"]

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"


class Page(NamedTuple):
    """An answer: the HTTP status, the content type, and the bytes."""

    status: int
    content_type: str
    body: bytes


def start(
    conf: Mapping[str, Any], statistics: Statistics, unconfirmed: Callable[[], int] | None = None
) -> Server | None:
    """Serve, in threads of their own, until :meth:`.server.Server.stop`.

    Arguments:
        conf: the settings; of these ``monitoring`` (``address``, ``""`` for all interfaces, and ``port``, 0 for
            a free one) and ``qos``. Without a port there is no server.
        statistics: what to tell; read anew for each answer.
        unconfirmed: how many messages are published and not confirmed, for ``/metrics``.

    Returns the server, or None when monitoring is off.

    Raises ``ConfigurationException`` when it cannot listen there.
    """
    settings = conf.get("monitoring") or {}
    if "port" not in settings:
        return None
    from .metrics import Source, pages  # noqa: PLC0415 - see the module's docstring
    from .server import Server  # noqa: PLC0415

    prefetch = (conf.get("qos") or {}).get("prefetch_count", 0)
    source = Source(statistics, prefetch, unconfirmed)
    return Server(settings.get("address", ""), settings["port"], pages(source))
