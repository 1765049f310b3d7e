# SPDX-License-Identifier: MIT
"""What people read when there is no connection: on a real broker, and on peers that are none."""

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from pika import frame, spec

from fedora_messaging.exceptions import ConnectionException
from fedora_messaging.private_node import PrivateNode
from fedora_messaging.transports.amqp import Transport
from fedora_messaging.transports.base import Address, ConnectionEvents

SECRET = "geheim"

Failing = Callable[..., tuple[str, bool]]


@pytest.fixture
def failing(caplog: pytest.LogCaptureFixture) -> Failing:
    """Tries to connect; what the error says, and whether it is for good.

    Each is one line, names host and port, and shows no password; nor does the log.
    """
    caplog.set_level(logging.DEBUG)

    def attempt(url: str, tls: dict[str, str | None] | None = None) -> tuple[str, bool]:
        with pytest.raises(ConnectionException) as caught:
            asyncio.run(Transport(Address(url, tls or {})).connect(ConnectionEvents()))
        error = caught.value
        text = str(error)
        parts = urlsplit(url)
        assert f"{parts.hostname}:{parts.port}" in text
        assert len(text.splitlines()) == 1
        shown = (text, repr(error), repr(error.__cause__), caplog.text)
        assert not [place for place in shown if SECRET in place]
        return text, error.permanent

    return attempt


def url_of(node: PrivateNode, before: str = "", vhost: str = "") -> str:
    return f"amqp://{before or f'{node.user}:{node.password}'}@localhost:{node.amqp_port}/{vhost}"


# what the broker refuses


@pytest.mark.parametrize("user", ["admin", "stranger"])
def test_a_wrong_password(rabbitmq: PrivateNode, failing: Failing, user: str) -> None:
    assert failing(url_of(rabbitmq, f"{user}:{SECRET}")) == (
        f"localhost:{rabbitmq.amqp_port} refused the user {user!r}: check user name and password in amqp_url",
        True,
    )


def test_a_missing_virtual_host(rabbitmq: PrivateNode, failing: Failing) -> None:
    text, permanent = failing(url_of(rabbitmq, vhost="no%2Fsuch"))
    where = f"localhost:{rabbitmq.amqp_port}"
    assert text.startswith(f"{where} does not let us use the virtual host 'no/such': NOT_ALLOWED - ")
    assert text.endswith(" not found; check the path in amqp_url and the user's permissions")
    assert permanent


def test_no_permission_for_the_virtual_host(rabbitmq: PrivateNode, amqp_url: str, failing: Failing) -> None:
    rabbitmq.management("PUT", "/api/users/outsider", {"password": SECRET, "tags": ""})
    vhost = urlsplit(amqp_url).path[1:]
    text, permanent = failing(url_of(rabbitmq, f"outsider:{SECRET}", vhost))
    assert f"does not let us use the virtual host '{vhost}': NOT_ALLOWED - " in text
    assert "refused for user 'outsider'" in text
    assert permanent


def test_a_limit_of_connections_is_no_mistake_of_ours(
    rabbitmq: PrivateNode, amqp_url: str, failing: Failing
) -> None:
    vhost = urlsplit(amqp_url).path[1:]
    rabbitmq.management("PUT", f"/api/vhost-limits/{vhost}/max-connections", {"value": 0})
    text, permanent = failing(url_of(rabbitmq, vhost=vhost))
    assert "takes no more connections" in text
    assert "raise the limit" in text
    assert not permanent


def test_a_virtual_host_that_is_down_may_come_back(
    rabbitmq: PrivateNode, amqp_url: str, failing: Failing
) -> None:
    vhost = urlsplit(amqp_url).path[1:]
    rabbitmq.evaluate(f'rabbit_vhost_sup_sup:stop_and_delete_vhost(<<"{vhost}">>)')
    text, permanent = failing(url_of(rabbitmq, vhost=vhost))
    assert "is down" in text
    assert not permanent


# what the network does


def test_nothing_listens(failing: Failing) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        assert failing(f"amqp://admin:{SECRET}@localhost:{port}/") == (
            f"nothing listens on localhost:{port}: is the broker running, is the port in amqp_url right?",
            False,
        )


