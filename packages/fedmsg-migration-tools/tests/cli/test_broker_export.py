# SPDX-License-Identifier: MIT
"""``broker export`` and ``broker definitions`` as people run them, between real brokers."""

from __future__ import annotations

import json
import stat
import tomllib
from typing import TYPE_CHECKING, Any

import pytest

from fedora_messaging.private_node import PrivateNode

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Command

PASSWORD = "FEDMSG_MIGRATION_TOOLS_BROKER_PASSWORD"
SECRET = "for-nobody-else"


def management(node: PrivateNode) -> list[str]:
    return ["--management-url", node.management_url, "--user", node.user]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def old(rabbitmq: PrivateNode) -> Any:
    """A broker that somebody has set up."""
    rabbitmq.add_vhost("/old é")
    vhost = "%2Fold%20%C3%A9"
    rabbitmq.management("PUT", "/api/users/exported", {"password": SECRET, "tags": ""})
    rabbitmq.management(
        "PUT",
        f"/api/queues/{vhost}/waiting%20room",
        {"durable": True, "arguments": {"x-queue-type": "quorum"}},
    )
    rabbitmq.management("POST", f"/api/bindings/{vhost}/e/amq.topic/q/waiting%20room", {"routing_key": "a.#"})
    rabbitmq.management(
        "PUT", f"/api/permissions/{vhost}/exported", {"configure": "", "write": "^a'", "read": '"'}
    )
    yield rabbitmq
    rabbitmq.management("DELETE", "/api/users/exported")
    rabbitmq.delete_vhost("/old é")


def test_export_to_a_file(command: Command, old: PrivateNode) -> None:
    command.environment[PASSWORD] = old.password
    run = command("broker", "export", *management(old), "--output", "bus.toml")
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    path = command.folder / "bus.toml"
    assert mode(path) == 0o600
    text = path.read_text(encoding="utf-8")
    assert SECRET not in text
    assert old.password not in text
    assert [one.name for one in command.folder.iterdir()] == ["bus.toml"]
    assert command("broker", "plan", "bus.toml", *management(old)).returncode == 0


def test_export_to_standard_output(command: Command, old: PrivateNode) -> None:
    command.environment[PASSWORD] = old.password
    run = command("broker", "export", *management(old))
    assert run.returncode == 0, run.stderr
    tables = tomllib.loads(run.stdout)
    assert tables["vhosts"]["/old é"]["queues"]["waiting room"]["type"] == "quorum"
    assert tables["vhosts"]["/old é"]["users"]["exported"]["expressions"]["read"] == '"'


def test_export_overwrites_nothing(command: Command, old: PrivateNode) -> None:
    command.environment[PASSWORD] = old.password
    (command.folder / "bus.toml").write_text("# mine\n")
    run = command("broker", "export", *management(old), "--output", "bus.toml")
    assert run.returncode == 1
    assert run.stderr == "Error: bus.toml is there already: give --output another name, or move it away\n"
    assert (command.folder / "bus.toml").read_text() == "# mine\n"
    run = command("broker", "export", *management(old), "--output", "no/bus.toml")
    assert run.stderr == "Error: no/bus.toml cannot be written: No such file or directory\n"


def test_export_with_a_wrong_password(command: Command, rabbitmq: PrivateNode) -> None:
    command.environment[PASSWORD] = "wrong-one"
    run = command("broker", "export", *management(rabbitmq), "--output", "bus.toml")
    assert run.returncode == 1
    assert run.stderr.count("\n") == 1
    assert "wrong-one" not in run.stderr
    assert not (command.folder / "bus.toml").exists()


FILE = """
[users.root]
password_file = "root.password"
tags = ["administrator"]
[users.bodhi]
certificate = true
[vhosts."/pubsub".queues.bodhi]
bindings = [{ exchange = "amq.topic" }]
[vhosts."/pubsub".users.root.expressions]
configure = ".*"
write = ".*"
read = ".*"
[vhosts."/pubsub".users.bodhi]
consume = ["bodhi"]
publish."amq.topic" = ["org.fedoraproject.prod.bodhi.#"]
"""


def test_a_node_boots_with_definitions_and_is_what_the_file_says(command: Command) -> None:
    (command.folder / "bus.toml").write_text(FILE)
    (command.folder / "root.password").write_text(SECRET + "\n")
    (command.folder / "root.password").chmod(0o600)
    path = command.folder / "definitions.json"
    for _ in range(2):  # the second time it is replaced
        run = command("broker", "definitions", "bus.toml", "--output", path)
        assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert mode(path) == 0o600
    assert SECRET not in path.read_text()
    config = {"load_definitions": str(path), "default_user": "root", "default_pass": SECRET}
    with PrivateNode(config=config) as node:
        command.environment[PASSWORD] = SECRET
        run = command("broker", "plan", "bus.toml", "--management-url", node.management_url, "--user", "root")
        assert (run.returncode, run.stderr) == (0, ""), run.stdout


def test_definitions_to_standard_output(command: Command) -> None:
    (command.folder / "bus.toml").write_text(FILE)
    (command.folder / "root.password").write_text(SECRET)
    (command.folder / "root.password").chmod(0o644)
    run = command("broker", "definitions", "bus.toml")
    assert run.returncode == 0
    assert run.stderr.startswith("Warning: root.password, the secret of user root, may be read by others")
    assert {one["name"] for one in json.loads(run.stdout)["users"]} == {"root", "bodhi"}
    assert SECRET not in run.stdout + run.stderr


def test_mistakes_are_told_one_line_each(command: Command) -> None:
    (command.folder / "bus.toml").write_text(
        '[users.a]\n[users.b]\npassword_env = "NOT_THERE"\n[vhosts."/".users.c]\n'
    )
    run = command("broker", "definitions", "bus.toml", "--output", "definitions.json")
    assert run.returncode == 1
    assert run.stdout == ""
    no_login, unknown = run.stderr.splitlines()
    assert no_login.startswith(
        "Error: bus.toml: users.a: it says no way to log in: give one of password_hash, "
    )
    assert unknown == "Error: bus.toml: vhosts.\"/\".users.c: there is no user 'c' in [users]"
    (command.folder / "bus.toml").write_text('[users.b]\npassword_env = "NOT_THERE"\n')
    run = command("broker", "definitions", "bus.toml", "--output", "definitions.json")
    assert run.returncode == 1
    assert run.stderr == "Error: the secret of user b is missing: set the environment variable NOT_THERE\n"
    assert not (command.folder / "definitions.json").exists()
