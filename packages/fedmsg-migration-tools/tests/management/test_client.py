# SPDX-License-Identifier: MIT
"""The client on a real broker, and on servers that are none."""

import asyncio
import secrets
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme

from fedmsg_migration_tools.exceptions import ToolsError
from fedmsg_migration_tools.management.client import Management, ManagementError, Problem, Server, servers
from fedora_messaging.aio import Session
from fedora_messaging.config import conf
from fedora_messaging.private_node import PrivateNode

DURABLE = {"durable": True, "auto_delete": False, "exclusive": False, "arguments": None}


def api(node: PrivateNode, user: str | None = None, password: str = "") -> Management:
    port = urlsplit(node.management_url).port
    assert port is not None
    return Management([Server("127.0.0.1", port, user or node.user, password or node.password)])


@pytest.fixture
def vhost(amqp_url: str) -> str:
    return urlsplit(amqp_url).path[1:]


# a real broker


def test_it_tells_what_is_there_and_who_consumes(rabbitmq: PrivateNode, amqp_url: str, vhost: str) -> None:
    settings = {
        **conf.copy(),
        "amqp_url": amqp_url,
        "client_properties": {"app": "a consumer"},
    }
    pattern = "org.fedoraproject.prod.bodhi.#"
    bindings = [{"queue": "shop", "exchange": "amq.topic", "routing_keys": [pattern]}]

    async def look() -> None:
        async with (
            Session(settings) as session,
            session.deliveries(bindings, {"shop": DURABLE}, raw=True),
        ):
            await asyncio.to_thread(check)

    def check() -> None:
        with api(rabbitmq) as management:
            name, tags = management.whoami()
            found = management.snapshot(vhost)
            end = time.monotonic() + 20  # the broker's statistics of connections and consumers come later
            while found.consumers_of() != {"shop": ["a consumer"]} and time.monotonic() < end:
                time.sleep(0.2)
                found = management.snapshot(vhost)
        assert (name, tags) == ("admin", ("administrator",))
        assert [one["name"] for one in found.queues] == ["shop"]
        assert [(one["source"], one["destination"], one["routing_key"]) for one in found.bindings] == [
            ("amq.topic", "shop", pattern)
        ]
        assert {"name": "amq.topic", "type": "topic"}.items() <= found.exchanges[
            [one["name"] for one in found.exchanges].index("amq.topic")
        ].items()
        assert found.consumers_of() == {"shop": ["a consumer"]}

    asyncio.run(look())


def test_lists_longer_than_a_page_come_whole(rabbitmq: PrivateNode, vhost: str) -> None:
    with api(rabbitmq) as management:
        for number in range(3):
            management.request(
                "PUT", "queues", vhost, f"q {number}/é", body={"durable": False, "auto_delete": True}
            )
        pages = management.pages("queues", vhost, page_size=2, columns="name")
        assert sorted(one["name"] for one in pages) == ["q 0/é", "q 1/é", "q 2/é"]
        pages = management.pages("queues", vhost, page_size=2, columns="name")
        next(pages)
        for number in range(3):  # the second page is gone when it is asked for
            management.request("DELETE", "queues", vhost, f"q {number}/é")
        assert len(list(pages)) == 1


@pytest.mark.parametrize(
    ("tags", "password", "problem", "said"),
    [
        (None, "x", Problem.LOGIN, "does not know the user"),
        ("monitoring", "wrong", Problem.LOGIN, "check both in amqp_url"),
        ("", "x", Problem.FORBIDDEN, "set_user_tags"),
        ("monitoring", "x", Problem.FORBIDDEN, "set_permissions -p VHOST"),
    ],
)
def test_who_may_not_look_is_told_what_to_do(
    rabbitmq: PrivateNode, vhost: str, tags: str | None, password: str, problem: Problem, said: str
) -> None:
    user = f"user-{secrets.token_hex(4)}"
    if tags is not None:
        rabbitmq.management("PUT", f"/api/users/{user}", {"password": "x", "tags": tags})
    try:
        with (
            api(rabbitmq, user, password) as management,
            pytest.raises(ManagementError, match=said) as caught,
        ):
            management.snapshot(vhost)
    finally:
        if tags is not None:
            rabbitmq.management("DELETE", f"/api/users/{user}")
    assert caught.value.problem == problem
    assert caught.value.status == 401
    assert user in str(caught.value)


