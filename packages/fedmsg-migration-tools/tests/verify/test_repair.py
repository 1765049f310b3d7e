# SPDX-License-Identifier: MIT
"""Sending lost messages again, on a real broker and with the real bridge to ZeroMQ."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import zmq
import zmq.asyncio

from fedmsg_migration_tools.bridges.amqp_to_zmq import AmqpToZmq
from fedmsg_migration_tools.bridges.crossing import Crossing
from fedmsg_migration_tools.fedmsg.signing import Signer
from fedmsg_migration_tools.reconcile.model import Leg
from fedmsg_migration_tools.reconcile.sightings import of_delivery, of_frames
from fedmsg_migration_tools.shapes import AmqpToZmq as BridgeSettings
from fedmsg_migration_tools.shapes import Config, Repair, Signatures, VerifyMissing, ZmqToAmqp
from fedmsg_migration_tools.spool import Entry
from fedmsg_migration_tools.verify.repair import Lost, Repaired, Repairer, crossing
from fedora_messaging.aio import Session
from tests.pki import DAY, Pki, authority

from .repairing import (
    HEADERS,
    NOWHERE,
    TOPIC,
    datagrepper,
    envelope,
    frames,
    lost_to_amqp,
    lost_to_zmq,
    replaying,
    uuid,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from fedora_messaging.transports.base import Incoming

DURABLE = {"durable": True, "auto_delete": False, "exclusive": False, "arguments": {}}
TOPICS = {"type": "topic", "durable": True, "auto_delete": False, "arguments": {}}
MARK = "verify_missing@second"


async def queue(session: Session, name: str, exchange: str) -> None:
    """A queue that takes all of the exchange."""
    await session.declare(
        exchanges={exchange: TOPICS},
        queues={name: DURABLE},
        bindings=[{"queue": name, "exchange": exchange, "routing_keys": ["#"]}],
    )


async def taken(session: Session, name: str, count: int, *, more: float = 0.0) -> list[Incoming]:
    """The next messages of the queue; with ``more``, whatever comes within so many seconds after them."""
    found: list[Incoming] = []
    async with session.deliveries([], {name: DURABLE}, raw=True) as deliveries:
        with contextlib.suppress(TimeoutError):
            while len(found) < count or more:
                async with asyncio.timeout(10 if len(found) < count else more):
                    delivery = await anext(deliveries)
                found.append(delivery.incoming)
                delivery.ack()
    return found


@contextlib.asynccontextmanager
async def repairing(session: Session, config: Config | None = None, **more: Any) -> AsyncIterator[Repairer]:
    config = config or Config()
    more.setdefault("name", "second")
    repairer = Repairer(config.verify_missing, session, crossing(config, more["name"]), **more)
    try:
        yield repairer
    finally:
        await repairer.close()


def settings(**repair: Any) -> Config:
    return Config(verify_missing=VerifyMissing(repair=Repair(**repair)))


def run(url: str, test: Callable[[Session], Any]) -> None:
    """With ``zmq.topic``, and the queue ``all`` that takes what comes there."""

    async def whole() -> None:
        async with asyncio.timeout(60), Session({"exchanges": {}}, amqp_url=url) as session:
            await queue(session, "all", "zmq.topic")
            await test(session)

    asyncio.run(whole())


async def until(condition: Callable[[], Any]) -> None:
    while not condition():
        await asyncio.sleep(0.02)


# to AMQP


def test_a_lost_message_comes_as_the_bridge_would_have_sent_it(amqp_url: str) -> None:
    bridge = Crossing("zmq.topic", "zmq.quarantine", "zmq_to_amqp@here")
    expected = bridge.prepare(Entry(0, 0.0, frames(envelope()))).outgoing
    assert expected is not None

    async def test(session: Session) -> None:
        async with repairing(session) as repairer:
            repaired = await repairer.repair(lost_to_amqp())
            assert (repaired.outcome, repaired.source) == ("sent", "memory")
        (incoming,) = await taken(session, "all", 1)
        assert (incoming.topic, incoming.body) == (expected.topic, expected.body)
        sent, came = expected.properties, incoming.properties
        assert came.message_id == f"2018-{uuid(1)}"
        assert came.headers == {**sent.headers, "fedmsg_bridge": MARK, "fedmsg_repaired_by": MARK}
        assert {**vars(came), "headers": None} == {**vars(sent), "headers": None}
        origin = of_frames(frames(envelope()))
        far = of_delivery(incoming.topic, came.message_id, came.headers, incoming.body)
        assert (far.key, far.digest, far.carrier) == (
            origin.key,
            origin.digest,
            MARK,
        )  # to any verifier, the same

    run(amqp_url, test)


@pytest.mark.parametrize("from_archive", [True, False])
def test_what_is_forgotten_is_found_elsewhere(amqp_url: str, tmp_path: Path, from_archive: bool) -> None:
    async def test(session: Session) -> None:
        with (
            datagrepper() as archive,
            replaying(tmp_path / "a", envelope(7 if from_archive else 1)) as endpoint,
        ):
            archive.records[f"2018-{uuid(1)}"] = {
                **envelope(),
                "source_name": "datanommer",
                "source_version": "1",
            }
            config = settings(replay_endpoints=(endpoint,), datagrepper_url=archive.url)
            async with repairing(session, config) as repairer:
                repaired = await repairer.repair(lost_to_amqp(forgotten=True))
            assert repaired.outcome == "sent"
            assert repaired.source == ("datagrepper" if from_archive else f"replay {endpoint}")
        (incoming,) = await taken(session, "all", 1)
        assert incoming.properties.message_id == f"2018-{uuid(1)}"
        assert json.loads(incoming.body) == envelope()["msg"]
        assert incoming.properties.headers["fedmsg_repaired_by"] == MARK

    run(amqp_url, test)


def test_signatures_are_checked_where_the_bridge_checks_them(amqp_url: str, tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    signed = Signer.load(tmp_path / "valid.crt", tmp_path / "valid.key").sign(envelope())
    signatures = Signatures(validate=True, ca=(pki.ca_file,))
    config = Config(zmq_to_amqp=ZmqToAmqp(signatures=signatures))

    async def test(session: Session) -> None:
        async with repairing(session, config) as repairer:
            forged = lost_to_amqp({**signed, "msg": {"text": "forged"}})
            assert (await repairer.repair(forged)).outcome == "unbridgeable"
            unsigned = await repairer.repair(lost_to_amqp(envelope(2)))
            assert (unsigned.outcome, unsigned.detail[:9]) == ("unbridgeable", "unsigned:")
            assert (await repairer.repair(lost_to_amqp(signed))).outcome == "sent"
        (incoming,) = await taken(session, "all", 1, more=0.3)
        assert incoming.properties.headers["fedmsg_signature"] == signed["signature"]
        assert incoming.properties.headers["fedmsg_certificate"] == signed["certificate"]

    run(amqp_url, test)


def test_an_expired_ca_is_not_the_messages_fault(amqp_url: str, tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    now = datetime.now(UTC)
    pki.ca_file.write_bytes(authority("Test CA", begins=now - 9 * DAY, ends=now - DAY).pem)
    signed = Signer.load(tmp_path / "valid.crt", tmp_path / "valid.key").sign(envelope())
    config = Config(zmq_to_amqp=ZmqToAmqp(signatures=Signatures(validate=True, ca=(pki.ca_file,))))

    async def test(session: Session) -> None:
        async with repairing(session, config) as repairer:
            assert (await repairer.repair(lost_to_amqp(signed))).outcome == "failed"

    run(amqp_url, test)


@pytest.mark.parametrize(
    "lost",
    [
        lost_to_amqp(frames=(b"one frame",)),
        lost_to_amqp(frames=(b"topic", b"no JSON")),
        lost_to_amqp({**envelope(), "username": "amqp-bridge"}),
        lost_to_amqp({**envelope(), "headers": {"fedmsg_bridge": "amqp_to_zmq@x"}}),
        lost_to_zmq(delivery=(TOPIC, uuid(1), {**HEADERS, "fedmsg_bridge": "zmq_to_amqp@x"}, b"{}")),
        lost_to_zmq(delivery=("\udc80", uuid(1), HEADERS, b"{}")),
    ],
)
def test_what_the_bridge_would_not_carry_is_not_sent(amqp_url: str, lost: Lost) -> None:
    async def test(session: Session) -> None:
        async with repairing(session) as repairer:
            repaired = await repairer.repair(lost)
            assert (repaired.outcome, repaired.source) == ("unbridgeable", "memory")
            assert repaired.detail
        assert await taken(session, "all", 0, more=0.3) == []

    run(amqp_url, test)


# to ZeroMQ


@contextlib.asynccontextmanager
async def bridge(url: str) -> AsyncIterator[zmq.asyncio.Socket]:
    """One who listens to the bridge from AMQP, on a bridge that runs."""
    async with Session({"exchanges": {}}, amqp_url=url) as session:
        made = AmqpToZmq(
            BridgeSettings(publish_endpoint=("tcp://127.0.0.1:*",), subscriber_grace=0.0, linger=1.0),
            "zmq.quarantine",
            session,
        )
        work = asyncio.create_task(made.work())
        context = zmq.asyncio.Context()
        try:
            socket = context.socket(zmq.SUB)
            socket.subscribe(b"")
            socket.connect(made._outlet._broadcaster.endpoints[0])
            await until(
                lambda: work.done() or (made._outlet._broadcaster.prefixes and session.statistics.consuming)
            )
            yield socket
        finally:
            await made.stop()
            await work
            context.destroy(linger=0)


async def heard(socket: zmq.asyncio.Socket) -> dict[str, Any]:
    async with asyncio.timeout(10):
        _, text = await socket.recv_multipart()
    sent: dict[str, Any] = json.loads(text)
    return sent


def test_a_lost_message_leaves_by_the_bridges_own_socket(amqp_url: str) -> None:
    async def test(session: Session) -> None:
        await queue(session, "others", "amq.topic")
        async with bridge(amqp_url) as socket, repairing(session) as repairer:
            repaired = await repairer.repair(lost_to_zmq())
            assert (repaired.outcome, repaired.source) == ("sent", "memory")
            came = await heard(socket)
        delivery = lost_to_zmq().delivery
        assert delivery is not None
        origin, far = of_delivery(*delivery), of_frames(frames(came))
        assert (far.key, far.digest) == (origin.key, origin.digest)
        assert (came["topic"], came["msg"], came["msg_id"]) == (TOPIC, {"n": 1}, f"2018-{uuid(1)}")
        assert (came["i"], came["username"]) == (1, "amqp-bridge")
        headers = {name: value for name, value in came["headers"].items() if name != "fedmsg_bridge"}
        assert headers == {**HEADERS, "fedmsg_repaired_by": MARK}
        assert came["headers"]["fedmsg_bridge"].startswith("amqp_to_zmq@")
        assert await taken(session, "others", 0, more=0.3) == []  # who has it does not get it again
        assert await taken(session, "zmq.quarantine", 0, more=0.1) == []

    run(amqp_url, test)


def test_what_is_forgotten_reaches_zeromq_from_the_archive(amqp_url: str) -> None:
    async def test(session: Session) -> None:
        with datagrepper() as archive:
            archive.records[uuid(1)] = {"body": {"n": 1}, "headers": HEADERS, "id": uuid(1), "topic": TOPIC}
            config = settings(datagrepper_url=archive.url)
            async with bridge(amqp_url) as socket, repairing(session, config) as repairer:
                assert (await repairer.repair(lost_to_zmq(forgotten=True))).source == "datagrepper"
                assert (await heard(socket))["msg_id"] == f"2018-{uuid(1)}"

    run(amqp_url, test)


def test_odd_headers_and_a_missing_id_cross_as_they_would_have(amqp_url: str) -> None:
    async def test(session: Session) -> None:
        odd = {"list": [1, "a", None], "table": {"x": True}, "bytes": b"\xff"}
        async with bridge(amqp_url) as socket, repairing(session) as repairer:
            lost = lost_to_zmq(delivery=(TOPIC, None, odd, b'{"n": 1}'), message_id=None)
            assert (await repairer.repair(lost)).outcome == "sent"
            came = await heard(socket)
        assert {**odd, "bytes": "\udcff"}.items() <= came["headers"].items()

    run(amqp_url, test)


def test_without_the_bridges_queue_it_fails_and_later_it_does_not(amqp_url: str) -> None:
    async def test(session: Session) -> None:
        async with repairing(session) as repairer:
            repaired = await repairer.repair(lost_to_zmq())
            assert repaired.outcome == "failed"
            assert "there is no queue amqp_to_zmq" in repaired.detail
            await session.declare(queues={"amqp_to_zmq": DURABLE})
            assert (await repairer.repair(lost_to_zmq())).outcome == "sent"
            (incoming,) = await taken(session, "amqp_to_zmq", 1)
            assert (incoming.topic, incoming.properties.message_id) == (TOPIC, uuid(1))

    run(amqp_url, test)


def test_a_queue_that_was_made_anew_is_bound_again(rabbitmq: Any, amqp_url: str) -> None:
    async def test(session: Session) -> None:
        await session.declare(queues={"amqp_to_zmq": DURABLE})
        async with repairing(session) as repairer:
            assert (await repairer.repair(lost_to_zmq(1))).outcome == "sent"
            vhost = amqp_url.rpartition("/")[2].partition("?")[0]
            await asyncio.to_thread(rabbitmq.management, "DELETE", f"/api/queues/{vhost}/amqp_to_zmq")
            await session.declare(queues={"amqp_to_zmq": DURABLE})
            assert (await repairer.repair(lost_to_zmq(2))).outcome == "failed"
            assert (await repairer.repair(lost_to_zmq(2))).outcome == "sent"

    run(amqp_url, test)


# once


def test_each_message_is_repaired_once(amqp_url: str) -> None:
    async def test(session: Session) -> None:
        async with repairing(session) as repairer:
            at_once = await asyncio.gather(*(repairer.repair(lost_to_amqp()) for _ in range(20)))
            assert sorted(one.outcome for one in at_once) == ["sent"] + ["was there"] * 19
            again = await repairer.repair(lost_to_amqp())
            assert again == Repaired("was there", detail="repaired before")
            # The other leg is another matter, and so is another message.
            assert (await repairer.repair(lost_to_amqp(envelope(2)))).outcome == "sent"
        assert len(await taken(session, "all", 2, more=0.3)) == 2

    run(amqp_url, test)


def test_what_was_repaired_before_a_restart_is_not_again(amqp_url: str) -> None:
    async def test(session: Session) -> None:
        known = [(Leg.ZMQ_TO_AMQP, lost_to_amqp().key)]
        async with repairing(session, known=known) as repairer:
            assert (await repairer.repair(lost_to_amqp())).outcome == "was there"
        assert await taken(session, "all", 0, more=0.2) == []

    run(amqp_url, test)


def test_what_came_after_all_is_not_sent(amqp_url: str) -> None:
    async def test(session: Session) -> None:
        came: set[bytes] = set()
        async with repairing(session, still_lost=lambda lost: lost.key not in came) as repairer:
            came.add(lost_to_amqp().key)
            assert (await repairer.repair(lost_to_amqp())).detail == "it came after all"
            came.clear()
            assert (await repairer.repair(lost_to_amqp())).outcome == "sent"
        assert len(await taken(session, "all", 1, more=0.2)) == 1

    run(amqp_url, test)


def test_what_comes_while_it_is_looked_for_is_not_sent(amqp_url: str, tmp_path: Path) -> None:
    async def test(session: Session) -> None:
        asked = 0

        def still_lost(_: Lost) -> bool:
            nonlocal asked
            asked += 1
            return asked == 1

        with replaying(tmp_path / "a", envelope()) as endpoint:
            config = settings(replay_endpoints=(endpoint,))
            async with repairing(session, config, still_lost=still_lost) as repairer:
                assert (await repairer.repair(lost_to_amqp(forgotten=True))).detail == "it came after all"
        assert await taken(session, "all", 0, more=0.2) == []

    run(amqp_url, test)


# other outcomes


def test_nobody_has_it(amqp_url: str, tmp_path: Path) -> None:
    async def test(session: Session) -> None:
        with datagrepper() as archive, replaying(tmp_path / "a", envelope(7)) as endpoint:
            config = settings(replay_endpoints=(endpoint,), datagrepper_url=archive.url)
            async with repairing(session, config) as repairer:
                assert (await repairer.repair(lost_to_amqp(forgotten=True))).outcome == "not found"
                archive.status = 500
                repaired = await repairer.repair(lost_to_amqp(forgotten=True))
                assert repaired == Repaired("failed", detail="no answer from datagrepper")

    run(amqp_url, test)


def test_a_dry_run_says_what_it_would_send_and_sends_nothing(
    amqp_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "fedmsg_migration_tools")

    async def test(session: Session) -> None:
        async with repairing(session, settings(dry_run=True)) as repairer:
            for lost in (
                lost_to_amqp(),
                lost_to_amqp(envelope(2)),
                lost_to_zmq(),
                lost_to_amqp(frames=(b"",)),
            ):
                repaired = await repairer.repair(lost)
                assert repaired.outcome == ("unbridgeable" if lost.frames == (b"",) else "would send")
            assert (await repairer.repair(lost_to_amqp())).outcome == "would send"
        assert await taken(session, "all", 0, more=0.2) == []

    run(amqp_url, test)
    said = [record.message for record in caplog.records if record.message.startswith("Would send again: ")]
    assert said[0] == (
        f"Would send again: 2018-{uuid(1)} {TOPIC}, lost on the way zmq_to_amqp, from memory, 38 bytes to the exchange "
        "zmq.topic"
    )
    assert said[2].endswith("amqp_to_zmq, from memory, 8 bytes to the queue amqp_to_zmq")
    assert len(said) == 4


def test_figures_and_the_log_tell_each_outcome(amqp_url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "fedmsg_migration_tools")
    hostile = "x\n<script>\x1b[31m" + "y" * 10_000

    async def test(session: Session) -> None:
        async with repairing(session) as repairer:
            for number in range(3):
                await repairer.repair(lost_to_amqp(envelope(number)))
                await repairer.repair(lost_to_amqp(envelope(10 + number), forgotten=True, topic=hostile))
            await repairer.repair(lost_to_amqp(frames=()))
            await repairer.repair(lost_to_amqp())
            outcomes, waiting = repairer.metrics()
            assert dict(outcomes.values) == {  # type: ignore[union-attr]
                ("sent", "memory"): 3,
                ("not found", ""): 3,
                ("was there", ""): 2,
            }
            assert waiting.values == {(): 0}  # type: ignore[union-attr]

    run(amqp_url, test)
    said = [record.message for record in caplog.records if record.name.endswith("repair")]
    assert [line.partition(" ")[0] for line in said] == ["Sent", f"2018-{uuid(10)}"]  # once a minute
    assert all(len(line) < 600 and line.isprintable() for line in said)


# in the background


def test_what_is_given_waits_for_its_time(amqp_url: str) -> None:
    async def test(session: Session) -> None:
        told: list[tuple[int, str]] = []
        came: set[bytes] = set()

        def tell(lost: Lost, repaired: Repaired) -> None:
            told.append((json.loads(lost.frames[1])["i"] if lost.frames else 0, repaired.outcome))

        more = {"told": tell, "still_lost": lambda lost: lost.key not in came}
        async with repairing(session, settings(delay=0.5), **more) as repairer:
            for number in (1, 2, 3):
                repairer.give(lost_to_amqp(envelope(number)))
            await asyncio.sleep(0.2)
            assert told == []
            came.add(lost_to_amqp(envelope(2)).key)
            await until(lambda: len(told) == 3)
            assert sorted(told) == [(1, "sent"), (2, "was there"), (3, "sent")]
            assert repairer._waiting.messages == repairer._waiting._bytes == 0
        assert len(await taken(session, "all", 2, more=0.2)) == 2

    run(amqp_url, test)


def test_a_verdict_that_is_taken_back_is_not_repaired(amqp_url: str) -> None:
    async def test(session: Session) -> None:
        told: list[str] = []
        tell = lambda _, repaired: told.append(repaired.outcome)  # noqa: E731
        async with repairing(session, settings(delay=0.3), told=tell) as repairer:
            lost = lost_to_amqp()
            repairer.came(lost.leg, lost.key)  # not given yet: another matter
            repairer.give(lost)
            repairer.give(lost_to_amqp(envelope(2)))
            repairer.came(Leg.AMQP_TO_ZMQ, lost.key)
            repairer.came(Leg.ZMQ_TO_AMQP, lost_to_amqp(envelope(2)).key)
            (incoming,) = await taken(session, "all", 1, more=0.3)
            assert incoming.properties.message_id == lost.message_id
            assert sorted(told) == ["sent", "was there"]
            assert repairer._given == repairer._came == set()

    run(amqp_url, test)


def test_what_fails_is_tried_again_and_told_once(amqp_url: str) -> None:
    async def test(session: Session) -> None:
        told: list[Repaired] = []
        more: dict[str, Any] = {"told": lambda _, repaired: told.append(repaired), "tries": (0.3,) * 50}
        async with repairing(session, **more) as repairer:
            repairer.give(lost_to_zmq())
            await asyncio.sleep(0.5)
            assert told == []  # there is no queue of the bridge's yet
            await session.declare(queues={"amqp_to_zmq": DURABLE})
            await until(lambda: told)
            assert [repaired.outcome for repaired in told] == ["sent"]
            assert repairer.outcomes.total == 1
        assert len(await taken(session, "amqp_to_zmq", 1, more=0.2)) == 1

    run(amqp_url, test)


def test_what_goes_on_failing_is_given_up(amqp_url: str, caplog: pytest.LogCaptureFixture) -> None:
    async def test(session: Session) -> None:
        told: list[Repaired] = []
        config = Config(verify_missing=VerifyMissing(zmq_exchange="never.topic"))
        more = {"told": lambda _, repaired: told.append(repaired), "tries": (0.05, 0.05)}
        async with repairing(session, config, **more) as repairer:
            repairer.give(lost_to_amqp())
            await until(lambda: told)
            assert [(one.outcome, one.source) for one in told] == [("failed", "memory")]
            assert "never.topic" in told[0].detail
            assert repairer._waiting.messages == 0

    run(amqp_url, test)
    assert sum("is not sent again: failed" in record.message for record in caplog.records) == 1


def test_what_waits_has_a_bound_in_bytes(amqp_url: str, tmp_path: Path) -> None:
    """Beyond it, messages are not given up but looked for."""

    async def test(session: Session) -> None:
        told: list[str] = []
        sent = [envelope(number, msg={"text": "x" * 5000}) for number in range(4)]
        with replaying(tmp_path / "a", *sent) as endpoint:
            repair = Repair(delay=0.2, replay_endpoints=(endpoint,))
            config = Config(verify_missing=VerifyMissing(repair=repair, content_max_bytes=11_000))
            tell = lambda _, repaired: told.append(repaired.source.split(" ")[0])  # noqa: E731
            async with repairing(session, config, told=tell) as repairer:
                for one in sent:
                    repairer.give(lost_to_amqp(one))
                assert repairer._waiting._bytes < 11_000
                assert len(await taken(session, "all", 4)) == 4
                await until(lambda: len(told) == 4)
        assert sorted(told) == ["memory", "memory", "replay", "replay"]

    run(amqp_url, test)


def test_no_more_than_so_many_a_second(amqp_url: str) -> None:
    async def test(session: Session) -> None:
        loop = asyncio.get_running_loop()
        async with repairing(session, rate=20.0) as repairer:
            begun = loop.time()
            await asyncio.gather(*(repairer.repair(lost_to_amqp(envelope(number))) for number in range(11)))
            assert 0.45 < loop.time() - begun < 5

    run(amqp_url, test)


def test_a_stop_leaves_nothing_behind(amqp_url: str) -> None:
    async def test(session: Session) -> None:
        before = asyncio.all_tasks()
        config = settings(delay=30.0, replay_endpoints=(NOWHERE,))
        async with repairing(session, config) as repairer:
            repairer.give(lost_to_amqp())
        async with repairing(session, settings(replay_endpoints=(NOWHERE,))) as repairer:
            repairer.give(lost_to_amqp(forgotten=True))
            await asyncio.sleep(0.1)
        repairer.give(lost_to_amqp())  # too late
        assert asyncio.all_tasks() == before
        assert await taken(session, "all", 0, more=0.2) == []

    run(amqp_url, test)


def test_a_hot_standby_repairs_only_what_the_first_does_not(amqp_url: str) -> None:
    """Two verifiers with different delays, each of which sees what reaches ``zmq.topic``; the first dies midway."""

    async def test(session: Session) -> None:
        seen: dict[str, list[str]] = {}

        def still_lost(lost: Lost) -> bool:
            return lost.message_id not in seen

        async def watch() -> None:
            async with session.deliveries([], {"all": DURABLE}, raw=True) as deliveries:
                async for delivery in deliveries:
                    properties = delivery.incoming.properties
                    seen.setdefault(properties.message_id, []).append(
                        properties.headers["fedmsg_repaired_by"]
                    )
                    delivery.ack()

        watching = asyncio.create_task(watch())
        first_half = [lost_to_amqp(envelope(number)) for number in range(10)]
        second_half = [lost_to_amqp(envelope(number)) for number in range(10, 20)]
        outcomes: list[str] = []
        standby = {"still_lost": still_lost, "told": lambda _, repaired: outcomes.append(repaired.outcome)}
        async with repairing(session, settings(delay=1.0), name="second", **standby) as second:
            async with repairing(session, settings(), name="first", still_lost=still_lost) as first:
                for lost in first_half:
                    first.give(lost)
                    second.give(lost)
                await until(lambda: len(seen) == 10)
            for lost in second_half:
                second.give(lost)
            await until(lambda: len(outcomes) == 20)
            await asyncio.sleep(0.2)
        watching.cancel()
        assert sorted(outcomes) == ["sent"] * 10 + ["was there"] * 10
        assert [seen[lost.message_id] for lost in first_half if lost.message_id] == [
            ["verify_missing@first"]
        ] * 10
        assert [seen[lost.message_id] for lost in second_half if lost.message_id] == [[MARK]] * 10

    run(amqp_url, test)
