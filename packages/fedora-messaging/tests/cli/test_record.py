# SPDX-License-Identifier: MIT
"""``fedora-messaging record``: what is in the file, and how it ends."""

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

OPTIONS = ("--queue-name", "rec", "--routing-key", "a.#")


@pytest.fixture
def recording(command: Any, bus: Any) -> Any:
    command.configure(bus.url, "[queues.rec]\ndurable=true\nauto_delete=false\nexclusive=false\narguments={}")

    def start(*arguments: str) -> subprocess.Popen[str]:
        process: subprocess.Popen[str] = command.start("record", *OPTIONS, *arguments)
        bus.until_consumed("rec", process)
        return process

    return start


def topics(path: Path) -> list[str]:
    return [json.loads(line)["topic"] for line in path.read_text().splitlines()]


def test_ends_at_its_limit_and_leaves_the_rest(recording: Any, command: Any, bus: Any) -> None:
    path = command.write("file", "what was there before\n")
    process = recording("--limit", "2", "file")
    for topic in ("a.1", "a.2", "a.3"):
        bus.send(topic)
    output, errors = process.communicate(timeout=20)
    assert process.returncode == 0, output + errors
    assert topics(path) == ["a.1", "a.2"]
    assert errors.endswith("Recorded 2 messages to file\n")
    assert [topic for topic, *_ in bus.take("rec")] == ["a.3"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_file_is_complete_when_interrupted(
    recording: Any, command: Any, bus: Any, number: signal.Signals
) -> None:
    process = recording("file")
    sent = [f"a.{n}" for n in range(300)]
    for topic in sent:
        bus.send(topic)
    file = command.folder / "file"
    bus.until(lambda: file.exists() and file.read_text().count("\n") > 10)
    process.send_signal(number)
    output, errors = process.communicate(timeout=20)
    assert process.returncode == 0, output + errors
    recorded = topics(file)
    left = [topic for topic, *_ in bus.take("rec")]
    assert recorded + left == sent
    assert f"Recorded {len(recorded)} messages to file\n" in errors


def test_what_is_recorded_can_be_published(recording: Any, command: Any, bus: Any) -> None:
    process = recording("--limit", "1", "file")
    bus.send("a.b", '{"text": "Grüße \\ud83d"}'.encode(), priority=4)
    process.communicate(timeout=20)
    bus.queue("again")
    assert command("publish", "file").returncode == 0
    ((topic, properties, body),) = bus.take("again")
    assert (topic, properties.message_id, properties.priority) == ("a.b", "id-a.b", 4)
    assert properties.headers["sent-at"] == "2019-07-30T19:12:22+00:00"
    assert body == {"text": "Grüße \ud83d"}


def test_standard_output_has_the_messages_alone(recording: Any, bus: Any) -> None:
    process = recording("--limit", "2", "-")
    for topic in ("a.1", "a.2"):
        bus.send(topic)
    output, _ = process.communicate(timeout=20)
    assert [json.loads(line)["topic"] for line in output.splitlines()] == ["a.1", "a.2"]


def test_a_file_that_cannot_be_written_is_2(command: Any, bus: Any) -> None:
    command.configure(bus.url)
    told = command("record", "/nonexistent/file")
    assert (told.returncode, told.stderr) == (
        2,
        "Error: cannot write /nonexistent/file: No such file or directory\n",
    )
