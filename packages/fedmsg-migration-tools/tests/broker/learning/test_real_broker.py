# SPDX-License-Identifier: MIT
"""The verdicts beside a real RabbitMQ's: the same for every user, exchange and topic that was tried."""

from __future__ import annotations

import random
import secrets
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import msgspec
import pika
import pika.exceptions
import pytest

from fedmsg_migration_tools.broker import expressions
from fedmsg_migration_tools.broker.bus.desired import desired
from fedmsg_migration_tools.broker.bus.passwords import Secrets
from fedmsg_migration_tools.broker.learning import publishers, recordings
from fedmsg_migration_tools.broker.learning.messages import Reader, Sent
from fedmsg_migration_tools.broker.learning.proposing import Rules
from fedmsg_migration_tools.broker.learning.publishers import Proof, Publisher
from fedmsg_migration_tools.broker.learning.verdicts import Judge, Verdict
from fedmsg_migration_tools.broker.state import Kind
from fedora_messaging.private_node import PrivateNode

from .support import real, sent, understood, written
from .test_verdicts import FILE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from fedmsg_migration_tools.broker.bus.shape import Bus
#: What pika is told, by the verdict.
CODES = {
    Verdict.NO_USER: 403,
    Verdict.NO_PERMISSIONS: 530,
    Verdict.NO_WRITE: 403,
    Verdict.NO_TOPIC: 403,
    Verdict.INTERNAL: 403,
    Verdict.NO_EXCHANGE: 404,
}


class Broker:
    """A virtual host on the real broker, as a file has it, in which all users have one password."""

    def __init__(self, node: PrivateNode, url: str) -> None:
        self._node = node
        self._password = secrets.token_hex(8)
        self._users: list[str] = []
        self.vhost = urlsplit(url).path[1:]
        self._url = url

    def become(self, bus: Bus) -> None:
        """Users, permissions and exchanges as the file says; queues and the rest do not matter here."""
        for user in bus.users:
            self._put(f"/api/users/{_quoted(user)}", {"password": self._password, "tags": ""})
            self._users.append(user)
        table = msgspec.structs.replace(bus.vhosts[self.vhost], upstreams={})
        state = desired(msgspec.structs.replace(bus, users={}, vhosts={self.vhost: table}), Secrets())
        for key, row in state.items():
            if key.name not in bus.users and key.kind is not Kind.EXCHANGE:
                continue
            path = f"{_quoted(self.vhost)}/{_quoted(key.name)}"
            if key.kind is Kind.PERMISSION:
                self._put(f"/api/permissions/{path}", dict(row))
            elif key.kind is Kind.TOPIC_PERMISSION:
                self._put(f"/api/topic-permissions/{path}", {"exchange": key.more[0], **row})
            elif key.kind is Kind.EXCHANGE:
                self._put(f"/api/exchanges/{path}", dict(row))

    def publishes(self, user: str, tries: Iterable[tuple[str, str]]) -> Iterator[int]:
        """For each exchange and topic, the code of the refusal; 0: it was confirmed."""
        address = urlsplit(self._url)
        parameters = pika.ConnectionParameters(
            address.hostname,
            address.port,
            self.vhost,
            pika.PlainCredentials(user, self._password),
            blocked_connection_timeout=60,
        )
        try:
            connection = pika.BlockingConnection(parameters)
        except pika.exceptions.ProbableAuthenticationError:
            yield from (403 for _ in tries)
            return
        except (pika.exceptions.ProbableAccessDeniedError, pika.exceptions.ConnectionClosedByBroker):
            yield from (530 for _ in tries)
            return
        with connection:
            channel: Any = None
            for exchange, topic in tries:
                if channel is None or channel.is_closed:
                    channel = connection.channel()
                    channel.confirm_delivery()
                yield _publish(channel, exchange, topic)

    def close(self) -> None:
        for user in self._users:
            self._node.management("DELETE", f"/api/users/{_quoted(user)}")

    def _put(self, path: str, body: dict[str, Any]) -> None:
        self._node.management("PUT", path, body)


def _quoted(name: str) -> str:
    return quote(name, safe="")


def _publish(channel: Any, exchange: str, topic: str) -> int:
    try:
        channel.basic_publish(exchange, topic, b"{}")
    except pika.exceptions.ChannelClosedByBroker as error:
        return int(error.reply_code)
    return 0


@pytest.fixture
def broker(rabbitmq: PrivateNode, amqp_url: str) -> Iterator[Broker]:
    one = Broker(rabbitmq, amqp_url)
    try:
        yield one
    finally:
        one.close()


def judged(broker: Broker, judge: Judge, user: str, tries: list[tuple[str, str]]) -> int:
    """Compare; how many were refused."""
    answers = list(broker.publishes(user, tries))
    verdicts = [judge.verdict(user, *one) for one in tries]
    expected = [CODES.get(verdict, 0) for verdict in verdicts]
    differing = [
        (*one, *two) for one, *two in zip(tries, verdicts, answers, expected, strict=True) if two[1] != two[2]
    ]
    assert not differing, (user, differing)
    return sum(map(bool, answers))


