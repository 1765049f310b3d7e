# SPDX-License-Identifier: MIT
"""The monitoring server: its pages, what 3.9 answered, and clients that do not behave."""

import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fedora_messaging import monitoring
from fedora_messaging.exceptions import ConfigurationException, PublishTimeout
from fedora_messaging.monitoring import server as server_module
from fedora_messaging.statistics import Statistics

Answer = tuple[int, dict[str, str], bytes]


@pytest.fixture
def statistics() -> Statistics:
    return Statistics()


@pytest.fixture
def get(statistics: Statistics) -> Iterator[Callable[..., Answer]]:
    """Asks a running server."""
    conf = {"monitoring": {"address": "127.0.0.1", "port": 0}, "qos": {"prefetch_count": 25}}
    server = monitoring.start(conf, statistics, lambda: 17)
    assert server is not None

    def ask(path: str, method: str = "GET") -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
        connection.request(method, path)
        answer = connection.getresponse()
        got = answer.status, dict(answer.getheaders()), answer.read()
        connection.close()
        return got

    ask.port = server.port  # type: ignore[attr-defined]
    yield ask
    server.stop()


@pytest.mark.parametrize("conf", [{}, {"monitoring": {}}, {"monitoring": None}])
def test_off_when_not_configured(conf: dict[str, Any], statistics: Statistics) -> None:
    assert monitoring.start(conf, statistics) is None


# The two bodies were taken from fedora-messaging 3.9.1, byte by byte; it answers 200 also when not consuming.
@pytest.mark.parametrize("path", ["/live", "/live/", "/live?x=1"])
def test_live(get: Any, path: str) -> None:
    status, headers, body = get(path)
    assert (status, body) == (200, b'{"status": "OK"}\n')
    assert headers["Content-Type"] == "application/json"


def test_ready(get: Any, statistics: Statistics) -> None:
    counted = b'{"received": 0, "processed": 0, "dropped": 0, "rejected": 0, "failed": 0}'
    assert get("/ready")[::2] == (200, b'{"consuming": false, "published": 0, "consumed": %s}\n' % counted)
    statistics.consuming, statistics.published, statistics.received = True, 1, 15
    statistics.processed, statistics.dropped, statistics.rejected, statistics.failed = 5, 4, 3, 2
    statistics.invalid = 99
    assert json.loads(get("/ready")[2]) == {
        "consuming": True,
        "published": 1,
        "consumed": {"received": 15, "processed": 5, "dropped": 4, "rejected": 3, "failed": 2},
    }


def test_metrics(get: Any, statistics: Statistics) -> None:
    parser = pytest.importorskip("prometheus_client.parser")
    statistics.published, statistics.received, statistics.invalid, statistics.reconnects = 3, 8, 2, 1
    statistics.connected = True
    statistics.count_failure(PublishTimeout("x"))
    status, headers, body = get("/metrics")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain; version=")
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in parser.text_string_to_metric_families(body.decode())
        for sample in family.samples
    }
    name = "fedora_messaging"
    assert {key: value for key, value in found.items() if key[0].startswith(name)} == {
        (f"{name}_published_total",): 3,
        (f"{name}_publish_failures_total", "PublishTimeout"): 1,
        (f"{name}_consumed_total", "received"): 8,
        (f"{name}_consumed_total", "processed"): 0,
        (f"{name}_consumed_total", "dropped"): 0,
        (f"{name}_consumed_total", "rejected"): 0,
        (f"{name}_consumed_total", "failed"): 0,
        (f"{name}_consumed_total", "invalid"): 2,
        (f"{name}_reconnects_total",): 1,
        (f"{name}_connected",): 1,
        (f"{name}_consuming",): 0,
        (f"{name}_prefetch",): 25,
        (f"{name}_unconfirmed",): 17,
    }


def test_metrics_has_what_the_application_counts(get: Any) -> None:
    prometheus = pytest.importorskip("prometheus_client")
    counter = prometheus.Counter("own_things", "Things.")
    try:
        counter.inc(4)
        assert b"\nown_things_total 4.0\n" in get("/metrics")[2]
    finally:
        prometheus.REGISTRY.unregister(counter)


