# SPDX-License-Identifier: MIT
"""``fedora-messaging consume`` against a real broker: exit codes, signals, and what becomes of messages."""

import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

QUEUE = """
[queues.work]
durable = true
auto_delete = false
exclusive = false
arguments = {}
[[bindings]]
queue = "work"
exchange = "amq.topic"
routing_keys = ["#"]
"""

SCRIPT = """
import asyncio, pathlib, sys, time
from fedora_messaging import api, exceptions, message

def log(text):
    with open("log", "a") as file:
        file.write(text + "\\n")

def plain(message):
    log("begun " + message.topic)
    match message.topic:
        case "slow": time.sleep(2)
        case "halt": raise exceptions.HaltConsumer(exit_code=7, reason="enough")
        case "halt.quietly": raise exceptions.HaltConsumer()
        case "halt.requeue": raise exceptions.HaltConsumer(exit_code=3, requeue=True)
        case "boom": raise ValueError("boom\\nand more")
        case "connection": raise exceptions.ConnectionException(reason="of the callback's own")
        case "declaration": raise exceptions.BadDeclaration("queue", "q", "of the callback's own")
        case "exit": sys.exit(5)
        case "drop": raise exceptions.Drop()
        case "publish": api.publish(message_of("published"))
    log("done " + message.topic)

def message_of(topic):
    return message.Message(topic=topic)

async def later(message):
    await asyncio.sleep(0)
    plain(message)

def indirectly(message):
    return later(message)

class Class:
    def __init__(self):
        log("made")
    def __call__(self, message):
        plain(message)
"""


@pytest.fixture
def consumer(command: Any, bus: Any) -> Any:
    """Starts ``consume`` with a callback of the script; returns when it consumes."""
    command.configure(bus.url, QUEUE)
    command.write("script.py", SCRIPT)

    def start(callback: str = "plain", *options: str) -> subprocess.Popen[str]:
        process: subprocess.Popen[str] = command.start(
            "consume", "--callback-file", f"script.py:{callback}", *options
        )
        bus.until_consumed("work", process)
        return process

    return start


def end(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    output, errors = process.communicate(timeout=20)
    return process.returncode, output, errors


@pytest.mark.parametrize("callback", ["plain", "later", "indirectly", "Class"])
@pytest.mark.parametrize(
    ("topic", "code", "said", "left"),
    [
        ("halt", 7, "Error: the callback halted the consumer: enough\n", 0),
        ("halt.quietly", 0, "", 0),
        (
            "halt.requeue",
            3,
            "Error: the callback halted the consumer: the consumer halted with exit code 3\n",
            1,
        ),
        ("boom", 13, "Error: the callback raised ValueError: boom and more (script.py, line ", 1),
        (
            "connection",
            13,
            "Error: the callback raised ConnectionException: of the callback's own (script.py",
            1,
        ),
        ("declaration", 13, "Error: the callback raised BadDeclaration: ", 1),
        ("exit", 13, "Error: the callback raised SystemExit: 5 (script.py", 1),
    ],
)
def test_the_callback_decides_how_it_ends(
    consumer: Any, bus: Any, callback: str, topic: str, code: int, said: str, left: int
) -> None:
    process = consumer(callback)
    bus.send("first")
    bus.send(topic)
    returned, output, errors = end(process)
    assert returned == code, output + errors
    assert errors.startswith(said)
    assert errors.count("\n") <= 1
    assert bus.waiting("work") == left
    assert ("Traceback" in output) is (code == 13)
    assert "site-packages" not in output
    assert "/src/fedora_messaging/" not in output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_end_it_finishes_the_message_in_hand(
    consumer: Any, bus: Any, command: Any, number: signal.Signals
) -> None:
    process = consumer()
    bus.send("slow")
    bus.send("next")
    bus.until((command.folder / "log").exists)
    process.send_signal(number)
    returned, output, errors = end(process)
    assert (returned, errors) == (0, ""), output
    assert (command.folder / "log").read_text().split("\n") == ["begun slow", "done slow", ""]
    assert [topic for topic, *_ in bus.take("work")] == ["next"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_end_before_it_has_a_connection(command: Any, number: signal.Signals) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        command.configure(f"amqp://127.0.0.1:{silent.getsockname()[1]}/")
        process = command.start("consume", "--callback", "fedora_messaging.example:printer")
        connection, _ = silent.accept()
        time.sleep(0.2)
        process.send_signal(number)
        with connection:
            returned, _, errors = end(process)
    assert (returned, errors) == (0, "")


def test_messages_are_taken_as_the_callback_says(consumer: Any, bus: Any, command: Any) -> None:
    process = consumer()
    for topic in ("one", "drop", "publish"):
        bus.send(topic)
    log = command.folder / "log"
    bus.until(lambda: log.exists() and "done published" in log.read_text())
    process.send_signal(signal.SIGTERM)
    assert end(process)[0] == 0
    assert log.read_text().split("\n")[:-1] == [
        "begun one", "done one", "begun drop", "begun publish", "done publish", "begun published", "done published"
    ]  # fmt: skip
    assert bus.waiting("work") == 0


def test_what_is_no_message_is_dead_lettered_and_the_next_one_consumed(
    consumer: Any, bus: Any, command: Any
) -> None:
    bus.channel.queue_declare("work", durable=True)
    process = consumer()
    bus.send("bad", b"not json")
    bus.send("halt")
    returned, output, _ = end(process)
    assert returned == 7
    assert [line for line in output.splitlines() if "id-bad" in line and "bad" in line]
    assert (command.folder / "log").read_text() == "begun halt\n"
    assert bus.waiting("work") == 0


def failing(command: Any, *options: str) -> tuple[int, str]:
    """Exit code and line of a ``consume`` that cannot start."""
    told = command("consume", "--callback", "fedora_messaging.example:printer", *options)
    assert told.stderr.count("\n") == 1, told.stderr
    assert "Traceback" not in told.stdout + told.stderr
    return told.returncode, told.stderr.removeprefix("Error: ")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("//admin:", "//admin:wrong"), "refused the user 'admin': check user name and password in amqp_url"),
        (("/test-", "/no-such-"), "does not let us use the virtual host 'no-such-"),
        (("127.0.0.1", "no-such-host.invalid"), "the host name 'no-such-host.invalid' does not resolve"),
        (("amqp:", "amqps:"), "does not speak TLS"),
    ],
)
def test_no_connection_is_14(command: Any, bus: Any, change: tuple[str, str], words: str) -> None:
    command.configure(bus.url.replace(*change))
    code, line = failing(command)
    assert code == 14
    assert words in line