@pytest.mark.parametrize("host", ["no-such-host.invalid", f"{'x' * 64}.example", "a..b"])
def test_a_name_that_does_not_resolve(failing: Failing, host: str) -> None:
    assert failing(f"amqp://admin:{SECRET}@{host}:5672/") == (
        f"no connection to {host}:5672: the host name {host!r} does not resolve; check amqp_url and the DNS",
        not no_name_server_answers(host),
    )


def no_name_server_answers(host: str) -> bool:
    try:
        socket.getaddrinfo(host, None)
    except (OSError, UnicodeError) as error:
        return isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN
    raise AssertionError(f"{host} resolves")


@pytest.mark.parametrize(("scheme", "what"), [("amqp", "an AMQP port without TLS"), ("amqps", "a TLS port")])
def test_a_peer_that_says_nothing(serve: Any, failing: Failing, scheme: str, what: str) -> None:
    port = serve(None)
    assert failing(f"{scheme}://admin:{SECRET}@localhost:{port}/?stack_timeout=0.5") == (
        (
            f"the broker at localhost:{port} accepted the connection but did not answer in 0.5 s: "
            f"is it {what}, is the broker overloaded?"
        ),
        False,
    )


def test_a_peer_that_hangs_up_may_be_a_load_balancer(serve: Any, failing: Failing) -> None:
    port = serve()
    text, permanent = failing(f"amqp://admin:{SECRET}@localhost:{port}/")
    assert text.startswith(f"localhost:{port} ended the connection without a word: is it the port for AMQP")
    assert not permanent
    text, permanent = failing(f"amqps://admin:{SECRET}@localhost:{port}/")
    assert text.startswith(f"localhost:{port} cut the connection during the TLS handshake: ")
    assert not permanent


# peers that speak something else


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
            "does not speak AMQP (it said 'HTTP/1.1 400 Bad')",
        ),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "does not speak AMQP (it said 'SSH-2.0-OpenSSH_')"),
        (b"\r\n\r\n", "does not speak AMQP (it said '')"),
        (bytes(range(7, 100)), "does not speak AMQP"),
        (b"AMQP\x00\x01\x00\x00", "speaks another version of AMQP (1.0.0): 0.9.1 is needed"),
    ],
)
def test_another_protocol(serve: Any, failing: Failing, answer: bytes, words: str) -> None:
    port = serve(answer, None)
    text, permanent = failing(f"amqp://admin:{SECRET}@localhost:{port}/")
    assert text.startswith(f"localhost:{port} {words}")
    assert permanent