def test_metrics_without_the_extra(get: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    status, headers, body = get("/metrics")
    assert status == 501
    assert body == b"/metrics needs prometheus-client: pip install fedora-messaging[monitoring]\n"
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    assert get("/ready")[0] == 200


def test_other_paths_and_methods(get: Any) -> None:
    assert get("/nothing")[::2] == (404, b"There are /live, /ready and /metrics.\n")
    assert get("/")[0] == 404
    status, headers, body = get("/live", "HEAD")
    assert (status, headers["Content-Length"], body) == (200, "17", b"")
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        status, headers, _ = get("/live", method)
        assert (status, headers["Allow"]) == (405, "HEAD, GET")
    assert get("/live", "BREW")[0] == 501


@pytest.mark.parametrize(
    ("address", "reached"),
    [
        ("127.0.0.1", ["127.0.0.1"]),
        ("localhost", ["localhost"]),
        ("::1", ["::1"]),
        ("", ["127.0.0.1", "::1"]),
    ],
)
def test_addresses(address: str, reached: list[str], statistics: Statistics) -> None:
    if "::1" in reached and not socket.has_dualstack_ipv6():
        reached = [one for one in reached if one != "::1"]
    server = monitoring.start({"monitoring": {"address": address, "port": 0}}, statistics)
    assert server is not None
    for host in reached:
        with socket.create_connection((host, server.port), 5) as client:
            client.sendall(b"GET /live HTTP/1.0\r\n\r\n")
            assert client.makefile("rb").read().endswith(b'{"status": "OK"}\n')
    server.stop()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((reached[0], server.port), 5)


@pytest.mark.parametrize("address", ["127.0.0.1", "192.0.2.1", "no-such-host.invalid"])
def test_where_it_cannot_listen(address: str, statistics: Statistics) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationException) as failed:
            monitoring.start({"monitoring": {"address": address, "port": port}}, statistics)
    assert failed.value.message.startswith(f"monitoring: cannot listen on port {port} of {address}: ")
    assert "\n" not in failed.value.message


def test_the_port_is_free_again_at_once(statistics: Statistics) -> None:
    first = monitoring.start({"monitoring": {"address": "127.0.0.1", "port": 0}}, statistics)
    assert first is not None
    with socket.create_connection(("127.0.0.1", first.port)) as client:
        client.sendall(b"GET /live HTTP/1.0\r\n\r\n")
        client.recv(1)
        first.stop()
    second = monitoring.start({"monitoring": {"address": "127.0.0.1", "port": first.port}}, statistics)
    assert second is not None
    second.stop()


def test_it_serves_any_pages() -> None:
    def broken() -> monitoring.Page:
        raise ZeroDivisionError("by zero")

    pages = {"/a": lambda: monitoring.Page(503, "text/x", b"no"), "/b": broken}
    server = server_module.Server("127.0.0.1", 0, pages)
    answers = {}
    for path in ("/a", "/b", "/c"):
        with socket.create_connection(("127.0.0.1", server.port), 5) as client:
            client.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            head, _, body = client.makefile("rb").read().partition(b"\r\n\r\n")
            answers[path] = head.split()[1], body
    server.stop()
    assert answers == {
        "/a": (b"503", b"no"),
        "/b": (b"500", b"ZeroDivisionError: by zero\n"),
        "/c": (b"404", b"There are /a and /b.\n"),
    }


def test_stopping_takes_no_time(statistics: Statistics) -> None:
    server = monitoring.start({"monitoring": {"address": "", "port": 0}}, statistics)
    assert server is not None
    begun = time.monotonic()
    server.stop()
    assert time.monotonic() - begun < 0.2


def threads() -> int:
    return sum("process_request" in thread.name for thread in threading.enumerate())


def test_clients_that_say_nothing_lock_nobody_out(get: Any) -> None:
    clients = [
        socket.create_connection(("127.0.0.1", get.port), 5) for _ in range(3 * server_module.CONNECTIONS)
    ]
    for _ in range(5):
        begun = time.monotonic()
        assert get("/live")[0] == 200
        assert time.monotonic() - begun < 1
    assert threads() <= server_module.CONNECTIONS + 1
    for client in clients:
        client.close()


def test_a_client_that_drips_is_cut_off(get: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "SECONDS", 0.3)
    with socket.create_connection(("127.0.0.1", get.port), 5) as client:
        client.settimeout(0.05)
        begun = time.monotonic()
        while time.monotonic() - begun < 10:
            try:
                client.sendall(b"x")
                if client.recv(1000) == b"":
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        assert time.monotonic() - begun < 3


@pytest.mark.parametrize(
    "noise",
    [
        b"\x16\x03\x01\x02\x00\x01",
        b"\r\n\r\n",
        b"GET " + b"/" * 100_000 + b" HTTP/1.0\r\n\r\n",
        b"\xff\xfe\n\n",
    ],
)
def test_noise_hurts_nobody(get: Any, noise: bytes) -> None:
    with socket.create_connection(("127.0.0.1", get.port), 5) as client:
        client.sendall(noise)
        client.shutdown(socket.SHUT_WR)
        try:
            while client.recv(65536):
                pass
        except ConnectionResetError:
            pass  # what it sent was more than anybody wants to read
    assert get("/live")[0] == 200


def test_importing_it_loads_no_server() -> None:
    program = "import sys, fedora_messaging.monitoring; print('http.server' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout == "False\n"