def test_nothing_that_listens_is_14(command: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    command.configure(f"amqp://127.0.0.1:{port}/")
    code, line = failing(command)
    assert (code, line) == (
        14,
        f"nothing listens on 127.0.0.1:{port}: is the broker running, is the port in amqp_url right?\n",
    )


@pytest.mark.parametrize("broken", ["missing", "no certificate"])
def test_a_certificate_that_cannot_be_used_is_2(command: Any, tmp_path: Path, broken: str) -> None:
    certificate = tmp_path / "ca.pem"
    if broken == "no certificate":
        certificate.write_text("nonsense")
    command.configure("amqps://127.0.0.1:1/", f'[tls]\nca_cert = "{certificate}"')
    code, line = failing(command)
    assert code == 2
    assert "tls.ca_cert" in line
    assert str(certificate) in line


def test_a_refused_declaration_is_10(command: Any, bus: Any) -> None:
    bus.channel.queue_declare("work", durable=False)
    command.configure(bus.url, QUEUE)
    code, line = failing(command)
    assert code == 10
    assert line.startswith("Unable to declare the queue (work): ")
    assert "inequivalent arg 'durable'" in line


def test_no_permission_to_consume_is_15(command: Any, bus: Any) -> None:
    bus.queue("work")
    url = bus.user("writer", ".*", ".*", "^amq\\.topic$")
    command.configure(url, QUEUE)
    code, line = failing(command)
    assert code == 15
    assert "queue 'work'" in line


def test_no_permission_to_declare_is_10(command: Any, bus: Any) -> None:
    command.configure(bus.user("reader", "^$", ".*", ".*"), QUEUE)
    code, line = failing(command)
    assert code == 10
    assert "amq.topic" in line


def test_a_monitoring_port_that_is_taken_is_2(command: Any, bus: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        command.configure(bus.url, f'[monitoring]\naddress = "127.0.0.1"\nport = {port}')
        code, line = failing(command)
    assert code == 2
    assert f"cannot listen on port {port} of 127.0.0.1" in line


def test_the_options_reach_the_broker(consumer: Any, bus: Any, rabbitmq: Any) -> None:
    bus.channel.exchange_declare("other", "topic", durable=True)
    process = consumer(
        "plain", "--queue-name", "work", "--exchange", "other", "--routing-key", "a.*", "--routing-key", "b.#",
        "--app-name", "mine",
    )  # fmt: skip
    bound = {(one["source"], one["routing_key"]) for one in bus.definitions()["bindings"]}
    assert bound == {("other", "a.*"), ("other", "b.#")}
    listed = rabbitmq.ctl("list_connections", "vhost", "client_properties", "--quiet")
    assert any(bus.vhost in line and '{"app","mine"}' in line for line in listed.splitlines())
    process.send_signal(signal.SIGTERM)
    assert end(process)[0] == 0
