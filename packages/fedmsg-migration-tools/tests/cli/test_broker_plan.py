# SPDX-License-Identifier: MIT
"""``broker plan`` as people run it, on a broker of its own."""

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from fedora_messaging.private_node import PrivateNode

Run = Any  # the Command of conftest

FILE = """
[users.admin]
password_env = "ADMIN"
tags = ["administrator"]
[users.app]
password_env = "APP"
[vhosts."/"]
description = "Default virtual host"
[vhosts."/".queues.q]
max_length = 5
[vhosts."/".users.admin.expressions]
configure = ".*"
write = ".*"
read = ".*"
[vhosts."/".upstreams.up]
uri_env = "URI"
"""
SECRETS = {"APP": "se-cret-app", "URI": "amqp://u:se-cret-uri@localhost"}


@pytest.fixture(scope="module")
def node() -> Iterator[PrivateNode]:
    with PrivateNode(plugins=("rabbitmq_management", "rabbitmq_federation")) as one:
        yield one


@pytest.fixture
def run(command: Run, node: PrivateNode) -> Run:
    """The command, with a file and the administrator's password in the environment."""
    (command.folder / "bus.toml").write_text(FILE)
    command.environment |= {
        **SECRETS,
        "ADMIN": node.password,
        "FEDMSG_MIGRATION_TOOLS_BROKER_PASSWORD": node.password,
    }
    command.url = f"--management-url={node.management_url}"
    return command


def test_what_differs_is_a_line_each(run: Run) -> None:
    done = run("broker", "plan", "bus.toml", run.url, "--user=admin")
    assert done.stdout.splitlines() == [
        "+ user app: with a password",
        "+ federation-upstream up in /",
        "+ queue q in /: classic, max-length 5",
    ]
    assert (done.returncode, done.stderr) == (2, "")


def test_as_json_and_without_secrets(run: Run, node: PrivateNode) -> None:
    done = run("broker", "plan", "bus.toml", run.url, "--user=admin", "--json")
    told = json.loads(done.stdout)
    assert done.returncode == 2
    assert (told["version"], told["equal"]) == (1, False)
    assert [(one["action"], one["kind"], one["vhost"], one["name"]) for one in told["changes"]] == [
        ("create", "user", "", "app"),
        ("create", "parameter", "/", "up"),
        ("create", "queue", "/", "q"),
    ]
    assert told["changes"][0]["after"]["password"] == "***"
    assert "se-cret" not in done.stdout + done.stderr
    assert node.password not in done.stdout + done.stderr


def test_nothing_differs(run: Run) -> None:
    (run.folder / "bus.toml").write_text('[leave]\nvhosts = ["*"]\nusers = ["*"]\n')
    done = run("broker", "plan", "bus.toml", run.url, "--user=admin")
    assert (done.returncode, done.stdout, done.stderr) == (0, "Nothing differs.\n", "")


def test_the_password_may_be_in_a_file_and_the_user_in_the_url(run: Run, node: PrivateNode) -> None:
    del run.environment["FEDMSG_MIGRATION_TOOLS_BROKER_PASSWORD"]
    (run.folder / "password").write_text(node.password + "\n")
    url = node.management_url.replace("://", "://admin@")
    done = run("broker", "plan", "bus.toml", "--management-url", url, "--password-file=password")
    assert (done.returncode, done.stderr) == (2, "")


def test_the_url_may_be_in_the_file(run: Run, node: PrivateNode) -> None:
    (run.folder / "bus.toml").write_text(f'[broker]\nmanagement_urls = ["{node.management_url}"]\n' + FILE)
    assert run("broker", "plan", "bus.toml", "--user=admin").returncode == 2


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--user=nobody"], "does not know the user nobody with this password"),
        (["--management-url=http://admin:pw-in-url@localhost:1"], "A password in a URL is seen by all"),
        (["--password-file=nowhere"], "The password in nowhere cannot be read: No such file or directory"),
        (["--password-file=empty"], "The password file empty is empty"),
        (["--management-url=ftp://x"], "must begin with http:// or https://"),
        (["--management-url=http://127.0.0.1:{free}"], "does not listen"),
        (["--unknown"], "No such option"),
    ],
)
def test_each_error_is_one_line_and_exit_code_1(run: Run, arguments: list[str], line: str) -> None:
    (run.folder / "empty").touch()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        given = [one.format(free=free.getsockname()[1]) for one in arguments]
        done = run("broker", "plan", "bus.toml", run.url, "--user=admin", *given)
    assert done.returncode == 1
    assert line in done.stderr
    assert done.stdout == ""
    if "No such option" not in line:
        assert len(done.stderr.splitlines()) == 1
    assert "pw-in-url" not in done.stderr


def test_a_user_who_is_no_administrator(run: Run, node: PrivateNode) -> None:
    node.management("PUT", "/api/users/watcher", {"password": "w", "tags": "monitoring"})
    run.environment["FEDMSG_MIGRATION_TOOLS_BROKER_PASSWORD"] = "w"
    done = run("broker", "plan", "bus.toml", run.url, "--user=watcher")
    node.management("DELETE", "/api/users/watcher")
    assert done.returncode == 1
    assert "give it the tag administrator (rabbitmqctl set_user_tags watcher administrator)" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_user_without_a_password(run: Run) -> None:
    del run.environment["FEDMSG_MIGRATION_TOOLS_BROKER_PASSWORD"]
    done = run("broker", "plan", "bus.toml", run.url, "--user=somebody")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: No password for the user somebody: give --password-file, or set $")


def test_mistakes_in_the_file_are_a_line_each(run: Run) -> None:
    (run.folder / "bus.toml").write_text('[users.a]\n[users.b]\ncertificate = 3\n[vhost."/"]\n')
    done = run("broker", "plan", "bus.toml", run.url, "--user=admin")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) >= 2
    assert all(one.startswith("Error: bus.toml: ") for one in done.stderr.splitlines())
