# SPDX-License-Identifier: MIT
"""``fedora-messaging publish``: reading in pure functions, and files against a real broker."""

import errno
import io
import json
import resource
import socket
import subprocess
from typing import Any

import pytest

from fedora_messaging.cli import publish


def line(topic: str, **others: Any) -> str:
    """A message as a line of a file."""
    headers = {
        "fedora_messaging_schema": "base.message",
        "fedora_messaging_severity": 30,
        "sent-at": "2019-07-30T19:12:22+00:00",
        "own": "header",
    }
    message = {
        "topic": topic,
        "headers": headers,
        "id": f"id-{topic}",
        "body": {"n": 1},
        "queue": None,
        "priority": 3,
    }
    return json.dumps({**message, **others}, sort_keys=True) + "\n"


def batches(text: str) -> list[tuple[list[int], int | None]]:
    """The line numbers of each batch, and the bad line that ended it."""
    lines = io.BytesIO(text.encode())
    return [
        ([number for number, _ in batch], bad.number if bad else None)
        for batch, bad in publish.batches(lines)
    ]


def test_batches_know_their_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "BATCH", 2)
    assert batches("") == [([], None)]
    assert batches(line("a") + "\n \n" + line("b") + line("c")) == [([1, 4], None), ([5], None)]
    assert batches(line("a") + line("b") + line("c") + "x\n" + line("d")) == [([1, 2], None), ([3], 4)]


def test_batches_are_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "BATCH_BYTES", 3 * len(line("a")))
    assert [numbers for numbers, _ in batches(line("a") * 7)] == [[1, 2, 3], [4, 5, 6], [7]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"{", "Expecting property name"),
        (b"[]", "[] is not of type 'object'"),
        (b'{"topic": "x"}', "'body' is a required property"),
        (b'{"topic": 5, "body": {}}', "5 is not of type 'string'"),
        (b'{"topic": "x", "body": 5}', "5 is not of type 'object'"),
        (b'{"topic": "x", "body": {}, "headers": {"fedora_messaging_severity": 77}}', "77"),
        (b'{"topic": "\xff", "body": {}}', "not UTF-8"),
        (line("x" * 256).encode(), "The topic has 256 bytes; AMQP allows 255"),
        (b"[" * 100_000, "recursion"),
        (b"9" * 5000, "4300 digits"),
    ],
)
def test_what_is_no_message(text: bytes, words: str) -> None:
    bad = publish.parse(7, text)
    assert isinstance(bad, publish.BadLine)
    assert bad.number == 7
    assert words in bad.reason
    assert "\n" not in bad.reason


@pytest.mark.parametrize(
    ("numbers", "text"),
    [([4], "line 4"), ([1, 2, 3], "lines 1-3"), ([1, 3, 4, 9], "lines 1, 3-4, 9")],
)
def test_ranges(numbers: list[int], text: str) -> None:
    assert publish.ranges(numbers) == text


@pytest.fixture
def queue(command: Any, bus: Any) -> Any:
    command.configure(bus.url)
    bus.queue("all")
    return bus


def test_a_file_arrives_unchanged_and_in_order(command: Any, queue: Any) -> None:
    command.write("file", "".join(line(f"t{n}", body={"n": n}) for n in range(2500)))
    told = command("publish", "file")
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.endswith("Published 2500 messages\n")
    taken = queue.take("all")
    assert [(topic, body) for topic, _, body in taken] == [(f"t{n}", {"n": n}) for n in range(2500)]
    properties = taken[0][1]
    assert (properties.message_id, properties.priority, properties.delivery_mode) == ("id-t0", 3, 2)
    assert properties.headers["sent-at"] == "2019-07-30T19:12:22+00:00"
    assert properties.headers["own"] == "header"
    assert properties.headers["fedora_messaging_severity"] == 30


