# SPDX-License-Identifier: MIT
"""The example for a bus like Fedora's, on a real broker: bridges, verifier, applications, public live with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pika
import pytest
import zmq

from fedmsg_migration_tools.broker.bus.definitions import of_state
from fedmsg_migration_tools.broker.bus.desired import Secret, Secrets, desired
from fedmsg_migration_tools.broker.bus.file import read
from fedmsg_migration_tools.broker.state import Kind
from fedora_messaging.private_node import PrivateNode

from .test_file import EXAMPLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SCRIPT = Path(sys.executable).with_name("fedmsg-migration-tools")
PASSWORD = "for-the-test"
UUID = "0a1b2c3d-0000-4000-8000-0123456789ab"
TAG = "org.fedoraproject.prod.buildsys.tag"


@pytest.fixture(scope="module")
def bus() -> Iterator[PrivateNode]:
    """The example, but that all log in with one password, and without TLS."""
    config = {"default_user": "admin", "default_pass": PASSWORD}
    with PrivateNode(plugins=["rabbitmq_management", "rabbitmq_federation"], config=config) as node:
        file = read(EXAMPLE)
        secrets = {user.password_env: PASSWORD for user in file.users.values() if user.password_env}
        secrets["BUS_PUBSUB_URI"] = url(node, "federation", "%2Fpubsub")
        state = dict(desired(file, Secrets(secrets)))
        for key, user in state.items():
            if key.kind is Kind.USER:
                state[key] = {**user, "password": Secret(PASSWORD)}
        node.management("POST", "/api/definitions", of_state(state))
        yield node


def url(node: PrivateNode, user: str, vhost: str = "%2Fpubsub") -> str:
    return f"amqp://{user}:{PASSWORD}@127.0.0.1:{node.amqp_port}/{vhost}"


@contextmanager
def channel(node: PrivateNode, user: str, vhost: str = "%2Fpubsub") -> Iterator[Any]:
    with pika.BlockingConnection(pika.URLParameters(url(node, user, vhost))) as connection:
        one = connection.channel()
        one.confirm_delivery()
        yield one


def until(true: Callable[[], Any]) -> Any:
    """What it gives, once it gives something."""
    end = time.monotonic() + 60
    while not (found := true()):
        assert time.monotonic() < end
        time.sleep(0.1)
    return found


def waiting(node: PrivateNode, queue: str) -> int:
    with channel(node, "admin") as asked:
        return int(asked.queue_declare(queue, passive=True).method.message_count)


def test_anybody_hears_what_is_published_to_either_exchange(bus: PrivateNode) -> None:
    with channel(bus, "fedora", "%2Fpublic_pubsub") as public, channel(bus, "admin") as inside:
        public.queue_declare(UUID, auto_delete=True)
        public.queue_bind(UUID, "amq.topic", "#")
        heard = set()

        def both() -> bool:  # a link that is not up yet lets nothing through
            for exchange in ("amq.topic", "zmq.topic"):
                inside.basic_publish(exchange, f"org.example.{exchange}", b"")
            time.sleep(0.2)
            while (got := public.basic_get(UUID, auto_ack=True))[0] is not None:
                heard.add(got[0].routing_key)
            return len(heard) == 2

        until(both)
        assert heard == {"org.example.amq.topic", "org.example.zmq.topic"}


@pytest.mark.parametrize(
    ("user", "vhost", "does"),
    [
        ("fedora", "%2Fpublic_pubsub", lambda it: it.basic_publish("amq.topic", "a", b"")),
        ("fedora", "%2Fpublic_pubsub", lambda it: it.basic_publish("", UUID, b"")),
        ("fedora", "%2Fpublic_pubsub", lambda it: it.queue_declare("mine")),
        ("bodhi", "%2Fpubsub", lambda it: it.basic_publish("amq.topic", TAG, b"")),
        (
            "bodhi",
            "%2Fpubsub",
            lambda it: it.basic_publish("zmq.topic", "org.fedoraproject.prod.bodhi.x", b""),
        ),
        ("bodhi", "%2Fpubsub", lambda it: it.queue_bind("bodhi", "amq.topic", "#")),
        ("koji", "%2Fpubsub", lambda it: it.basic_get("bodhi")),
        ("zmq-to-amqp", "%2Fpubsub", lambda it: it.basic_publish("amq.topic", "a", b"")),
        ("verifier", "%2Fpubsub", lambda it: it.basic_publish("amq.topic", "a", b"")),
        ("federation", "%2Fpubsub", lambda it: it.basic_publish("amq.topic", "a", b"")),
    ],
)
def test_what_is_not_granted_is_refused(
    bus: PrivateNode, user: str, vhost: str, does: Callable[[Any], object]
) -> None:
    with (
        channel(bus, user, vhost) as one,
        pytest.raises(pika.exceptions.ChannelClosedByBroker, match="ACCESS_REFUSED"),
    ):
        does(one)


def test_who_is_not_listed_does_not_get_in(bus: PrivateNode) -> None:
    for user, vhost in (("fedora", "%2Fpubsub"), ("bodhi", "%2Fpublic_pubsub")):
        with pytest.raises(pika.exceptions.ProbableAccessDeniedError), channel(bus, user, vhost):
            pass


def test_bridges_and_verifier_live_with_it(bus: PrivateNode, tmp_path: Path) -> None:
    (tmp_path / "library.toml").write_text("passive_declares = true\n")
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("FEDORA_", "FEDMSG_"))
    }
    environment |= {"FEDORA_MESSAGING_CONF": str(tmp_path / "library.toml"), "STATE_DIRECTORY": str(tmp_path)}
    context = zmq.Context()
    publisher = context.socket(zmq.PUB)
    endpoint = f"tcp://127.0.0.1:{publisher.bind_to_random_port('tcp://127.0.0.1')}"
    commands = {
        "zmq-to-amqp": ["zmq_to_amqp", "--zmq-endpoint", endpoint, "--spool", str(tmp_path / "spool")],
        "amqp-to-zmq": ["amqp_to_zmq", "--publish-endpoint", "tcp://127.0.0.1:*"],
        "verifier": ["verify_missing", "--zmq-endpoint", endpoint],
    }
    running = {}

    def logged(user: str) -> str:
        return (tmp_path / user).read_text()

    try:
        for user, command in commands.items():
            with (tmp_path / user).open("w") as log:
                running[user] = subprocess.Popen(
                    [SCRIPT, *command, "--amqp-url", url(bus, user)], env=environment, stdout=log, stderr=log
                )
        until(lambda: all("for consuming" in logged(user) for user in ("amqp-to-zmq", "verifier")))
        before = waiting(bus, "bodhi")
        envelope = {
            "topic": TAG,
            "msg": {},
            "msg_id": "2026-x",
            "i": 1,
            "timestamp": time.time(),
            "username": "u",
        }

        def crossed() -> bool:  # who connects late misses what was sent before
            publisher.send_multipart([TAG.encode(), json.dumps(envelope).encode()])
            publisher.send_multipart([b"org.example", b"no JSON"])
            return waiting(bus, "bodhi") > before and waiting(bus, "zmq.quarantine") > 0

        until(crossed)
        with channel(bus, "koji") as koji:
            koji.basic_publish("amq.topic", TAG, b"{}", pika.BasicProperties(message_id="y", headers={}))
        until(lambda: waiting(bus, "amqp_to_zmq") == 0)
    finally:
        for one in running.values():
            one.terminate()
        codes = {user: one.wait(60) for user, one in running.items()}
        publisher.close(linger=0)
        context.term()
    assert codes == dict.fromkeys(commands, 0), [logged(user) for user in commands]
    for user in commands:
        assert "ACCESS_REFUSED" not in logged(user)
        assert "ERROR" not in logged(user)
    assert " lost 0" in logged("verifier")


@pytest.mark.parametrize("queue", ["amqp_to_zmq", "bodhi", "zmq.quarantine"])
def test_what_comes_back_again_and_again_is_not_lost(bus: PrivateNode, queue: str) -> None:
    """RabbitMQ 4 takes a message off a quorum queue at the 21st return; 3.10 has no such limit."""
    dead = -1
    with channel(bus, "admin") as inside:
        inside.queue_purge(queue)
        before = waiting(bus, "dead.letters")
        inside.basic_publish("", queue, b"poison", pika.BasicProperties(delivery_mode=2))

        inside.basic_qos(prefetch_count=1)
        for times, (method, _, _) in enumerate(inside.consume(queue, inactivity_timeout=2)):
            if method is not None:
                inside.basic_reject(method.delivery_tag, requeue=True)
            if method is None or times == 25:
                break
        inside.cancel()

        def somewhere() -> bool:
            nonlocal dead
            dead = waiting(bus, "dead.letters") - before
            return dead + waiting(bus, queue) == 1

        until(somewhere)
        version = bus.management("GET", "/api/overview")["rabbitmq_version"]
        assert dead == (int(version.partition(".")[0]) >= 4)
        inside.queue_purge(queue)
