# SPDX-License-Identifier: MIT
"""What the monitoring pages say, as text. No socket, no thread.

The only module that knows ``prometheus_client``, which is loaded when ``/metrics`` is first asked for.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from . import JSON, TEXT, Page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from prometheus_client import Metric

    from ..statistics import Statistics

#: Outcomes of a delivery, as ``/ready`` orders them.
OUTCOMES = ("received", "processed", "dropped", "rejected", "failed")


@dataclass(frozen=True)
class Source:
    """Where the figures come from.

    ``prefetch`` is how many unsettled messages the broker may have out to the consumer; ``unconfirmed`` tells how
    many messages are published and not confirmed.
    """

    statistics: Statistics
    prefetch: int = 0
    unconfirmed: Callable[[], int] | None = None


def pages(source: Source) -> Mapping[str, Callable[[], Page]]:
    """What a consumer shows of itself: path → page."""
    return {
        "/live": live,
        "/ready": lambda: ready(source),
        "/metrics": lambda: metrics(lambda: collect(source)),
    }


def live() -> Page:
    """``/live``: the process runs."""
    return in_json({"status": "OK"})


def ready(source: Source) -> Page:
    """``/ready``: whether messages are being consumed, and what became of those so far."""
    statistics = source.statistics
    consumed = {outcome: getattr(statistics, outcome) for outcome in OUTCOMES}
    told = {"consuming": statistics.consuming, "published": statistics.published, "consumed": consumed}
    return in_json(told)


def metrics(ours: Callable[[], Iterable[Metric]]) -> Page:
    """``/metrics``: what ``ours`` gives, and whatever the application registered with Prometheus.

    Without the package ``prometheus-client`` it says what to install.
    """
    try:
        from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest  # noqa: PLC0415
    except ImportError:
        text = b"/metrics needs prometheus-client: pip install fedora-messaging[monitoring]\n"
        return Page(HTTPStatus.NOT_IMPLEMENTED, TEXT, text)

    class Both:
        """Looks enough like a registry to be written out."""

        def collect(self) -> Iterator[Metric]:
            yield from ours()
            yield from REGISTRY.collect()

    written = generate_latest(Both())  # only collect() is called
    return Page(HTTPStatus.OK, CONTENT_TYPE_LATEST, written)


def in_json(value: object, status: int = HTTPStatus.OK) -> Page:
    """``value`` as a page."""
    return Page(status, JSON, json.dumps(value).encode() + b"\n")


def collect(source: Source) -> Iterator[Metric]:
    """Our figures, in Prometheus's terms."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily  # noqa: PLC0415

    statistics = source.statistics
    consumed = CounterMetricFamily(
        "fedora_messaging_consumed",
        "Messages received, by what became of them; invalid ones never reached the callback.",
        labels=["outcome"],
    )
    for outcome in (*OUTCOMES, "invalid"):
        consumed.add_metric([outcome], getattr(statistics, outcome))
    failures = CounterMetricFamily(
        "fedora_messaging_publish_failures",
        "Messages that were not published, by the error.",
        labels=["error"],
    )
    for name, count in dict(statistics.publish_failures).items():
        failures.add_metric([name], count)
    yield CounterMetricFamily(
        "fedora_messaging_published", "Messages that the broker has confirmed.", value=statistics.published
    )
    yield failures
    yield consumed
    yield CounterMetricFamily(
        "fedora_messaging_reconnects",
        "Connections to the broker that were lost.",
        value=statistics.reconnects,
    )
    for name, help_text, value in _gauges(source):
        yield GaugeMetricFamily(f"fedora_messaging_{name}", help_text, value=value)


def _gauges(source: Source) -> Iterator[tuple[str, str, int]]:
    yield "connected", "1 while there is a connection for publishing.", int(source.statistics.connected)
    yield "consuming", "1 while messages are being consumed.", int(source.statistics.consuming)
    yield "prefetch", "Unsettled messages that the broker may have out to the consumer.", source.prefetch
    if source.unconfirmed is not None:
        yield "unconfirmed", "Messages published and not confirmed yet.", source.unconfirmed()
