# SPDX-License-Identifier: MIT
"""fedora-messaging 3.9.1 and this library on one bus: what one publishes, the other takes, and sees the same.

Both run in environments of their own, with the same four schema packages; the programs are the same for both.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pika
import pytest

from tests.interop import schema_environment
from tests.interop.sides import Side, drain, peer

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]

HERE = Path(__file__).parent
SAMPLES = json.loads((HERE / "samples.json").read_text())
QUEUE = """
[queues.work]
durable = true
auto_delete = false
exclusive = false
arguments = { x-dead-letter-exchange = "dead" }
"""
LARGE = {"class": "base.message", "topic": "large", "body": {"text": "ü" + "x" * 1_000_000}}
LONE = {"class": "base.message", "topic": "lone", "body": {"surrogate": "\ud83d"}}  # 3.9.1 cannot record it


@pytest.fixture(scope="module")
def pythons() -> dict[str, Path]:
    return {"3.9.1": peer().python, "ours": schema_environment.installed().python}


@pytest.fixture
def sides(pythons: dict[str, Path], tmp_path: Path) -> dict[str, Side]:
    found = {}
    for name, python in pythons.items():
        (tmp_path / name).mkdir()
        found[name] = Side(python, tmp_path / name)
    return found


@pytest.fixture
def channel(amqp_url: str) -> Iterator[Any]:
    """A queue ``work`` that gets everything; what is refused there goes to ``dead``."""
    connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
    opened = connection.channel()
    opened.queue_declare("dead", durable=True)
    opened.exchange_declare("dead", "fanout", durable=True)
    opened.queue_bind("dead", "dead", "")
    opened.queue_declare("work", durable=True, arguments={"x-dead-letter-exchange": "dead"})
    opened.queue_bind("work", "amq.topic", "#")
    yield opened
    connection.close()


BOTH_WAYS = pytest.mark.parametrize(
    ("sender", "receiver"), [("3.9.1", "ours"), ("ours", "3.9.1"), ("ours", "ours")]
)


def test_each_side_is_what_it_says(sides: dict[str, Side]) -> None:
    code = "import importlib.metadata, fedora_messaging as f; print(importlib.metadata.version(f.__name__), f.__file__)"
    for side, version in ((sides["3.9.1"], "3.9.1 "), (sides["ours"], "3.100.")):
        _, output = side.run("-c", code)
        assert output.startswith(version)
        assert str(side.python.parents[1]) in output


@pytest.mark.usefixtures("channel")
@BOTH_WAYS
def test_what_one_publishes_the_other_sees(
    sides: dict[str, Side], amqp_url: str, sender: str, receiver: str
) -> None:
    for side in sides.values():
        side.configure(amqp_url)
    samples = [*SAMPLES, LARGE, LONE]
    sent = sides[sender].bus("publish", given=samples)
    got = sides[receiver].bus("consume", str(len(samples)), "work")
    assert [one.pop("queue") for one in got] == ["work"] * len(samples)
    for ours, theirs in zip(sent, got, strict=True):
        assert ours == theirs
    classes = {one["class"].partition(":")[0].partition(".")[0] for one in got}
    assert classes >= {"anitya_schema", "bodhi", "noggin_messages", "pagure_messages"}


def test_both_make_the_same_of_the_same(sides: dict[str, Side], channel: Any, amqp_url: str) -> None:
    made = {}
    raw = {}
    for name, side in sides.items():
        side.configure(amqp_url, "publish_priority = 3\n")
        made[name] = side.bus("publish", given=SAMPLES)
        raw[name] = drain(channel, "work")
    for ours, theirs in zip(made["ours"], made["3.9.1"], strict=True):
        for one in (ours, theirs):
            del one["id"], one["text"], one["headers"]["sent-at"]
        assert ours == theirs
    for message in (*raw["ours"], *raw["3.9.1"]):
        assert message.properties.pop("message_id")
        assert message.properties["headers"].pop("sent-at")
        assert message.properties["delivery_mode"] == 2
    assert raw["ours"] == raw["3.9.1"]


@pytest.mark.usefixtures("channel")
@BOTH_WAYS
def test_prefix_and_priority_cross(sides: dict[str, Side], amqp_url: str, sender: str, receiver: str) -> None:
    sides[sender].configure(amqp_url, 'topic_prefix = "org.example.stg"\npublish_priority = 5\n')
    if receiver != sender:
        sides[receiver].configure(amqp_url)
    (sent,) = sides[sender].bus("publish", given=SAMPLES[:1])
    (got,) = sides[receiver].bus("consume", "1", "work")
    assert got["topic"] == "org.example.stg.noggin.user.create"
    assert got["priority"] == got["headers"]["priority"] == 5
    assert got["headers"] == sent["headers"]


@pytest.mark.usefixtures("channel")
@BOTH_WAYS
def test_recorded_by_one_published_by_the_other(
    sides: dict[str, Side], amqp_url: str, sender: str, receiver: str, tmp_path: Path
) -> None:
    for side in sides.values():
        side.configure(amqp_url, f"bindings = []\n{QUEUE}")
    sent = sides[receiver].bus("publish", given=SAMPLES)
    first, second = tmp_path / "first", tmp_path / "second"
    for command in (
        (sender, "record", "--limit", str(len(SAMPLES)), str(first)),
        (receiver, "publish", str(first)),
        (receiver, "record", "--limit", str(len(SAMPLES)), str(second)),
    ):
        code, output = sides[command[0]].cli(*command[1:])
        assert code == 0, output
    recorded = lines(first)
    assert lines(second) == recorded
    assert [one.pop("queue") for one in recorded] == ["work"] * len(SAMPLES)
    keys = ("body", "headers", "id", "priority", "topic")
    assert [list(one) for one in recorded] == [list(keys)] * len(SAMPLES)
    assert recorded == [{key: one[key] for key in keys} for one in sent]


def lines(path: Path) -> list[dict[str, Any]]:
    """What was recorded; 3.9.1 writes letters as they are, this library in ASCII."""
    return [json.loads(line, parse_constant=str) for line in path.read_text("utf-8").splitlines()]


@pytest.mark.parametrize(
    ("callback", "ending", "code"),
    [
        ("decide", "halt", 7),
        ("decide", "again", 8),
        ("decide", "crash", 13),
        ("Decider", "halt", 7),
        ("later", "halt", 7),
        ("later", "crash", 13),
        ("LaterDecider", "again", 8),
    ],
)
def test_callbacks_written_for_3x_decide_the_same(
    sides: dict[str, Side], channel: Any, amqp_url: str, callback: str, ending: str, code: int
) -> None:
    decisions = ("ok", "nack", "drop", ending, "left")
    outcomes = {}
    for name, side in sides.items():
        log = side.folder / "log"
        consumer = f'[consumer_config]\nlog = "{log}"\n'
        side.configure(amqp_url, f'callback = "callbacks:{callback}"\nbindings = []\n{consumer}{QUEUE}')
        side.bus("publish", given=[{"class": "base.message", "topic": f"for.{word}"} for word in decisions])
        exit_code, output = side.cli("consume")
        assert exit_code == code, output
        outcomes[name] = (
            [line.rpartition(".")[2] for line in log.read_text().splitlines()],
            sorted((one.topic.rpartition(".")[2], one.redelivered) for one in drain(channel, "work")),
            [one.topic.rpartition(".")[2] for one in drain(channel, "dead")],
        )
    assert outcomes["ours"] == outcomes["3.9.1"]
    returned = [] if ending == "halt" else [(ending, True)]
    assert outcomes["ours"] == (
        ["ok", "nack", "drop", ending],
        sorted([*returned, ("left", True), ("nack", True)]),
        ["drop"],
    )
