# SPDX-License-Identifier: MIT
"""What the monitoring pages say, as text. No socket, no thread.

The only module that knows ``prometheus_client``, which is loaded when ``/metrics`` is first asked for.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client import Metric

    from ..statistics import Statistics

#: Outcomes of a delivery, as ``/ready`` orders them.
OUTCOMES = ("received", "processed", "dropped", "rejected", "failed")


class MetricsUnavailable(Exception):
    """The extra is not installed."""


@dataclass(frozen=True)
class Source:
    """Where the figures come from.

    ``prefetch`` is how many unsettled messages the broker may have out to the consumer; ``unconfirmed`` tells how
    many messages are published and not confirmed.
    """

    statistics: Statistics
    prefetch: int = 0
    unconfirmed: Callable[[], int] | None = None


def live() -> bytes:
    """``/live``: the process runs."""
    return _json({"status": "OK"})


def ready(source: Source) -> bytes:
    """``/ready``: whether messages are being consumed, and what became of those so far."""
    statistics = source.statistics
    consumed = {outcome: getattr(statistics, outcome) for outcome in OUTCOMES}
    return _json({"consuming": statistics.consuming, "published": statistics.published, "consumed": consumed})


def metrics(source: Source) -> tuple[bytes, str]:
    """``/metrics`` and its content type: our figures, and whatever the application registered with Prometheus.

    Raises ``MetricsUnavailable`` without the package ``prometheus-client``.
    """
    try:
        from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest  # noqa: PLC0415
    except ImportError as error:
        raise MetricsUnavailable(
            "/metrics needs prometheus-client: pip install fedora-messaging[monitoring]"
        ) from error

    class Both:
        """Looks enough like a registry to be written out."""

        def collect(self) -> Iterator[Metric]:
            yield from collect(source)
            yield from REGISTRY.collect()

    return generate_latest(Both()), CONTENT_TYPE_LATEST  # only collect() is called


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


def _json(value: object) -> bytes:
    return json.dumps(value).encode() + b"\n"
