# SPDX-License-Identifier: MIT
"""The pages of a bridge, asked for over HTTP."""

import http.client
import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from fedmsg_migration_tools import monitoring
from fedmsg_migration_tools.figures import Counter, Gauge, Histogram, Metric


class Bridge:
    """Figures such as a bridge has."""

    def __init__(self) -> None:
        self.state: tuple[bool, Mapping[str, Any]] = (True, {"waiting": 0})
        self.received = Counter("fedmsg_bridge_received", "Messages received.", ("app",))
        self.lag = Histogram("fedmsg_bridge_lag_seconds", "How late.", (0.5, 2))
        self.broken = False

    def ready(self) -> tuple[bool, Mapping[str, Any]]:
        return self.state

    def metrics(self) -> Iterable[Metric]:
        if self.broken:
            raise KeyError("gone")
        yield self.received
        yield Gauge.of("fedmsg_bridge_spool_bytes", "On disk.", 17)
        yield Gauge("fedmsg_bridge_up", "Up.", ("endpoint",), {("tcp://a",): 1, ("tcp://b",): None})
        yield self.lag


Ask = Callable[[str], tuple[int, str, bytes]]


@pytest.fixture
def bridge() -> Bridge:
    return Bridge()


@pytest.fixture
def get(bridge: Bridge) -> Iterator[Ask]:
    server = monitoring.start("127.0.0.1", 0, bridge)

    def ask(path: str) -> tuple[int, str, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
        connection.request("GET", path)
        answer = connection.getresponse()
        got = answer.status, answer.headers["Content-Type"], answer.read()
        connection.close()
        return got

    yield ask
    server.stop()


def test_live(get: Ask) -> None:
    assert get("/live") == (200, "application/json", b'{"status": "OK"}\n')


def test_ready(get: Ask, bridge: Bridge) -> None:
    status, _, body = get("/ready")
    assert (status, json.loads(body)) == (200, {"ready": True, "waiting": 0})
    bridge.state = (False, {"reason": "12 messages wait, and nothing has moved for 61 s", "waiting": 12})
    status, kind, body = get("/ready")
    assert (status, kind) == (503, "application/json")
    assert json.loads(body) == {
        "ready": False,
        "reason": "12 messages wait, and nothing has moved for 61 s",
        "waiting": 12,
    }


def test_metrics(get: Ask, bridge: Bridge) -> None:
    bridge.received.add(2, "bodhi")
    bridge.received.add(1, 'ko"ji\n')
    for seconds in (0.5, 1, 100):
        bridge.lag.observe(seconds)
    status, kind, body = get("/metrics")
    assert status == 200
    assert kind.startswith("text/plain; version=")
    families = {family.name: family for family in text_string_to_metric_families(body.decode())}
    assert families["fedmsg_bridge_received"].type == "counter"
    assert families["fedmsg_bridge_lag_seconds"].type == "histogram"
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in families.values()
        if family.name.startswith("fedmsg_")
        for sample in family.samples
    }
    assert samples == {
        ("fedmsg_bridge_received_total", "bodhi"): 2,
        ("fedmsg_bridge_received_total", 'ko"ji\n'): 1,
        ("fedmsg_bridge_spool_bytes",): 17,
        ("fedmsg_bridge_up", "tcp://a"): 1,
        ("fedmsg_bridge_lag_seconds_bucket", "0.5"): 1,
        ("fedmsg_bridge_lag_seconds_bucket", "2.0"): 2,
        ("fedmsg_bridge_lag_seconds_bucket", "+Inf"): 3,
        ("fedmsg_bridge_lag_seconds_count",): 3,
        ("fedmsg_bridge_lag_seconds_sum",): 101.5,
    }


def test_a_page_that_fails_says_so(get: Ask, bridge: Bridge) -> None:
    bridge.broken = True
    assert get("/metrics") == (500, "text/plain; charset=utf-8", b"KeyError: 'gone'\n")
    assert get("/live")[0] == 200


def test_importing_it_loads_no_server() -> None:
    program = (
        "import sys, fedmsg_migration_tools.monitoring\n"
        "print({'http.server', 'prometheus_client'} & set(sys.modules))"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout == "set()\n"
