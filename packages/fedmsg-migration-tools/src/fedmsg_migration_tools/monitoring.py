# SPDX-License-Identifier: MIT
"""The pages of a bridge, ``/live``, ``/ready`` and ``/metrics``, on the library's server.

What is counted is in :mod:`.figures`; whether a bridge is ready, it says itself. Importing this costs nothing: the
server and ``prometheus_client`` are loaded when they are needed.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from .figures import Counter, Histogram

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from prometheus_client import Metric as Family

    from fedora_messaging.monitoring import Page
    from fedora_messaging.monitoring.server import Server

    from .figures import Figures, Metric

__all__ = ["pages", "start"]


def start(address: str, port: int, figures: Figures) -> Server:
    """Serve a bridge's pages, in threads of their own, until the server's ``stop``.

    Arguments:
        address: where to listen; ``""`` for all interfaces.
        port: 0 for a free one, which ``port`` of the result tells.
        figures: what to show; asked anew for each page.

    Raises ``ConfigurationException`` when it cannot listen there.
    """
    from fedora_messaging.monitoring.server import Server  # noqa: PLC0415 - see the module's docstring

    return Server(address, port, pages(figures))


def pages(figures: Figures) -> Mapping[str, Callable[[], Page]]:
    """Path → what makes the page."""
    from fedora_messaging.monitoring import metrics  # noqa: PLC0415

    return {
        "/live": metrics.live,
        "/ready": lambda: _ready(figures),
        "/metrics": lambda: metrics.metrics(lambda: _families(figures.metrics())),
    }


def _ready(figures: Figures) -> Page:
    """200 while messages move, or none waits; 503 otherwise."""
    from fedora_messaging.monitoring.metrics import in_json  # noqa: PLC0415

    ready, details = figures.ready()
    status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
    return in_json({"ready": ready, **details}, status)


def _families(metrics: Iterable[Metric]) -> Iterator[Family]:
    """Our figures, in Prometheus's terms."""
    from prometheus_client.core import (  # noqa: PLC0415
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
    )

    for metric in metrics:
        if isinstance(metric, Histogram):
            buckets = [(_bound(bound), count) for bound, count in metric.cumulated()]
            yield HistogramMetricFamily(metric.name, metric.help, buckets=buckets, sum_value=metric.sum)
        else:
            kind = CounterMetricFamily if isinstance(metric, Counter) else GaugeMetricFamily
            family = kind(metric.name, metric.help, labels=metric.labels)
            for labels, value in dict(
                metric.values
            ).items():  # copied in one piece: the bridge counts meanwhile
                if value is not None:
                    family.add_metric(labels, value)
            yield family


def _bound(bound: float) -> str:
    """As Prometheus writes the label ``le``."""
    return "+Inf" if bound == float("inf") else str(float(bound))
