# SPDX-License-Identifier: MIT
"""``replay`` and ``reconsume``, with a real HTTP server for the archive and a real broker."""

import errno
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from fedora_messaging.cli import archive

MESSAGE: dict[str, Any] = {
    "id": "2018-1fe3e85a-0000-4000-8000-000000000000",
    "topic": "org.example.prod.app.event",
    "body": {"n": [1, 2]},
    "headers": {
        "fedora_messaging_schema": "some.schema.that.is.not.installed",
        "fedora_messaging_schema_package": "other_messages",
        "fedora_messaging_severity": 40,
        "sent-at": "2018-07-30T19:12:22+00:00",
        "priority": 5,
    },
    "priority": 5,
    "queue": "archive",
}


class Archive(BaseHTTPRequestHandler):
    """Answers by the message's id."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        status, body = 200, json.dumps(MESSAGE).encode()
        if "id=missing" in self.path:
            status, body = 404, b'{"error": "no such id"}'
        elif "id=broken" in self.path:
            status, body = 500, b"trouble"
        elif "id=html" in self.path:
            body = b"<html>hello"
        elif "id=other" in self.path:
            body = b'{"something": "else"}'
        elif "id=invalid" in self.path:
            headers = MESSAGE["headers"] | {"fedora_messaging_schema": "app.strict"}
            body = json.dumps(MESSAGE | {"headers": headers}).encode()
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Archive) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        Archive.asked = []
        yield f"http://127.0.0.1:{server.server_port}/datagrepper/"
        server.shutdown()
        thread.join()


def test_replay_publishes_it_unchanged(command: Any, bus: Any, url: str) -> None:
    command.configure(bus.url)
    bus.queue("all")
    told = command("replay", "--datagrepper-url", url, MESSAGE["id"])
    assert (told.returncode, told.stderr) == (0, "")
    assert Archive.asked == [f"/datagrepper/v2/id?id={MESSAGE['id']}&is_raw=true"]
    ((topic, properties, body),) = bus.take("all")
    assert (topic, body) == (MESSAGE["topic"], MESSAGE["body"])
    assert (properties.message_id, properties.priority, properties.delivery_mode) == (MESSAGE["id"], 5, 2)
    assert properties.headers == MESSAGE["headers"]


def test_replay_does_not_put_the_prefix_in_front_twice(command: Any, bus: Any, url: str) -> None:
    command.configure(bus.url, 'topic_prefix = "org.example.prod"')
    bus.queue("all")
    assert command("replay", "--datagrepper-url", url, "x").returncode == 0
    assert [topic for topic, *_ in bus.take("all")] == [MESSAGE["topic"]]


@pytest.mark.parametrize(
    ("topic", "prefix", "left"),
    [("a.b.c", "a.b", "c"), ("a.b.c", "", "a.b.c"), ("a.bc", "a.b", "a.bc"), ("x.a.b", "a", "x.a.b")],
)
def test_without_prefix(topic: str, prefix: str, left: str) -> None:
    assert archive.without_prefix(topic, prefix) == left


@pytest.mark.parametrize(
    ("message_id", "words"),
    [
        ("missing", "has no message missing (404)"),
        ("broken", "answered 500 Internal Server Error"),
        ("html", "answered something else than JSON"),
        ("other", "sent no message for other: 'topic' is a required property"),
    ],
)
@pytest.mark.parametrize(
    "arguments", [("replay",), ("reconsume", "--callback", "fedora_messaging.example:printer")]
)
def test_no_message_is_1(
    command: Any, url: str, arguments: tuple[str, ...], message_id: str, words: str
) -> None:
    told = command(*arguments, "--datagrepper-url", url, message_id)
    assert told.returncode == 1
    assert told.stderr.startswith("Error: ")
    assert words in told.stderr
    assert told.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("url", "code", "words"),
    [
        (
            "http://127.0.0.1:9",
            1,
            "no answer from the archive at http://127.0.0.1:9: [Errno 111] Connection refused",
        ),
        ("http://no-such-host.invalid", 1, "no answer from the archive at http://no-such-host.invalid: "),
        ("file:///etc", 2, "does not begin with http:// or https://"),
        ("http://[", 1, "no answer from the archive"),
    ],
)
def test_no_archive(command: Any, url: str, code: int, words: str) -> None:
    told = command("replay", "--datagrepper-url", url, "x")
    assert told.returncode == code
    assert words in told.stderr
    assert told.stderr.count("\n") == 1


def test_replay_of_what_the_broker_refuses_is_eremoteio(command: Any, bus: Any, url: str) -> None:
    command.configure(bus.user("reader", "^$", "^$", ".*"))
    told = command("replay", "--datagrepper-url", url, "x")
    assert told.returncode == errno.EREMOTEIO
    assert told.stderr.startswith(f"Error: {MESSAGE['topic']}: the user 'reader' may not publish")


SCRIPT = """
import asyncio, json
from fedora_messaging import exceptions
def show(message):
    print(json.dumps([message.id, message.topic, message.body, message.severity, message.priority]))
async def later(message):
    await asyncio.sleep(0)
    show(message)
def drop(message): raise exceptions.Drop
def halt(message): raise exceptions.HaltConsumer(exit_code=6)
def boom(message): raise ValueError("boom")
"""


@pytest.mark.parametrize("callback", ["show", "later"])
def test_reconsume_calls_the_callback(command: Any, url: str, callback: str) -> None:
    command.write("script.py", SCRIPT)
    told = command("reconsume", "--callback-file", f"script.py:{callback}", "--datagrepper-url", url, "x")
    assert (told.returncode, told.stderr) == (0, "")
    shown = json.loads(told.stdout.splitlines()[-1])
    assert shown == [MESSAGE["id"], MESSAGE["topic"], MESSAGE["body"], 40, 5]


@pytest.mark.parametrize(
    ("callback", "code", "words"),
    [
        ("drop", 0, "The callback refused the message: Drop\n"),
        ("halt", 6, "Error: the callback halted the consumer: "),
        ("boom", 13, "Error: the callback raised ValueError: boom (script.py, line "),
    ],
)
def test_how_reconsume_ends(command: Any, url: str, callback: str, code: int, words: str) -> None:
    command.write("script.py", SCRIPT)
    told = command("reconsume", "--callback-file", f"script.py:{callback}", "--datagrepper-url", url, "x")
    assert told.returncode == code
    assert told.stderr.startswith(words)


def test_an_invalid_message_never_reaches_the_callback(command: Any, url: str) -> None:
    strict = "import fedora_messaging.message as m\nclass C(m.Message): body_schema = {'required': ['who']}"
    command.install("app", "1", {"app_strict": strict}, "app.strict = app_strict:C")
    command.write("script.py", SCRIPT)
    told = command("reconsume", "--callback-file", "script.py:show", "--datagrepper-url", url, "invalid")
    assert told.returncode == 1
    assert told.stderr == "Error: the message invalid breaks its schema: 'who' is a required property\n"
    assert MESSAGE["id"] not in told.stdout
