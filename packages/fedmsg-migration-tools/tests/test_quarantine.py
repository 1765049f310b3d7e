# SPDX-License-Identifier: MIT
"""Looking through the queue, sending on and dropping, on a real broker."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from fedmsg_migration_tools.bridges.declaring import declare
from fedmsg_migration_tools.exceptions import Reason, ToolsError, Unbridgeable
from fedmsg_migration_tools.fedmsg.setaside import SetAside
from fedmsg_migration_tools.quarantine import Held, Outcome, Quarantine, Selection, to_bridges_queue
from fedora_messaging import wire
from fedora_messaging.aio import Session
from fedora_messaging.exceptions import ConnectionException
from fedora_messaging.transports.base import Incoming, Outgoing

QUEUE = "zmq.quarantine"
DURABLE = {"durable": True, "auto_delete": False, "exclusive": False, "arguments": None}
TOPIC = {"type": "topic", "durable": True, "auto_delete": False, "arguments": {}}
IDLE = 0.3


def letter(number: int, reason: str = "json", direction: str = "zmq_to_amqp") -> SetAside:
    """A message that was set aside."""
    return SetAside(
        reason=reason,
        detail=f"wrong {number}",
        received_at=1_700_000_000.25 + number,
        bridge="zmq_to_amqp@host",
        direction=direction,
        frames=(f"org.example.{number}".encode(), b"{\xff" + str(number).encode()),
        properties={"message_id": f"id-{number}", "headers": {"a": number}}
        if direction == "amqp_to_zmq"
        else {},
    )


async def put(url: str, queue: str, *messages: SetAside | bytes) -> None:
    """The queue, with these messages in it."""
    async with Session(amqp_url=url) as session:
        await declare(session, quarantine=queue)
        for message in messages:
            outgoing = (
                wire.raw("", queue, message, message_id=None, headers={})
                if isinstance(message, bytes)
                else message.encode(queue)
            )
            settled = asyncio.get_running_loop().create_future()
            session.submit(outgoing, 10, settled.set_result)
            assert await settled is None


async def taken(url: str, queue: str) -> list[Incoming]:
    """All that is in the queue; gone afterwards."""
    found: list[Incoming] = []
    async with (
        Session({"exchanges": {}}, amqp_url=url) as session,
        session.deliveries([], {queue: DURABLE}, raw=True) as deliveries,
    ):
        while True:
            try:
                async with asyncio.timeout(IDLE):
                    delivery = await anext(deliveries)
            except TimeoutError:
                return found
            found.append(delivery.incoming)
            delivery.ack()


def with_queue(
    url: str, work: Callable[[Quarantine], Coroutine[Any, Any, Any]], *messages: SetAside | bytes
) -> tuple[Any, list[str]]:
    """What ``work`` returns, and the ids of the messages that are in the queue afterwards."""

    async def whole() -> tuple[Any, list[str]]:
        await put(url, QUEUE, *messages)
        async with Quarantine({"amqp_url": url}, QUEUE, idle=IDLE) as quarantine:
            result = await work(quarantine)
        return result, [Held.of(incoming.body).id for incoming in await taken(url, QUEUE)]

    return asyncio.run(whole())


def to_elsewhere(queue: str) -> Callable[[SetAside], Awaitable[Outgoing]]:
    """Sends each message to a queue, with its topic as the body."""

    async def prepare(message: SetAside) -> Outgoing:
        if message.reason == "body":
            raise Unbridgeable(Reason.BODY, "still no body")
        return wire.raw("", queue, message.frames[0], message_id=None, headers={}, mandatory=True)

    return prepare


def test_looking_leaves_all_in_place(amqp_url: str) -> None:
    letters = [letter(number) for number in range(5)]
    found, left = with_queue(amqp_url, lambda one: one.look(Selection(), 100), *letters)
    assert [held.letter for held in found] == letters
    assert [held.id for held in found] == [one.id for one in letters] == left


def test_looking_is_bounded(amqp_url: str) -> None:
    letters = [letter(number) for number in range(5)]
    found, left = with_queue(amqp_url, lambda one: one.look(Selection(), 3), *letters)
    assert [held.id for held in found] == [one.id for one in letters[:3]]
    assert left == [one.id for one in letters]


def test_looking_for_some(amqp_url: str) -> None:
    letters = [letter(0), letter(1, "topic"), letter(2), letter(3, "topic")]

    async def work(one: Quarantine) -> Any:
        by_reason = await one.look(Selection(reason="topic"), 100)
        by_id = await one.look(Selection(ids=[letters[2].id, "no such id"]), 100)
        return [[held.id for held in found] for found in (by_reason, by_id)]

    found, left = with_queue(amqp_url, work, *letters)
    assert found == [[letters[1].id, letters[3].id], [letters[2].id]]
    assert len(left) == 4


def test_what_no_bridge_wrote_is_seen_as_well(amqp_url: str) -> None:
    found, left = with_queue(amqp_url, lambda one: one.look(Selection(), 100), b"\xffwhat", b'{"reason": 1}')
    assert [(held.letter, held.reason, held.topic, held.body) for held in found] == [
        (None, "foreign", "", b"\xffwhat"),
        (None, "foreign", "", b'{"reason": 1}'),
    ]
    assert [held.id for held in found] == left
    assert left[0] != left[1]


def test_an_empty_queue(amqp_url: str) -> None:
    assert with_queue(amqp_url, lambda one: one.look(Selection(), 100)) == ([], [])


def test_dropping(amqp_url: str) -> None:
    letters = [letter(0), letter(1), letter(2), letter(1)]
    outcome, left = with_queue(
        amqp_url, lambda one: one.drop(Selection(ids=[letters[1].id, "no such id"])), *letters, b"foreign"
    )
    assert outcome.done == [letters[1].id]  # though it was there twice
    assert outcome.missing([letters[1].id, "no such id"]) == ["no such id"]
    assert left == [letters[0].id, letters[2].id, Held.of(b"foreign").id]


def test_what_is_confirmed_elsewhere_leaves(amqp_url: str) -> None:
    letters = [letter(0), letter(1, "body"), letter(2), letter(0)]

    async def work(one: Quarantine) -> Any:
        await put(amqp_url, "elsewhere")
        return await one.replay(Selection(), to_elsewhere("elsewhere"))

    outcome, left = with_queue(amqp_url, work, *letters, b"foreign")
    foreign = Held.of(b"foreign").id
    assert outcome == Outcome(
        [letters[0].id, letters[2].id],
        {letters[1].id: "body: still no body", foreign: "no bridge put it there"},
    )
    assert left == [letters[1].id, foreign]
    bodies = [incoming.body for incoming in asyncio.run(taken(amqp_url, "elsewhere"))]
    assert bodies == [b"org.example.0", b"org.example.2"]


def test_what_is_set_aside_again_at_once_is_not_met_again(amqp_url: str) -> None:
    async def again(message: SetAside) -> Outgoing:
        return dataclasses.replace(message, received_at=message.received_at + 100).encode(QUEUE)

    async def work(one: Quarantine) -> Any:
        async with asyncio.timeout(20):
            return await one.replay(Selection(), again)

    outcome, left = with_queue(amqp_url, work, letter(0), letter(1))
    assert outcome.done == [letter(0).id, letter(1).id]
    assert len(left) == 2
    assert not set(left) & set(outcome.done)


def test_what_the_broker_does_not_take_stays(amqp_url: str) -> None:
    outcome, left = with_queue(
        amqp_url, lambda one: one.replay(Selection(), to_elsewhere("nowhere")), letter(0)
    )
    assert outcome.done == []
    assert list(outcome.left) == left == [letter(0).id]
    assert "nowhere" in outcome.left[letter(0).id]


def test_back_to_the_bridges_own_queue(amqp_url: str) -> None:
    message = letter(7, "json", "amqp_to_zmq")
    bindings = [
        {"queue": queue, "exchange": "amq.topic", "routing_keys": ["#"]} for queue in ("bridge", "other")
    ]

    async def work(one: Quarantine) -> Any:
        async with Session(amqp_url=amqp_url) as session:
            await session.declare(queues={"bridge": DURABLE, "other": DURABLE}, bindings=bindings)
        back = await to_bridges_queue(one.session, "bridge")

        async def prepare(found: SetAside) -> Outgoing:
            return back(found)

        return await one.replay(Selection(), prepare)

    outcome, left = with_queue(amqp_url, work, message)
    assert (outcome.done, outcome.left, left) == ([message.id], {}, [])
    (incoming,) = asyncio.run(taken(amqp_url, "bridge"))
    assert (incoming.topic, incoming.body) == ("org.example.7", message.frames[1])
    assert (incoming.properties.message_id, incoming.properties.headers) == ("id-7", {"a": 7})
    assert asyncio.run(taken(amqp_url, "other")) == []


def test_no_queue_is_no_riddle(amqp_url: str) -> None:
    async def look() -> None:
        async with Quarantine({"amqp_url": amqp_url}, QUEUE) as quarantine:
            with pytest.raises(ToolsError, match=r"^there is no queue zmq\.quarantine on the broker: "):
                await quarantine.look(Selection(), 10)
            with pytest.raises(ToolsError, match=r"^there is no queue bridge on the broker: "):
                await to_bridges_queue(quarantine.session, "bridge")

    asyncio.run(look())


def test_no_broker() -> None:
    async def look() -> None:
        async with Quarantine({"amqp_url": "amqp://127.0.0.1:1"}, QUEUE) as quarantine:
            await quarantine.look(Selection(), 10)

    with pytest.raises(ConnectionException):
        asyncio.run(look())


def test_a_lost_connection_does_not_look_like_an_end(
    rabbitmq: Any, amqp_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    letters = [letter(number) for number in range(3)]

    async def work(one: Quarantine) -> Any:
        await put(amqp_url, "elsewhere")
        prepare = to_elsewhere("elsewhere")
        met: list[SetAside] = []

        async def cutting(message: SetAside) -> Outgoing:
            met.append(message)
            if len(met) == 2:
                rabbitmq.evaluate(
                    '[rabbit_networking:close_connection(P, "cut") || P <- rabbit_networking:connections()].'
                )
            return await prepare(message)

        return await one.replay(Selection(), cutting)

    outcome, left = with_queue(amqp_url, work, *letters)
    assert "Lost the connection for consuming" in caplog.text
    assert (sorted(outcome.done), outcome.left, left) == (sorted(one.id for one in letters), {}, [])
    assert len(asyncio.run(taken(amqp_url, "elsewhere"))) == 3