def test_standard_input_and_another_exchange(command: Any, queue: Any) -> None:
    queue.channel.queue_bind("all", "amq.direct", "a")
    told = command("publish", "--exchange", "amq.direct", "-", stdin=line("a"))
    assert (told.returncode, told.stderr) == (0, "")
    assert [topic for topic, *_ in queue.take("all")] == ["a"]


def test_nothing_after_a_bad_line(command: Any, queue: Any) -> None:
    command.write("file", line("a") + line("b") + "nonsense\n" + line("c"))
    told = command("publish", "file")
    assert told.returncode == 2
    assert told.stderr == (
        "Error: line 3 of file holds no message: Expecting value: line 1 column 1 (char 0); "
        "2 messages before it published, nothing after it\n"
    )
    assert [topic for topic, *_ in queue.take("all")] == ["a", "b"]


def test_a_missing_exchange_is_eremoteio(command: Any, bus: Any) -> None:
    command.configure(bus.url)
    told = command("publish", "--exchange", "nothing", "-", stdin=line("a"))
    assert told.returncode == errno.EREMOTEIO
    assert "line 1: a: the exchange 'nothing' does not exist" in told.stderr


def test_a_forbidden_topic_is_eremoteio_and_named(command: Any, queue: Any) -> None:
    url = queue.user("half", "^$", ".*", "^$", {"amq.topic": ("^ok\\.", ".*")})
    command.configure(url)
    told = command("publish", "-", stdin=line("ok.1") + line("bad.1") + line("ok.2") + line("bad.2"))
    assert told.returncode == errno.EREMOTEIO
    assert told.stderr.startswith(
        "Error: 2 messages published, 2 not, and nothing after line 4 was tried; line 2: "
    )
    assert "bad.1" in told.stderr
    assert "line 4: " in told.stderr
    assert told.stderr.count("\n") == 1
    arrived = [
        topic for topic, *_ in queue.take("all")
    ]  # some twice: their channel was closed over the others
    assert list(dict.fromkeys(arrived)) == ["ok.1", "ok.2"]


def test_nothing_after_a_batch_that_failed(command: Any, queue: Any) -> None:
    command.configure(queue.user("half", "^$", ".*", "^$", {"amq.topic": ("^ok\\.", ".*")}))
    told = command("publish", "-", stdin=line("bad") + "".join(line(f"ok.{n}") for n in range(publish.BATCH)))
    assert told.returncode == errno.EREMOTEIO
    assert told.stderr.startswith(
        "Error: 999 messages published, 1 not, and nothing after line 1000 was tried; line 1: "
    )
    assert len({topic for topic, *_ in queue.take("all")}) == 999


@pytest.mark.slow
def test_no_broker_is_econnrefused(command: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    command.configure(f"amqp://127.0.0.1:{port}/")
    told = command("publish", "-", stdin=line("a") + line("b"))
    assert told.returncode == errno.ECONNREFUSED
    assert f"nothing listens on 127.0.0.1:{port}" in told.stderr
    assert told.stderr.count("\n") == 1


def test_a_wrong_password_is_1(command: Any, bus: Any) -> None:
    command.configure(bus.url.replace("//admin:", "//admin:wrong"))
    told = command("publish", "-", stdin=line("a") + line("b"))
    assert told.returncode == 1
    assert "lines 1-2: " in told.stderr
    assert "refused the user 'admin'" in told.stderr


def test_a_big_file_takes_little_memory(command: Any, queue: Any) -> None:
    queue.channel.queue_unbind("all", "amq.topic", "#")
    body = {"text": "x" * 100_000}
    path = command.write("file", line("a", body=body) * 1500)
    assert path.stat().st_size > 150e6
    told = subprocess.run(
        command.arguments("publish", path),
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=limit_memory,
    )
    assert (told.returncode, told.stderr) == (0, "")


def limit_memory() -> None:
    """Less than twice what the program needs without a file."""
    resource.setrlimit(resource.RLIMIT_DATA, (180 * 2**20, 180 * 2**20))
