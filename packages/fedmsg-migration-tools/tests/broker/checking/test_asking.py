# SPDX-License-Identifier: MIT
"""What a real broker says to questions, on a queue with a message: right answers, and nothing touched."""

import asyncio
from typing import Any
from urllib.parse import urlsplit

import pytest

from fedmsg_migration_tools.broker.checking import credentials
from fedmsg_migration_tools.broker.checking.asking import Answer, ask
from fedmsg_migration_tools.broker.checking.questions import Action, Question
from fedora_messaging import aio
from fedora_messaging.message import Message
from fedora_messaging.private_node import PrivateNode
from fedora_messaging.transports.base import Address

KEPT = {"durable": True, "auto_delete": False, "exclusive": False, "arguments": {}}
RIGHTS = {"configure": "^mine$", "write": "^(mine|amq[.]topic)$", "read": "^(mine|amq[.]topic)$"}


def answers(url: str, *asked: Question) -> dict[Question, Answer]:
    async def collect() -> dict[Question, Answer]:
        return {one: answer async for one, answer in ask(Address(url), asked)}

    return asyncio.run(asyncio.wait_for(collect(), 60))


@pytest.fixture(params=["", "impersonator"])
def limited(rabbitmq: PrivateNode, amqp_url: str, request: pytest.FixtureRequest) -> Any:
    """A user who may do some things; also one who may say to be somebody else."""
    vhost = urlsplit(amqp_url).path[1:]
    name = f"limited-{vhost}"
    rabbitmq.management("PUT", f"/api/users/{name}", {"password": "secret", "tags": request.param})
    rabbitmq.management("PUT", f"/api/permissions/{vhost}/{name}", RIGHTS)
    topics = {"exchange": "amq.topic", "write": "^a[.]", "read": "^a[.]"}
    rabbitmq.management("PUT", f"/api/topic-permissions/{vhost}/{name}", topics)
    yield f"amqp://{name}:secret@127.0.0.1:{rabbitmq.amqp_port}/{vhost}"
    rabbitmq.management("DELETE", f"/api/users/{name}")


def question(action: Action, name: str = "", topic: str = "", queue: str = "") -> Question:
    return Question("limited", "v", action, name, topic, queue)


@pytest.mark.parametrize("kind", ["classic", "quorum", "stream"])
def test_the_answers_are_right_and_nothing_is_touched(
    rabbitmq: PrivateNode, amqp_url: str, limited: str, kind: str
) -> None:
    vhost = urlsplit(amqp_url).path[1:]
    queue = {**KEPT, "arguments": {"x-queue-type": kind}}
    binding = {"queue": "mine", "exchange": "amq.topic", "routing_keys": ["#"]}

    async def prepare() -> None:
        settings = {"amqp_url": amqp_url, "queues": {"mine": queue}, "bindings": [binding]}
        async with aio.Session(settings) as session:
            if kind != "stream":  # which the library does not read
                async with session.deliveries():
                    pass
            await session.publish(Message(topic="a.b"))

    if kind == "stream":
        rabbitmq.management("PUT", f"/api/queues/{vhost}/mine", queue)
        rabbitmq.management("POST", f"/api/bindings/{vhost}/e/amq.topic/q/mine", {"routing_key": "#"})
    rabbitmq.management("PUT", f"/api/queues/{vhost}/others", queue)
    asyncio.run(asyncio.wait_for(prepare(), 60))
    before = rabbitmq.management("GET", f"/api/definitions/{vhost}")
    expected = {
        question(Action.LOGIN): True,
        question(Action.DECLARE, "mine"): True,
        question(Action.DECLARE, "new"): False,
        question(Action.CONSUME, "mine"): True,
        question(Action.CONSUME, "others"): False,
        question(Action.CONSUME, "nobodys"): False,
        question(Action.BIND, "amq.topic", "a.#", "mine"): True,
        question(Action.BIND, "amq.topic", "#", "mine"): False,
        question(Action.BIND, "amq.topic", "a.#", "others"): False,
        question(Action.BIND, "amq.fanout", "a.#", "mine"): False,
        question(Action.PUBLISH, "amq.topic", "a.b"): True,
        question(Action.PUBLISH, "amq.topic", "b"): False,
        question(Action.PUBLISH, "amq.topic", ""): False,
        question(Action.PUBLISH, "amq.fanout", "a.b"): False,
        question(Action.PUBLISH, "amq.default", "mine"): False,
    }
    found = answers(limited, *expected)
    assert {one: answer.allowed for one, answer in found.items()} == expected
    assert rabbitmq.management("GET", f"/api/definitions/{vhost}") == before
    if kind != "stream":  # which counts late
        assert ready(rabbitmq, vhost) == (1, 0)


def ready(node: PrivateNode, vhost: str) -> tuple[int, int]:
    """Messages and consumers of the queue, by the queue itself."""
    told = node.evaluate(
        f'begin {{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"{vhost}">>, queue, <<"mine">>)), '
        "{ok, M, C} = rabbit_amqqueue:stat(Q), {M, C} end"
    )
    messages, consumers = told.strip("{}").split(",")
    return int(messages), int(consumers)


@pytest.mark.parametrize(("configure", "answer"), [("^amq[.]gen", True), ("^mine$", False)])
def test_queues_that_the_broker_names(
    rabbitmq: PrivateNode, limited: str, configure: str, answer: bool
) -> None:
    parts = urlsplit(limited)
    rights = {**RIGHTS, "configure": configure}
    rabbitmq.management("PUT", f"/api/permissions{parts.path}/{parts.username}", rights)
    asked = question(Action.DECLARE, "amq.gencheck-broker")
    assert answers(limited, question(Action.LOGIN), asked)[asked].allowed is answer
    assert rabbitmq.management("GET", f"/api/queues{parts.path}") == []


def test_who_is_not_let_in_is_asked_nothing_more(rabbitmq: PrivateNode, amqp_url: str) -> None:
    stranger = f"amqp://nobody:secret@127.0.0.1:{rabbitmq.amqp_port}/"
    login = question(Action.LOGIN)
    found = answers(stranger, login, question(Action.DECLARE, "mine"))
    assert list(found) == [login]
    assert found[login].allowed is None
    assert "refused the user 'nobody'" in found[login].text
    found = answers(amqp_url.rpartition("/")[0] + "/nowhere", login)
    assert found[login].allowed is False


def test_a_broker_that_accepts_no_messages_is_asked_once(
    rabbitmq: PrivateNode, amqp_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedora_messaging.cli.prober.SECONDS", 1.0)
    usual = rabbitmq.evaluate("vm_memory_monitor:get_vm_memory_high_watermark()")
    rabbitmq.evaluate("vm_memory_monitor:set_vm_memory_high_watermark(0.00001)")
    topics = [question(Action.PUBLISH, "amq.topic", f"a.{n}") for n in range(200)]
    try:
        found = answers(amqp_url, question(Action.LOGIN), *topics, question(Action.DECLARE, "mine"))
    finally:
        rabbitmq.evaluate(f"vm_memory_monitor:set_vm_memory_high_watermark({usual})")
    assert {found[one].allowed for one in topics} == {None}
    assert found[question(Action.DECLARE, "mine")].allowed is True


def test_passwords_show_nowhere() -> None:
    login = credentials.Login("a b", "p/w:@")
    assert "p/w" not in repr(login)
    address = credentials.address("amqps://ignored:too@h:5/x?heartbeat=3", login, "/v", None)
    assert address.url == "amqps://a%20b:p%2Fw%3A%40@h:5/%2Fv?heartbeat=3"