def test_each_user_of_the_real_messages_publishes_what_shadow_says(broker: Broker) -> None:
    messages = real()
    bus = understood(written(messages, rules=Rules("amq.topic", above=5), vhost=broker.vhost))
    broker.become(bus)
    judge = Judge(bus, broker.vhost)
    chosen = random.Random(542)
    topics = sorted({one.topic for one in messages})
    refused = tried = 0
    for user in [*bus.users, "a stranger"]:
        own = sorted({one.topic for one in messages if one.publisher.name == user})
        picked = [*chosen.sample(own, min(3, len(own))), *chosen.sample(topics, 6)]
        odd = [
            f"{picked[0]}.more",
            picked[0].rpartition(".")[0],
            f"{picked[0]}\n",
            picked[0].upper(),
            "",
            "#",
        ]
        tries = [("amq.topic", topic) for topic in (*picked, *odd)]
        tries += [("amq.direct", picked[0]), ("", picked[0])]
        refused += judged(broker, judge, user, tries)
        tried += len(tries)
    assert 100 < refused < tried - 100


def test_each_kind_of_refusal_is_the_brokers(broker: Broker) -> None:
    bus = understood(FILE.replace("/pubsub", broker.vhost))
    broker.become(bus)
    judge = Judge(bus, broker.vhost)
    exchanges = [
        "amq.topic",
        "zmq.topic",
        "direct",
        "inner",
        "amq.direct",
        "amq.rabbitmq.trace",
        "",
        "nowhere",
        "gone",
    ]
    topics = ["org.bodhi.x", "org.bodhi", "org.bodhix", "org.raw.x", "org.raw.x\n", "org.raw." + broker.vhost]
    topics += ["a.b", "axb", "x.a.b", "", "#", "org.bodhi.é", "\n", "org.bodhi.\n"]
    tries = [(exchange, topic) for exchange in exchanges for topic in topics]
    refused = {user: judged(broker, judge, user, tries) for user in [*bus.users, "nobody"]}
    assert refused["other"] == refused["nobody"] == len(tries)
    assert 0 < refused["bodhi"] < len(tries)
    assert 0 < refused["raw"] < len(tries)
    assert 0 < refused["a.b"] < len(tries)


def test_the_longest_list_that_is_proposed_is_taken(broker: Broker) -> None:
    messages = [sent(f"org.fedoraproject.prod.git{number}.push.é-_", "git") for number in range(1500)]
    bus = understood(written(messages, vhost=broker.vhost))
    kept = bus.vhosts[broker.vhost].users["git"].publish["amq.topic"]
    assert len(expressions.of_topics(kept).encode()) > expressions.longest() - 100
    broker.become(bus)
    tries = [("amq.topic", topic) for topic in (kept[0], kept[-1], "org.fedoraproject.prod.git1499.push.x")]
    assert judged(broker, Judge(bus, broker.vhost), "git", tries) == 1


def test_what_the_broker_says_of_messages_is_read(broker: Broker, rabbitmq: PrivateNode) -> None:
    """As its management API gives them from a queue."""
    with pika.BlockingConnection(pika.URLParameters(broker._url)) as connection:
        channel = connection.channel()
        queue = channel.queue_declare("shadow", durable=True).method.queue
        channel.queue_bind(queue, "amq.topic", "#")
        properties = pika.BasicProperties(
            user_id=rabbitmq.user, message_id="x", headers={"sent-at": "2023-11-14T22:13:20Z"}
        )
        channel.basic_publish("amq.topic", "a.b.c.d", b"{}", properties)
        channel.basic_publish("amq.topic", "a.b.c.d", b"{}")
        wanted = {"count": 2, "ackmode": "ack_requeue_true", "encoding": "auto"}
        taken = rabbitmq.management(
            "POST", f"/api/queues/{_quoted(broker.vhost)}/{_quoted(queue)}/get", wanted
        )
    known, unknown = Reader(publishers.unverified).document(msgspec.json.encode(taken))
    assert known == Sent("a.b.c.d", Publisher(rabbitmq.user, Proof.BROKER), "x", 1_700_000_000, "amq.topic")
    assert unknown == Sent("a.b.c.d", Publisher("d", Proof.TOPIC), "", None, "amq.topic")


def test_what_the_broker_traces_is_read(tmp_path: Path) -> None:
    """A log of ``rabbitmq_tracing``: who published where, each message once."""
    with PrivateNode(plugins=["rabbitmq_tracing"]) as node:
        settings = {
            "directory": f'"{tmp_path}/traces"',
            "username": f'<<"{node.user}">>',
            "password": f'<<"{node.password}">>',
        }
        for name, value in settings.items():
            node.evaluate(f"application:set_env(rabbitmq_tracing, {name}, {value}).")
        node.management("PUT", "/api/traces/%2F/all", {"format": "json", "pattern": "#"})
        with pika.BlockingConnection(pika.URLParameters(node.amqp_url)) as connection:
            channel = connection.channel()
            queue = channel.queue_declare("", exclusive=True).method.queue
            channel.queue_bind(queue, "amq.topic", "#")
            for number in range(3):
                channel.basic_publish(
                    "amq.topic", f"a.b.c.d.{number}", b"{}", pika.BasicProperties(message_id="x")
                )
            for _ in channel.consume(queue, auto_ack=True):
                break
            log = tmp_path / "traces" / "all.log"
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline and (
                not log.exists() or log.read_text().count('"published"') < 3
            ):
                time.sleep(0.05)
    found = list(recordings.read(str(log), Reader(publishers.unverified), notes := recordings.Notes()))
    by = Publisher(node.user, Proof.BROKER)
    assert [(one.topic, one.publisher, one.exchange, one.vhost, one.message_id) for one in found] == [
        (f"a.b.c.d.{number}", by, "amq.topic", "/", "x") for number in range(3)
    ]
    assert all(one.at and abs(one.at - time.time()) < 600 for one in found)
    assert notes.lines() == []
