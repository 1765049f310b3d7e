# SPDX-License-Identifier: MIT
"""``fedora-messaging doctor`` as people run it."""

import json
import socket
from typing import Any

import pytest

CHECKS = ["configuration", "socket", "login", "exchange", "queue", "consume", "bind", "publish"]


def checks(told: Any) -> list[list[str]]:
    return [line.split()[:2] for line in told.stdout.splitlines()]


def test_all_is_well(command: Any, bus: Any) -> None:
    command.configure(bus.url)
    told = command("doctor")
    assert (told.returncode, told.stderr) == (0, "")
    assert checks(told) == [["ok", check] for check in CHECKS]
    assert told.stdout.splitlines()[0].endswith(f"read from {command.conf}")
    assert f"as 'admin', virtual host '{bus.vhost}'" in told.stdout


def test_as_json(command: Any, bus: Any) -> None:
    command.configure(bus.user("limited", ".*", "^amq.gen-", ".*"))
    told = command("doctor", "--json", "--publish-topic", "app.event")
    assert told.returncode == 1
    findings = json.loads(told.stdout)
    assert [finding["check"] for finding in findings] == CHECKS
    assert [finding["status"] for finding in findings] == ["ok"] * 7 + ["FAIL"]
    assert "'app.event'" in findings[-1]["text"]
    assert findings[-1]["advice"].startswith("have write permission for amq.topic")


@pytest.mark.parametrize(
    ("change", "check", "words"),
    [
        (("//admin:", "//admin:wrong"), "login", "refused the user 'admin'"),
        (("/test-", "/no-such-"), "login", "virtual host 'no-such-"),
        (("127.0.0.1", "no-such-host.invalid"), "socket", "does not resolve"),
        (("amqp:", "amqps:"), "TLS", "does not speak TLS"),
    ],
)
def test_the_first_failure_is_the_last_line(
    command: Any, bus: Any, change: tuple[str, str], check: str, words: str
) -> None:
    command.configure(bus.url.replace(*change))
    told = command("doctor")
    assert (told.returncode, told.stderr) == (1, "")
    assert checks(told)[-1] == ["FAIL", check]
    assert words in told.stdout.splitlines()[-1]
    assert [status for status, _ in checks(told)].count("FAIL") == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [("x = [", "Failed to parse"), ("nokey = 1", "nokey"), ('amqp_url = "gopher://x"', "gopher")],
)
def test_a_wrong_configuration_is_a_finding(command: Any, text: str, words: str) -> None:
    command.conf.write_text(text)
    told = command("doctor")
    assert told.returncode == 1
    assert checks(told)[-1] == ["FAIL", "configuration"]
    assert words in told.stdout


def test_says_which_file_it_read(command: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    path = command.write("other.toml", f'amqp_url = "amqp://127.0.0.1:{port}/"\n')
    command.environment["FEDORA_MESSAGING_CONF"] = str(path)
    assert f"read from {path}\n" in command("doctor").stdout
    command.environment["FEDORA_MESSAGING_CONF"] = "/nonexistent.toml"
    told = command("doctor").stdout.splitlines()[0]
    assert told == "note  configuration  there is no file /nonexistent.toml: the defaults are used"
    told = command("--conf", "nothing.toml", "doctor")
    assert (told.returncode, told.stdout) == (1, "FAIL  configuration  --conf: nothing.toml is not a file\n")


def test_every_host_is_looked_at(command: Any, bus: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    command.configure(bus.url, f'amqp_urls = ["amqp://127.0.0.1:{port}/", "{bus.url}", "{bus.url}"]')
    told = command("doctor")
    assert told.returncode == 1
    found = checks(told)
    assert found == [
        ["ok", "configuration"], ["FAIL", "socket"], *(["ok", check] for check in [*CHECKS[1:], "socket", "login"])
    ]  # fmt: skip


def test_another_transport_is_connected_to(command: Any) -> None:
    command.configure("memory://somewhere")
    told = command("doctor")
    assert told.returncode == 0
    assert checks(told) == [["ok", "configuration"], ["ok", "login"], ["note", "permissions"]]