def test_the_tag_monitoring_and_reading_are_enough(rabbitmq: PrivateNode, vhost: str) -> None:
    user = f"user-{secrets.token_hex(4)}"
    rabbitmq.management("PUT", f"/api/users/{user}", {"password": "x", "tags": "monitoring"})
    rabbitmq.management(
        "PUT", f"/api/permissions/{vhost}/{user}", {"configure": "", "write": "", "read": ".*"}
    )
    try:
        with api(rabbitmq, user, "x") as management:
            assert management.whoami() == (user, ("monitoring",))
            assert management.snapshot(vhost).queues == []
    finally:
        rabbitmq.management("DELETE", f"/api/users/{user}")


def test_a_virtual_host_that_is_not_there(rabbitmq: PrivateNode) -> None:
    with api(rabbitmq) as management, pytest.raises(ManagementError, match="virtual host") as caught:
        management.queues("none")
    assert caught.value.problem == Problem.NOT_FOUND


def test_a_request_that_is_refused_says_why(rabbitmq: PrivateNode, vhost: str) -> None:
    with api(rabbitmq) as management:
        management.request("PUT", "exchanges", vhost, "x", body={"type": "topic"})
        with pytest.raises(ManagementError, match="inequivalent arg 'type'") as caught:
            management.request("PUT", "exchanges", vhost, "x", body={"type": "fanout"})
    assert (caught.value.problem, caught.value.status) == (Problem.REFUSED, 400)


def test_the_amqp_port_is_no_management_api(rabbitmq: PrivateNode) -> None:
    with (
        Management([Server("127.0.0.1", rabbitmq.amqp_port)]) as management,
        pytest.raises(ManagementError, match="does not speak HTTP") as caught,
    ):
        management.whoami()
    assert caught.value.problem == Problem.NOT_MANAGEMENT


def test_it_goes_on_to_the_broker_that_answers_and_stays_there(rabbitmq: PrivateNode) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        dead = unused.getsockname()[1]
    live = urlsplit(rabbitmq.management_url).port
    assert live is not None
    servers = [Server("127.0.0.1", port, rabbitmq.user, rabbitmq.password) for port in (dead, live)]
    with Management(servers) as management:
        assert management.whoami()[0] == "admin"
        assert management.server.port == live


# servers that are none


