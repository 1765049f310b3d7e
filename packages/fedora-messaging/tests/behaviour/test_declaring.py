# SPDX-License-Identifier: MIT
"""What consuming declares first, and what it says when the broker refuses."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from fedora_messaging import aio
from fedora_messaging.exceptions import BadDeclaration, HaltConsumer
from fedora_messaging.message import Message
from fedora_messaging.private_node import NodeError, PrivateNode

from .buses import DURABLE, eventually, settings
from .work import EXCLUSIVE, Until, binding, fill, numbers_in, published, run

if TYPE_CHECKING:
    from .buses import Bus


async def consuming(session: aio.Session, task: asyncio.Task[Any]) -> None:
    while not session.statistics.consuming:
        await asyncio.sleep(0.01)
        if task.done():
            await task


def test_the_defaults_give_everything_from_amq_topic_to_a_queue_of_the_brokers_choice(bus: Bus) -> None:
    handle = Until(3)

    async def work() -> None:
        async with aio.Session(amqp_url=bus.url) as session:
            task = asyncio.create_task(session.consume(handle))
            await consuming(session, task)
            await published(session, range(3))
            with pytest.raises(HaltConsumer):
                await task

    run(work())
    assert handle.seen == [0, 1, 2]
    (name,) = {message.queue for message in handle.messages}
    assert name is not None
    assert name.startswith("amq.gen-")
    assert eventually(lambda: not bus.has(name))  # exclusive to a connection that is closed


def test_exchanges_queues_and_bindings_are_declared_as_configured(bus: Bus) -> None:
    conf = settings(
        bus,
        passive_declares=False,
        publish_exchange="orders",
        exchanges={"orders": {"type": "topic", "durable": True, "auto_delete": False, "arguments": {}}},
        queues={"q": {**DURABLE, "arguments": {"x-max-length": 100}}},
        bindings=[binding("q", "shop.order", "stock.#", exchange="orders")],
    )
    handle = Until(2)

    async def work() -> None:
        async with aio.Session(conf) as session:
            task = asyncio.create_task(session.consume(handle))
            await consuming(session, task)
            await published(session, range(1), "shop.other")
            await published(session, range(1, 2), "shop.order")
            await published(session, range(2, 3), "stock.count.low")
            with pytest.raises(HaltConsumer):
                await task

    run(work())
    assert handle.seen == [1, 2]
    assert bus.has("q")


@pytest.mark.parametrize("as_list", [False, True])
def test_bindings_and_queues_may_be_arguments(bus: Bus, as_list: bool) -> None:
    one = binding("q", "shop.#")
    handle = Until(1)

    async def work() -> None:
        async with aio.Session(amqp_url=bus.url) as session:
            task = asyncio.create_task(
                session.consume(handle, bindings=[one] if as_list else one, queues={"q": EXCLUSIVE})
            )
            await consuming(session, task)
            await published(session, range(1), "stock.count")
            await published(session, range(1, 2), "shop.order")
            with pytest.raises(HaltConsumer):
                await task

    run(work())
    assert handle.seen == [1]
    assert handle.messages[0].queue == "q"


def test_a_binding_that_names_no_queue_is_for_the_one_that_the_broker_names(bus: Bus) -> None:
    handle = Until(3)

    async def work() -> None:
        async with aio.Session(amqp_url=bus.url) as session:
            queues, bindings = (
                {"": EXCLUSIVE, "q": EXCLUSIVE},
                [binding(None, "shop.#"), binding("q", "stock.#")],
            )
            task = asyncio.create_task(session.consume(handle, bindings, queues))
            await consuming(session, task)
            await published(session, range(2), "shop.order")
            await published(session, range(2, 3), "stock.count")
            with pytest.raises(HaltConsumer):
                await task

    run(work())
    assert sorted(message.body["n"] for message in handle.messages if message.queue != "q") == [0, 1]
    assert [message.body["n"] for message in handle.messages if message.queue == "q"] == [2]


def test_bindings_of_queues_that_are_not_consumed_are_left_to_others(bus: Bus) -> None:
    """A configuration file may bind more queues than this consumer was told to take."""
    bus.queue("other", [])
    handle = Until(1)

    async def work() -> None:
        bindings = [binding("q", "#"), binding("other", "#"), binding("nowhere", "#")]
        async with aio.Session(amqp_url=bus.url) as session:
            task = asyncio.create_task(session.consume(handle, bindings, {"q": EXCLUSIVE}))
            await consuming(session, task)
            await published(session, range(1))
            with pytest.raises(HaltConsumer):
                await task

    run(work())
    assert handle.seen == [0]
    assert bus.waiting("other") == 0


def test_each_message_of_two_queues_says_where_it_came_from(bus: Bus) -> None:
    fill(bus, range(3), "one")
    fill(bus, range(3, 6), "two")
    bus.take("one")
    handle = Until(5)

    async def work() -> None:
        async with aio.Session(settings(bus, "one", "two")) as session:
            task = asyncio.create_task(session.consume(handle))
            await consuming(session, task)
            await session.publish(Message(topic="x", body={"n": 6}))
            with pytest.raises(HaltConsumer):
                await task

    run(work())
    assert sorted((message.queue, message.body["n"]) for message in handle.messages) == [
        *[("one", 6)],
        *[("two", n) for n in (3, 4, 5, 6)],
    ]


# passive


def test_passive_declarations_take_what_is_there_whatever_its_settings(bus: Bus) -> None:
    bus.queue("q", x_max_length=100)
    fill(bus, range(1))
    handle = Until(1)

    async def work() -> None:
        exchanges = {"amq.topic": {"type": "fanout", "durable": False, "auto_delete": True, "arguments": {}}}
        conf = settings(bus, "q", passive_declares=True, exchanges=exchanges)
        async with aio.Session(conf) as session:
            with pytest.raises(HaltConsumer):
                await session.consume(handle)

    run(work())
    assert handle.seen == [0]


def test_passive_declarations_do_not_keep_the_broker_from_naming_a_queue(bus: Bus) -> None:
    async def work() -> None:
        async with (
            aio.Session(settings(bus, passive_declares=True, queues={"": EXCLUSIVE})) as session,
            session.deliveries(bindings=binding("", "#")) as deliveries,
        ):
            await session.publish(Message(topic="a"))
            assert str((await anext(deliveries)).message.queue).startswith("amq.gen-")

    run(work())


def test_passive_declarations_of_what_is_missing_are_refused(bus: Bus) -> None:
    async def work() -> None:
        missing = {"orders": {"type": "topic", "durable": True, "auto_delete": False, "arguments": {}}}
        async with aio.Session(settings(bus, "q", passive_declares=True)) as session:
            with pytest.raises(BadDeclaration, match="NOT_FOUND - no queue 'q'") as caught:
                await session.consume(print)
            assert (caught.value.obj_type, caught.value.description) == ("queue", "q")
        async with aio.Session(settings(bus, passive_declares=True, exchanges=missing)) as session:
            with pytest.raises(BadDeclaration, match="NOT_FOUND - no exchange 'orders'") as caught:
                await session.consume(print)
            assert (caught.value.obj_type, caught.value.description) == ("exchange", "orders")

    run(work())


# refusals


def refusals() -> dict[str, tuple[dict[str, Any], tuple[str, str], str]]:
    topic = {"type": "topic", "durable": True, "auto_delete": False, "arguments": {}}
    return {
        "another type of exchange": (
            {"exchanges": {"amq.topic": {**topic, "type": "fanout"}}},
            ("exchange", "amq.topic"),
            "inequivalent arg 'type'",
        ),
        "another durability": (
            {"queues": {"q": {**DURABLE, "durable": False}}},
            ("queue", "q"),
            "inequivalent arg 'durable'",
        ),
        "reserved exchange": ({"exchanges": {"amq.mine": topic}}, ("exchange", "amq.mine"), "ACCESS_REFUSED"),
        "missing exchange in a binding": (
            {"bindings": [binding("q", "#", exchange="nowhere")]},
            ("binding", "q to nowhere for '#'"),
            "no exchange 'nowhere'",
        ),
    }


@pytest.mark.parametrize("what", refusals())
def test_a_refused_declaration_says_what_and_why(bus: Bus, what: str) -> None:
    bus.queue("q")
    conf, about, why = refusals()[what]

    async def work() -> None:
        async with aio.Session(settings(bus, "q", passive_declares=False, **conf)) as session:
            with pytest.raises(BadDeclaration, match=why) as caught:
                await session.consume(print)
            assert (caught.value.obj_type, caught.value.description) == about
            assert about[0] in str(caught.value)
            assert about[1] in str(caught.value)
            assert not session.statistics.consuming

    run(work())


@pytest.mark.parametrize(
    ("bindings", "queues"),
    [
        ("amq.topic", None),
        ([{"exchange": "amq.topic"}], None),
        ({"exchange": "amq.topic", "routing_keys": "#"}, None),
        (None, ["q"]),
        (None, {"q": {"durable": "yes"}}),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_opened(bus: Bus, bindings: Any, queues: Any) -> None:
    async def work() -> None:
        async with aio.Session(amqp_url=bus.away) as session:
            with pytest.raises(ValueError, match=r"bindings|queues"):
                await session.consume(print, bindings, queues)

    run(work())


def test_another_connections_exclusive_queue_is_refused(bus: Bus) -> None:
    async def work() -> None:
        async with (
            aio.Session(amqp_url=bus.url) as one,
            aio.Session(amqp_url=bus.url) as other,
            one.deliveries(queues={"mine": EXCLUSIVE}, bindings=[]),
        ):
            with pytest.raises(BadDeclaration, match="RESOURCE_LOCKED"):
                await other.consume(print, queues={"mine": EXCLUSIVE}, bindings=[])

    run(work())


def test_who_only_publishes_may_declare_as_well(bus: Bus) -> None:
    queues = {"archive": DURABLE}
    exchanges = {"zmq.topic": {"type": "topic", "durable": True, "auto_delete": False, "arguments": {}}}

    async def work() -> None:
        async with aio.Session(settings(bus)) as session:
            with pytest.raises(BadDeclaration, match=r"zmq\.topic"):
                await session.declare(exchanges=exchanges, passive=True)
            bindings = {"queue": "archive", "exchange": "zmq.topic", "routing_keys": ["a.#"]}
            assert await session.declare(exchanges=exchanges, queues=queues, bindings=bindings) == {
                "archive": "archive"
            }
            await session.declare(exchanges=exchanges, queues=queues, passive=True)
            await session.publish(Message(topic="a.b", body={"n": 1}), exchange="zmq.topic")

    run(work())
    assert numbers_in(bus, "archive") == [1]


TRANSIENT = {"durable": False, "auto_delete": True, "exclusive": False, "arguments": {}}


async def consume_news(url: str) -> None:
    async with aio.Session(amqp_url=url) as session:
        await session.consume(print, queues={"news": TRANSIENT}, bindings=[binding("news", "#")])


def test_a_queue_of_a_kind_that_is_not_permitted_any_more(rabbitmq: PrivateNode, amqp_url: str) -> None:
    """RabbitMQ 3.10 has no such features, and no list of them; later ones end the connection over such a queue."""
    if knows_deprecated_features(rabbitmq):
        config = {"deprecated_features.permit.transient_nonexcl_queues": False}
        with PrivateNode(plugins=(), config=config) as node, pytest.raises(BadDeclaration) as caught:
            run(consume_news(node.amqp_url))
        assert str(caught.value) == (
            "Unable to declare the queue (news): the broker does not permit queues that are neither durable nor "
            "exclusive, the deprecated feature transient_nonexcl_queues: set durable = true, or exclusive = true, "
            "or have it permitted there"
        )
    with pytest.raises(TimeoutError):
        run(asyncio.wait_for(consume_news(amqp_url), 1))


def knows_deprecated_features(node: PrivateNode) -> bool:
    try:
        return bool(node.management("GET", "/api/deprecated-features"))
    except NodeError as error:
        if error.status != 404:
            raise
        return False
