# SPDX-License-Identifier: MIT
"""fedora-messaging 3.9.1 and this library on one bus: what one publishes, the other takes, and sees the same.

Both run in environments of their own, with the same four schema packages; the programs are the same for both.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pika
import pytest

from tests.interop import environments, schema_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]

HERE = Path(__file__).parent
PINS = HERE / "peer-packages.txt"
SAMPLES = json.loads((HERE / "samples.json").read_text())
LARGE = {"class": "base.message", "topic": "large", "body": {"text": "x" * 1_000_000}}


@dataclass(frozen=True)
class Side:
    """One of the two libraries: its interpreter, and the folder with its configuration."""

    python: Path
    folder: Path

    def configure(self, url: str, text: str = "") -> None:
        """Write its configuration file."""
        (self.folder / "config.toml").write_text(f'amqp_url = "{url}"\n{text}')

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Run its interpreter with ``arguments``."""
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(HERE / "programs"),
            "FEDORA_MESSAGING_CONF": str(self.folder / "config.toml"),
        }
        return subprocess.Popen(
            [str(self.python), *arguments],
            env=environment,
            cwd=self.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str, given: str = "") -> tuple[int, str]:
        """The exit code and the output of its interpreter with ``arguments``."""
        process = self.start(*arguments)
        try:
            output, _ = process.communicate(given, timeout=60)
        finally:
            process.kill()
        return process.returncode, output

    def cli(self, *arguments: str) -> tuple[int, str]:
        """The same of its command ``fedora-messaging``."""
        return self.run(str(self.python.with_name("fedora-messaging")), *arguments)

    def bus(self, *arguments: str, given: object = None) -> list[dict[str, Any]]:
        """What ``programs/bus.py`` prints as its result."""
        code, output = self.run(str(HERE / "programs" / "bus.py"), *arguments, given=json.dumps(given))
        results = [line[len("RESULT") :] for line in output.splitlines() if line.startswith("RESULT")]
        assert code == 0, output
        assert len(results) == 1, output
        return json.loads(results[0])  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def pythons() -> dict[str, Path]:
    peer = environments.create("peer", environments.pins(PINS))
    environments.check(peer)
    return {"3.9.1": peer.python, "ours": schema_environment.installed().python}


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
    opened.queue_declare("work", durable=True)
    opened.queue_bind("work", "amq.topic", "#")
    yield opened
    connection.close()


BOTH_WAYS = pytest.mark.parametrize(
    ("sender", "receiver"), [("3.9.1", "ours"), ("ours", "3.9.1"), ("ours", "ours")]
)


@pytest.mark.usefixtures("channel")
@BOTH_WAYS
def test_what_one_publishes_the_other_sees(
    sides: dict[str, Side], amqp_url: str, sender: str, receiver: str
) -> None:
    for side in sides.values():
        side.configure(amqp_url)
    samples = [*SAMPLES, LARGE]
    sent = sides[sender].bus("publish", given=samples)
    got = sides[receiver].bus("consume", str(len(samples)), "work")
    assert [one.pop("queue") for one in got] == ["work"] * len(samples)
    for ours, theirs in zip(sent, got, strict=True):
        assert ours == theirs
    classes = {one["class"].partition(":")[0].partition(".")[0] for one in got}
    assert classes >= {"anitya_schema", "bodhi", "noggin_messages", "pagure_messages"}


@pytest.mark.usefixtures("channel")
def test_both_make_the_same_of_the_same(sides: dict[str, Side], amqp_url: str) -> None:
    made = {}
    for name, side in sides.items():
        side.configure(amqp_url)
        made[name] = side.bus("publish", given=SAMPLES)
    for ours, theirs in zip(made["ours"], made["3.9.1"], strict=True):
        for one in (ours, theirs):
            del one["id"], one["text"], one["headers"]["sent-at"]
        assert ours == theirs


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
    queue = "[queues.work]\ndurable = true\nauto_delete = false\nexclusive = false\narguments = {}\n"
    for side in sides.values():
        side.configure(amqp_url, f"bindings = []\n{queue}")
    sent = sides[receiver].bus("publish", given=SAMPLES)
    file = str(tmp_path / "recorded.json")
    code, output = sides[sender].cli("record", "--limit", str(len(SAMPLES)), file)
    assert code == 0, output
    code, output = sides[receiver].cli("publish", file)
    assert code == 0, output
    got = sides[receiver].bus("consume", str(len(SAMPLES)), "work")
    for before, after in zip(sent, got, strict=True):
        for key in ("class", "id", "topic", "severity", "headers", "body"):
            assert before[key] == after[key]


@pytest.mark.parametrize("callback", ["decide", "Decider", "later"])
def test_callbacks_written_for_3x_decide_the_same(
    sides: dict[str, Side], channel: Any, amqp_url: str, callback: str
) -> None:
    outcomes = {}
    for name, side in sides.items():
        queue = f"queue-{name}"
        log = side.folder / "log"
        settings = "durable = true\nauto_delete = false\nexclusive = false\n"
        side.configure(
            amqp_url,
            f'callback = "callbacks:{callback}"\nbindings = []\n'
            f'[consumer_config]\nlog = "{log}"\n'
            f'[queues."{queue}"]\n{settings}[queues."{queue}".arguments]\nx-dead-letter-exchange = "dead"\n',
        )
        channel.queue_declare(queue, durable=True, arguments={"x-dead-letter-exchange": "dead"})
        channel.queue_bind(queue, "amq.topic", f"for.{name}.#")
        topics = [f"for.{name}.{decision}" for decision in ("ok", "nack", "drop", "halt", "left")]
        channel.queue_purge("dead")
        side.bus("publish", given=[{"class": "base.message", "topic": topic, "body": {}} for topic in topics])
        code, output = side.cli("consume")
        taken = [line.rpartition(".")[2] for line in log.read_text().splitlines()]
        left, _, _ = channel.basic_get(queue, auto_ack=True)
        dead, _, _ = channel.basic_get("dead", auto_ack=True)
        outcomes[name] = (code, taken, left and left.routing_key[-4:], dead and dead.routing_key[-4:])
        assert code == 7, output
    assert outcomes["ours"] == outcomes["3.9.1"]
    assert outcomes["ours"] == (7, ["ok", "nack", "drop", "halt"], "nack", "drop")
