# SPDX-License-Identifier: MIT
"""Looking for what was lost: who is asked, in which order, and what it means when nobody answers. Real sockets."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from fedmsg_migration_tools.exceptions import ToolsError
from fedmsg_migration_tools.fedmsg import canonical
from fedmsg_migration_tools.fedmsg.translation import to_envelope
from fedmsg_migration_tools.reconcile.sightings import key
from fedmsg_migration_tools.shapes import Repair
from fedmsg_migration_tools.verify.recovered import Message
from fedmsg_migration_tools.verify.sources import Found, Sources

from .repairing import (
    HEADERS,
    NOWHERE,
    TOPIC,
    answering,
    datagrepper,
    envelope,
    frames,
    lost_to_amqp,
    lost_to_zmq,
    replaying,
    uuid,
)

if TYPE_CHECKING:
    from pathlib import Path

    from fedmsg_migration_tools.verify.recovered import Lost

FORGOTTEN = lost_to_amqp(forgotten=True)
IT = Message(frames=frames(envelope()))


async def find(lost: Lost, *endpoints: str, url: str | None = None, seconds: float = 5.0) -> Found:
    sources = Sources(Repair(replay_endpoints=endpoints, datagrepper_url=url), seconds=seconds)
    try:
        return await sources.find(lost)
    finally:
        sources.close()


def test_what_is_remembered_is_asked_of_nobody() -> None:
    async def test() -> None:
        with answering(b"error: none") as (endpoint, asked), datagrepper() as archive:
            found = await find(lost_to_amqp(), endpoint, url=archive.url)
            assert found == Found(IT, "memory")
            assert (asked, archive.asked) == ([], [])

    asyncio.run(test())


def test_a_replay_gives_it_to_the_last_byte(tmp_path: Path) -> None:
    async def test() -> None:
        others = [envelope(number) for number in range(2, 9)]
        with (
            answering(b"error: none") as (first, _),
            replaying(tmp_path / "b", *others, envelope(), *others) as second,
            datagrepper() as archive,
        ):
            found = await find(FORGOTTEN, NOWHERE, first, second, url=archive.url)
            assert found == Found(IT, f"replay {second}")
            assert archive.asked == []

    asyncio.run(test())


def test_all_replays_are_asked_at_once(tmp_path: Path) -> None:
    async def test() -> None:
        with replaying(tmp_path / "a", envelope()) as endpoint:
            begun = time.monotonic()
            found = await find(FORGOTTEN, NOWHERE, "tcp://127.0.0.1:10", endpoint, seconds=20)
            assert found.message == IT
            assert time.monotonic() - begun < 5

    asyncio.run(test())


def test_the_bridges_own_replay_has_it_under_the_year(tmp_path: Path) -> None:
    async def test() -> None:
        sent = to_envelope(TOPIC, uuid(1), HEADERS, b'{"n": 1}', i=1, now=0, bridge="amqp_to_zmq@x", seq_id=1)
        with replaying(tmp_path / "a", sent) as endpoint:
            found = await find(lost_to_zmq(forgotten=True), endpoint)
            assert found.message == Message(delivery=(TOPIC, f"2018-{uuid(1)}", HEADERS, b'{"n":1}'))

    asyncio.run(test())


@pytest.mark.parametrize(
    "parts",
    [
        [b"error: 'no message here matches'"],
        [b"rubbish"],
        [b"", b"{}", b"[]"],
        [frames(envelope(2))[1], frames(envelope(topic="other"))[1]],
    ],
)
def test_what_is_not_it_is_not_found(parts: list[bytes]) -> None:
    async def test() -> None:
        with answering(*parts) as (endpoint, asked):
            assert await find(FORGOTTEN, endpoint) == Found(None)
            assert asked == [canonical.dumps({"msg_id": f"2018-{uuid(1)}"})]

    asyncio.run(test())


def test_among_others_it_is_found() -> None:
    async def test() -> None:
        with answering(b"rubbish", frames(envelope(2))[1], frames(envelope())[1]) as (endpoint, _):
            assert (await find(FORGOTTEN, endpoint)).message == IT

    asyncio.run(test())


def test_the_archive_comes_last() -> None:
    async def test() -> None:
        with answering(b"error: none") as (endpoint, asked), datagrepper() as archive:
            archive.records[f"2018-{uuid(1)}"] = {
                **envelope(),
                "source_name": "datanommer",
                "source_version": "1",
            }
            assert await find(FORGOTTEN, endpoint, url=archive.url) == Found(IT, "datagrepper")
            assert len(asked) == 1
            assert archive.asked == [f"/datagrepper/v2/id?id=2018-{uuid(1)}&is_raw=true"]

    asyncio.run(test())


def test_the_archive_has_a_message_of_amqp() -> None:
    async def test() -> None:
        with datagrepper() as archive:
            archive.records[uuid(1)] = {"body": {"n": 1}, "headers": HEADERS, "id": uuid(1), "topic": TOPIC}
            found = await find(lost_to_zmq(forgotten=True), url=archive.url)
            assert found == Found(Message(delivery=(TOPIC, uuid(1), HEADERS, b'{"n":1}')), "datagrepper")

    asyncio.run(test())


@pytest.mark.parametrize("record", [envelope(2), {**envelope(), "topic": "other"}])
def test_the_archive_may_be_mistaken(record: dict[str, Any]) -> None:
    async def test() -> None:
        with datagrepper() as archive:
            archive.records[f"2018-{uuid(1)}"] = record
            assert await find(FORGOTTEN, url=archive.url) == Found(None)

    asyncio.run(test())


def test_of_what_all_is_forgotten_the_key_is_enough(tmp_path: Path) -> None:
    async def test() -> None:
        with replaying(tmp_path / "a", envelope()) as endpoint:
            assert (
                await find(lost_to_amqp(forgotten=True, message_id=None, topic=""), endpoint)
            ).message == IT

    asyncio.run(test())


def test_a_message_without_an_id_can_be_asked_for_by_nobody() -> None:
    async def test() -> None:
        with answering(frames(envelope())[1]) as (endpoint, asked):
            lost = lost_to_amqp(forgotten=True, message_id=None, key=key("no UUID"))
            assert await find(lost, endpoint) == Found(None)
            assert asked == []

    asyncio.run(test())


def test_those_that_do_not_answer_are_named() -> None:
    async def test() -> None:
        with datagrepper() as archive:
            archive.status = 500
            found = await find(FORGOTTEN, NOWHERE, url=archive.url, seconds=0.3)
            assert found == Found(None, silent=(f"replay {NOWHERE}", "datagrepper"))

    asyncio.run(test())


def test_who_gives_no_answer_is_left_alone_for_a_while_and_that_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def test() -> None:
        with datagrepper() as archive:
            archive.status = 503
            sources = Sources(
                Repair(replay_endpoints=(NOWHERE,), datagrepper_url=archive.url), seconds=0.3, pause=1.0
            )
            silent = (f"replay {NOWHERE}", "datagrepper")
            for _ in range(3):
                assert (await sources.find(FORGOTTEN)).silent == silent
            assert len(archive.asked) == 1
            archive.status = 200
            archive.records[f"2018-{uuid(1)}"] = envelope()
            await asyncio.sleep(1.0)
            assert (await sources.find(FORGOTTEN)).source == "datagrepper"
            sources.close()

    asyncio.run(test())
    assert [record.message.partition(": ")[0] for record in caplog.records] == [
        f"replay {NOWHERE}",
        "datagrepper",
    ]
    assert "no answer in 0.3 s" in caplog.text
    assert "answered 503" in caplog.text


def test_many_at_once_are_found_each_its_own(tmp_path: Path) -> None:
    async def test() -> None:
        sent = [envelope(number) for number in range(40)]
        with replaying(tmp_path / "a", *sent) as endpoint:
            sources = Sources(Repair(replay_endpoints=(endpoint,)))
            found = await asyncio.gather(*(sources.find(lost_to_amqp(one, forgotten=True)) for one in sent))
            assert [
                json.loads(one.message.frames[1]) for one in found if one.message and one.message.frames
            ] == sent
            sources.close()

    asyncio.run(test())


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (Repair(replay_endpoints=("tcp://*:9941",)), "is for listening"),
        (Repair(replay_endpoints=("localhost:9941",)), "is no endpoint"),
        (Repair(datagrepper_url="ftp://archive.example"), "does not begin with http"),
    ],
)
def test_what_is_no_address_is_said_at_the_start(settings: Repair, words: str) -> None:
    with pytest.raises(ToolsError, match=words):
        Sources(settings)