def test_tls_to_another_protocol(serve: Any, failing: Failing) -> None:
    port = serve(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert failing(f"amqps://admin:{SECRET}@localhost:{port}/") == (
        f"localhost:{port} does not speak TLS: use amqp:// or the broker's TLS port (5671) in amqp_url",
        True,
    )


def test_frames_that_are_none(serve: Any, failing: Failing) -> None:
    port = serve(b"\x01\x00\x00\xff\xff\xff\xff\x00")
    text, permanent = failing(f"amqp://admin:{SECRET}@localhost:{port}/")
    assert text.startswith(f"the connection to localhost:{port} broke: ")
    assert not permanent


# brokers that go away during the login


START = frame.Method(0, spec.Connection.Start(server_properties={}, mechanisms="PLAIN")).marshal()
TUNE = frame.Method(0, spec.Connection.Tune(2047, 131072, 60)).marshal()
SHUTDOWN = frame.Method(
    0, spec.Connection.Close(320, "CONNECTION_FORCED - broker forced connection closure", 0, 0)
).marshal()


@pytest.mark.parametrize("answers", [(START,), (START, b""), (START, TUNE), (START, TUNE, b"")])
def test_a_broker_that_dies_meanwhile_has_not_refused(
    serve: Any, failing: Failing, answers: tuple[bytes, ...]
) -> None:
    port = serve(*answers)
    text, permanent = failing(f"amqp://admin:{SECRET}@localhost:{port}/")
    assert text.startswith(f"localhost:{port} ended the connection during the login, without a word")
    assert not permanent


@pytest.mark.parametrize("answers", [(START, SHUTDOWN), (START, TUNE, SHUTDOWN)])
def test_a_broker_that_stops_meanwhile_has_not_refused(
    serve: Any, failing: Failing, answers: tuple[bytes, ...]
) -> None:
    port = serve(*answers)
    assert failing(f"amqp://admin:{SECRET}@localhost:{port}/") == (
        (
            f"localhost:{port} closed the connection: CONNECTION_FORCED - broker forced connection closure (320); "
            "see the broker's log"
        ),
        False,
    )


# TLS


def test_tls_to_a_plain_port(secure: Any, failing: Failing) -> None:
    port = secure.node.amqp_port
    assert failing(f"amqps://admin:{SECRET}@localhost:{port}/", secure.tls()) == (
        f"localhost:{port} does not speak TLS: use amqp:// or the broker's TLS port (5671) in amqp_url",
        True,
    )


def test_plain_to_a_tls_port(secure: Any, failing: Failing) -> None:
    port = secure.node.ports["amqps"]
    assert failing(f"amqp://admin:{SECRET}@localhost:{port}/", secure.tls()) == (
        f"localhost:{port} speaks TLS: it needs amqps:// in amqp_url",
        True,
    )


@pytest.mark.parametrize("ca", ["other-ca", None])
def test_a_broker_of_another_authority(secure: Any, failing: Failing, ca: str | None) -> None:
    tls = secure.tls(ca=ca or "ca") if ca else {**secure.tls(), "ca_cert": None}
    text, permanent = failing(secure.url(), tls)
    assert text.startswith(f"the certificate of localhost:{secure.node.ports['amqps']} is not trusted: ")
    assert text.endswith("; check tls.ca_cert and the host name in amqp_url")
    assert permanent


def test_a_broker_of_another_name(secure: Any, failing: Failing) -> None:
    text, permanent = failing(secure.url(host="127.0.0.1"), secure.tls())
    assert "is not trusted: IP address mismatch, certificate is not valid for '127.0.0.1'" in text
    assert permanent


@pytest.mark.parametrize(
    ("own", "why", "advice"),
    [
        ("expired", "certificate expired", "renew the one in tls.certfile ({})"),
        (
            "foreign",
            "unknown ca",
            "check the certificate in tls.certfile ({}), and which CA the broker trusts",
        ),
    ],
)
def test_a_certificate_that_the_broker_refuses(
    secure: Any, failing: Failing, own: str, why: str, advice: str
) -> None:
    where = f"localhost:{secure.node.ports['amqps']}"
    told = advice.format(secure.path(f"{own}.pem"))
    for before in ("", f"admin:{SECRET}@"):
        assert failing(secure.url(before), secure.tls(own)) == (
            f"{where} refused our certificate ({why}): {told}",
            True,
        )


@pytest.mark.parametrize("before", ["", f"admin:{SECRET}@"])
def test_no_certificate_where_one_is_wanted(secure: Any, failing: Failing, before: str) -> None:
    text, permanent = failing(secure.url(before), secure.tls(None))
    assert text.startswith(f"localhost:{secure.node.ports['amqps']} wants a client's certificate (")
    assert text.endswith("): set tls.certfile and tls.keyfile")
    assert permanent


def test_a_certificate_that_is_no_user(secure: Any, failing: Failing) -> None:
    text, permanent = failing(secure.url(), secure.tls("nobody"))
    assert "did not accept our certificate as a login (EXTERNAL): " in text
    assert secure.path("nobody.pem") in text
    assert permanent


def test_external_is_not_offered(secure: Any, failing: Failing) -> None:
    with secure.mechanisms("'PLAIN'"):
        text, permanent = failing(secure.url(), secure.tls())
    assert "does not offer EXTERNAL; enable the plugin rabbitmq_auth_mechanism_ssl" in text
    assert permanent


def test_passwords_are_not_offered(secure: Any, failing: Failing) -> None:
    with secure.mechanisms("'EXTERNAL'"):
        text, permanent = failing(secure.url(f"admin:{SECRET}@"), secure.tls())
    assert "does not offer a login by user and password (PLAIN): set tls.certfile and tls.keyfile" in text
    assert permanent


def test_the_broker_is_heard_over_tls(secure: Any, failing: Failing) -> None:
    """The end of a TLS session arrives together with the broker's last words, and must not hide them."""
    text, permanent = failing(secure.url(f"admin:{SECRET}@"), secure.tls())
    assert "refused the user 'admin'" in text
    assert permanent
    text, permanent = failing(secure.url(vhost="nope"), secure.tls())
    assert "NOT_ALLOWED - vhost nope not found" in text
    assert permanent