@contextmanager
def serving(answer: Callable[[socket.socket], None], context: ssl.SSLContext | None = None) -> Iterator[int]:
    """A port where each connection gets ``answer``, once what it asks was read."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                plain, _ = listener.accept()
                with suppress(OSError):
                    one = context.wrap_socket(plain, server_side=True) if context else plain
                    with one:
                        one.recv(65536)
                        answer(one)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def http(status: str, body: bytes, kind: str = "application/json") -> Callable[[socket.socket], None]:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    return lambda one: one.sendall(head + body)


def drip(one: socket.socket) -> None:
    one.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        one.sendall(b" ")
        time.sleep(0.02)


def flood(one: socket.socket) -> None:
    one.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    while True:
        one.sendall(b" " * 2**20)


@pytest.mark.parametrize(
    ("answer", "problem", "said"),
    [
        (http("200 OK", b"<html>", "text/html"), Problem.NOT_MANAGEMENT, "not with JSON"),
        (http("200 OK", b"[" * 100_000), Problem.NOT_MANAGEMENT, "not with JSON"),
        (http("404 Not Found", b"none", "text/plain"), Problem.NOT_MANAGEMENT, "under another path"),
        (http("301 Moved", b""), Problem.NOT_MANAGEMENT, "answers 301"),
        (http("403 Forbidden", b"[]"), Problem.FORBIDDEN, "the tag monitoring"),
        (
            http("503 Unavailable", b'{"reason": "starting"}'),
            Problem.BROKEN,
            "answers 503 to /api/whoami: starting",
        ),
        (
            lambda one: one.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"),
            Problem.NOT_MANAGEMENT,
            "IncompleteRead",
        ),
        (lambda one: one.sendall(b"SSH-2.0-x\r\n"), Problem.NOT_MANAGEMENT, "does not speak HTTP"),
        (lambda _: None, Problem.NOT_MANAGEMENT, "does not speak HTTP"),
        (drip, Problem.UNREACHABLE, "does not answer within"),
        (flood, Problem.BROKEN, "more than 64 MiB"),
        (lambda one: one.recv(1), Problem.UNREACHABLE, "does not answer within"),
    ],
)
def test_what_is_no_management_api_is_one_line(
    answer: Callable[[socket.socket], None], problem: Problem, said: str
) -> None:
    with (
        serving(answer) as port,
        Management([Server("127.0.0.1", port)], timeout=0.5) as management,
        pytest.raises(ManagementError, match=said) as caught,
    ):
        management.get("whoami")
    assert caught.value.problem == problem
    assert "\n" not in str(caught.value)
    assert f"http://127.0.0.1:{port}" in str(caught.value)


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(ManagementError, match="rabbitmq-plugins enable rabbitmq_management"):
        Management([Server("127.0.0.1", port)]).whoami()
    with pytest.raises(ManagementError, match="check the host"):
        Management([Server("no-such-host.invalid", port)]).whoami()
    with pytest.raises(ToolsError, match="No broker"):
        Management([])


def test_pages_that_are_none() -> None:
    with (
        serving(http("200 OK", b'{"items": 1}')) as port,
        Management([Server("127.0.0.1", port)]) as management,
        pytest.raises(ManagementError, match="not RabbitMQ's"),
    ):
        list(management.pages("queues"))


def test_over_tls_the_certificate_is_checked() -> None:
    ca, stranger = trustme.CA(), trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    right, wrong = ssl.create_default_context(), ssl.create_default_context()
    ca.configure_trust(right)
    stranger.configure_trust(wrong)
    answer = http("200 OK", b'{"name": "me", "tags": "management, monitoring"}')
    with serving(answer, context) as port:
        with Management([Server("127.0.0.1", port, tls=lambda: right)]) as management:
            assert management.whoami() == ("me", ("management", "monitoring"))
        with pytest.raises(ManagementError, match=r"tls\.ca_cert") as caught:
            Management([Server("127.0.0.1", port, tls=lambda: wrong)]).whoami()
        assert caught.value.problem == Problem.TLS
    with serving(http("200 OK", b"{}")) as port, pytest.raises(ManagementError, match="does not speak TLS"):
        Management([Server("127.0.0.1", port, tls=lambda: right)]).whoami()


def test_a_new_ca_is_read_for_the_next_connection_and_a_broken_one_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    former, ca, file = trustme.CA(), trustme.CA(), tmp_path / "ca.pem"
    former.cert_pem.write_to_path(file)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    given = {"amqp_url": "amqps://me:secret@localhost", "amqp_urls": [], "client_properties": {}}
    with serving(http("200 OK", b'{"name": "me", "tags": []}'), context) as port:
        found = servers({**given, "tls": {"ca_cert": str(file)}}, f"https://127.0.0.1:{port}")
        with Management(found) as management:
            with pytest.raises(ManagementError, match=r"tls\.ca_cert"):
                management.whoami()
            ca.cert_pem.write_to_path(file)
            assert management.whoami() == ("me", ())
            assert caplog.messages == []
            file.write_text("-----BEGIN CERTIFICATE-----\nhalf of it")
            management.close()
            assert management.whoami() == ("me", ())
    assert "going on with the files as they were before" in caplog.text
    assert "secret" not in caplog.text


def test_a_connection_that_the_server_closed_meanwhile_is_opened_again() -> None:
    answer = http("200 OK", b'{"name": "me", "tags": []}')  # and that is all
    with serving(answer) as port, Management([Server("127.0.0.1", port)]) as management:
        for _ in range(3):
            assert management.whoami() == ("me", ())


def test_a_broker_that_collects_no_statistics() -> None:
    config = {"management_agent.disable_metrics_collector": True}
    with (
        PrivateNode(config=config) as node,
        api(node) as management,
        pytest.raises(ManagementError, match="it collects no statistics: let it") as caught,
    ):
        management.snapshot("/")
    assert caught.value.problem == Problem.REFUSED
