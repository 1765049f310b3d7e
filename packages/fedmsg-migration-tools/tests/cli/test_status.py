# SPDX-License-Identifier: MIT
"""``status`` as people run it: beside a real broker and a real bridge, and where these are missing."""

import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import zmq

from fedmsg_migration_tools.exceptions import ToolsError
from fedmsg_migration_tools.migration import asking
from fedmsg_migration_tools.migration.audit import tell
from fedmsg_migration_tools.verify.store import Store
from fedora_messaging.private_node import PrivateNode
from fedora_messaging.private_node.ports import free_port

Run = Any  # the Command of conftest

DAY = 86400.0
BODHI = "org.fedoraproject.prod.bodhi.#"


class Clock:
    """Time as the store sees it."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def watched(path: Path, now: float, *, zmq_last: float | None = None) -> Store:
    """A store that has been told for ten days of bodhi over AMQP, and, so many days ago at last, over ZeroMQ."""
    clock = Clock(now - 10 * DAY)
    store = Store(path, clock=clock)
    if zmq_last is not None:
        store.count(int((now - zmq_last * DAY) // 60), "bodhi", 0, {"in": 3})
    store.count(int(now // 60), "bodhi", 1, {"in": 4})
    store.save({})
    clock.now = now
    return store


@contextmanager
def page(snapshot: dict[str, Any], token: str = "") -> Iterator[str]:
    """The verification service's page, as far as it is asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            allowed = self.headers.get("Authorization", "") == (f"Bearer {token}" if token else "")
            found = self.path == "/api/snapshot"
            self.send_response(401 if not allowed else 200 if found else 404)
            self.end_headers()
            if allowed and found:
                self.wfile.write(json.dumps(snapshot).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def told(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """What a service tells that has watched for ten days, and still runs."""

    def make(zmq_last: float | None = None) -> dict[str, Any]:
        now = time.time()
        store = watched(tmp_path / f"{secrets.token_hex(4)}.sqlite", now, zmq_last=zmq_last)
        try:
            return tell(store, now, 7, {"bridge_socket": True})
        finally:
            store.close()

    return make


@pytest.fixture
def vhost(amqp_url: str) -> str:
    return urlsplit(amqp_url).path[1:]


def bind(node: PrivateNode, vhost: str, queue: str, exchange: str, pattern: str) -> None:
    node.management("PUT", f"/api/queues/{vhost}/{queue}", {"durable": True})
    if exchange == "zmq.topic":
        node.management("PUT", f"/api/exchanges/{vhost}/{exchange}", {"type": "topic", "durable": True})
    node.management("POST", f"/api/bindings/{vhost}/e/{exchange}/q/{quote(queue)}", {"routing_key": pattern})


def broker(node: PrivateNode, amqp_url: str) -> list[str]:
    """The options that lead there."""
    return ["--amqp-url", amqp_url, "--management-url", node.management_url]


# with everything there


def test_all_of_it_in_tables(
    command: Run, rabbitmq: PrivateNode, amqp_url: str, vhost: str, told: Any
) -> None:
    bind(rabbitmq, vhost, "shop", "zmq.topic", BODHI)
    with page({"audit": told(zmq_last=1.0)}) as url:
        done = command("status", *broker(rabbitmq, amqp_url), "--verifier-url", url)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == f"Broker     {rabbitmq.management_url.rstrip('/')}, virtual host {vhost}: 1 queue"
    assert lines[1].startswith(f"Verifier   {url}: since ")
    assert lines[2].startswith("Bridge     not known: where its monitoring page is, is not known: name it by")
    (bodhi,) = (line.split() for line in lines if line.startswith("bodhi "))
    assert bodhi[:5] == ["bodhi", "both", "-", "-", "3"]
    assert bodhi[7:10] == ["4", "4", "4"]
    assert bodhi[-2:] == ["shop", "(0)"]
    assert "shop takes bodhi from zmq.topic only" in done.stdout
    assert "shop has no consumer" in done.stdout
    assert "The bridge from ZeroMQ to AMQP (zmq_to_amqp) must stay:" in done.stdout
    assert "  - bodhi published over ZeroMQ 1 day ago (3 messages in a week): find what" in done.stdout


def test_all_of_it_in_json(command: Run, rabbitmq: PrivateNode, amqp_url: str, told: Any) -> None:
    with page({"audit": told()}) as url:
        done = command("status", "--json", *broker(rabbitmq, amqp_url), "--verifier-url", url)
    said = json.loads(done.stdout)
    assert list(said) == ["version", "now", "sources", "map", "findings", "gate"]
    assert {name: one["known"] for name, one in said["sources"].items()} == {
        "broker": True,
        "verifier": True,
        "bridge": False,
    }
    assert said["map"][0]["application"] == "bodhi"
    assert said["map"][0]["state"] == "amqp"
    assert said["gate"]["zmq_to_amqp"] == {"open": True, "because": []}
    assert said["gate"]["amqp_to_zmq"]["open"] is False


def test_the_gate_opens_for_the_bridge_from_zeromq(
    command: Run, rabbitmq: PrivateNode, amqp_url: str, told: Any
) -> None:
    with page({"audit": told(zmq_last=8.0)}) as url:
        done = command("status", "--gate", "zmq_to_amqp", *broker(rabbitmq, amqp_url), "--verifier-url", url)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "The bridge from ZeroMQ to AMQP (zmq_to_amqp) may be turned off."


def test_the_gate_stays_shut_while_somebody_publishes(
    command: Run, rabbitmq: PrivateNode, amqp_url: str, told: Any
) -> None:
    with page({"audit": told(zmq_last=6.0)}) as url:
        done = command(
            "status", "--gate", "zmq-to-amqp", "--json", *broker(rabbitmq, amqp_url), "--verifier-url", url
        )
    assert done.returncode == 1
    said = json.loads(done.stdout)
    (because,) = said["gate"]["zmq_to_amqp"]["because"]
    assert because.startswith("bodhi published over ZeroMQ 6 days ago")
    assert "map" not in said


def test_the_gate_of_the_other_bridge_asks_the_bridge(
    command: Run, rabbitmq: PrivateNode, amqp_url: str, told: Any
) -> None:
    port, endpoint = free_port(), f"tcp://127.0.0.1:{free_port()}"
    command.conf.write_text(
        f"[amqp_to_zmq]\npublish_endpoint = '{endpoint}'\nsubscriber_grace = 0\n"
        f"monitoring = {{address = '127.0.0.1', port = {port}}}\n"
    )
    command.start("amqp_to_zmq", "--amqp-url", amqp_url)
    wait_for(lambda: subscribers(port) == 0)
    options = ["--gate", "amqp_to_zmq", *broker(rabbitmq, amqp_url)]  # the page is in the configuration
    assert command("status", *options).returncode == 0
    with zmq.Context() as context, context.socket(zmq.SUB) as subscriber:
        subscriber.subscribe("org.fedoraproject.prod.koji")
        subscriber.connect(endpoint)
        wait_for(lambda: subscribers(port) == 1)
        done = command("status", *options)
        assert done.returncode == 1
        assert (
            "1 subscriber listens to the bridge to 'org.fedoraproject.prod.koji': move it to AMQP."
            in done.stdout
        )
        subscriber.unsubscribe("org.fedoraproject.prod.koji")
        subscriber.subscribe("")
        assert command("status", *options).returncode == 1
        with page({"audit": told()}) as url:  # which says that it listens there, too, to all topics
            assert command("status", *options, "--verifier-url", url).returncode == 0


def subscribers(port: int) -> int | None:
    """What the bridge's page says."""
    try:
        return asking.subscribers(f"http://127.0.0.1:{port}/metrics", 5)[0]
    except ToolsError:
        return None


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


# with something missing


def test_with_nothing_there_it_says_so_and_goes_on(command: Run) -> None:
    nowhere = ["--amqp-url", "amqp://127.0.0.1:1", "--management-url", "http://127.0.0.1:1"]
    done = command("status", *nowhere)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0].startswith(
        "Broker     not known: The management API at http://127.0.0.1:1 does not listen"
    )
    assert lines[1].startswith("Verifier   not known: it has left nothing in")
    assert lines[2].startswith("Bridge     not known:")
    done = command("status", "--gate", "zmq_to_amqp", *nowhere)
    assert done.returncode == 1
    assert done.stdout.count("is not known") >= 3


def test_a_service_that_has_ended_is_read_from_its_store(
    command: Run, rabbitmq: PrivateNode, amqp_url: str
) -> None:
    now = time.time()
    path = command.folder / "verify_missing.sqlite"
    store = watched(path, now - 3600, zmq_last=8.0)
    done = command("status", "--gate", "zmq_to_amqp", *broker(rabbitmq, amqp_url))
    assert "is to be asked by its page" in done.stdout  # it still has it
    store.close()
    done = command("status", "--gate", "zmq_to_amqp", *broker(rabbitmq, amqp_url))
    assert done.returncode == 1
    (because,) = (line for line in done.stdout.splitlines() if line.startswith("  - "))
    assert "The verification service has not run since" in because


def test_a_page_with_a_token(command: Run, told: Any) -> None:
    token = secrets.token_urlsafe(16)
    with page({"audit": told()}, token) as url:
        options = ["status", "--json", "--verifier-url", url, "--management-url", "http://127.0.0.1:1"]
        assert "wants a token" in json.loads(command(*options).stdout)["sources"]["verifier"]["said"]
        (command.folder / "token").write_text(f"{token}\n")
        command.conf.write_text("[verify_missing]\ntoken_file = 'token'\n")
        assert json.loads(command(*options).stdout)["sources"]["verifier"]["known"] is True


@pytest.mark.parametrize("snapshot", [{}, {"audit": {}}, {"audit": 1}, {"audit": {"applications": 1}}])
def test_a_page_that_tells_something_else(command: Run, snapshot: dict[str, Any]) -> None:
    with page(snapshot) as url:
        done = command("status", "--json", "--verifier-url", url, "--management-url", "http://127.0.0.1:1")
    assert done.returncode == 0
    assert json.loads(done.stdout)["sources"]["verifier"]["known"] is False


def test_a_wrong_password_is_not_shown(command: Run, rabbitmq: PrivateNode, amqp_url: str) -> None:
    url = rabbitmq.management_url.replace("http://", "http://admin:secret@")
    done = command("status", "--amqp-url", amqp_url, "--management-url", url)
    assert "does not know the user admin with this password" in done.stdout
    assert "secret" not in done.stdout + done.stderr


def test_another_bridge_is_wrong_usage(command: Run) -> None:
    done = command("status", "--gate", "both")
    assert done.returncode == 2
    assert "zmq_to_amqp" in done.stderr.replace("-", "_")
