# SPDX-License-Identifier: MIT
"""``broker apply`` as people run it: what it says, what it leaves, and killed for real."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from fedora_messaging.private_node import PrivateNode

Run = Any  # the Command of conftest

HEAD = """
[users.admin]
password_env = "ADMIN"
tags = ["administrator"]
[users.app]
password_env = "APP"
"""
FILE = HEAD + '[vhosts.v]\n[vhosts.v.users.app]\nmanage = ["app*"]\n'


@pytest.fixture(scope="module")
def node() -> Iterator[PrivateNode]:
    with PrivateNode(plugins=("rabbitmq_management",)) as one:
        yield one


@pytest.fixture
def run(command: Run, node: PrivateNode) -> Run:
    """The command on an empty broker, with a file and the administrator's password in the environment."""
    for vhost in node.management("GET", "/api/vhosts"):
        node.delete_vhost(vhost["name"])
    for user in node.management("GET", "/api/users"):
        if user["name"] != "admin":
            node.management("DELETE", f"/api/users/{user['name']}")
    (command.folder / "bus.toml").write_text(FILE)
    command.environment |= {
        "APP": "se-cret-app",
        "ADMIN": node.password,
        "FEDMSG_MIGRATION_TOOLS_BROKER_PASSWORD": node.password,
    }
    command.options = ("bus.toml", f"--management-url={node.management_url}", "--user=admin")
    return command


def test_it_says_what_it_has_done(run: Run, node: PrivateNode) -> None:
    planned = run("broker", "plan", *run.options)
    done = run("broker", "apply", *run.options)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.splitlines()) == sorted(planned.stdout.splitlines())
    assert run("broker", "plan", *run.options).returncode == 0

    again = run("broker", "apply", *run.options)
    assert (again.returncode, again.stdout) == (0, "Nothing differs.\n")
    assert "se-cret" not in done.stdout + done.stderr
    assert "se-cret" not in node.log(100_000)


def test_a_dry_run_changes_nothing(run: Run, node: PrivateNode) -> None:
    done = run("broker", "apply", *run.options, "--dry-run")
    assert done.returncode == 2
    assert done.stdout == run("broker", "plan", *run.options).stdout
    assert node.management("GET", "/api/vhosts") == []


def test_what_is_left_is_said_and_the_rest_is_done(run: Run, node: PrivateNode) -> None:
    file = run.folder / "bus.toml"
    file.write_text(FILE + "[vhosts.v.queues.q]\n")
    assert run("broker", "apply", *run.options).returncode == 0
    node.management("PUT", "/api/permissions/v/admin", {"configure": ".*", "write": ".*", "read": ".*"})
    message = {"properties": {}, "routing_key": "q", "payload": "x", "payload_encoding": "string"}
    node.management("POST", "/api/exchanges/v/amq.default/publish", message)
    file.write_text(FILE + "[vhosts.v.queues.new]\n")

    done = run("broker", "apply", *run.options)

    assert done.returncode == 2
    assert "- queue q in v" in done.stdout
    assert "\n  left as it is: " in done.stdout
    assert "+ queue new in v: classic\n" in done.stdout
    assert [one["name"] for one in node.management("GET", "/api/queues/v")] == ["new", "q"]

    named = run("broker", "apply", *run.options, "--allow-delete", "q")
    assert (named.returncode, named.stderr) == (0, "")
    assert [one["name"] for one in node.management("GET", "/api/queues/v")] == ["new"]


def test_the_password_of_who_applies_changes_last(run: Run, node: PrivateNode) -> None:
    node.management("PUT", "/api/users/boss", {"password": "old", "tags": "administrator"})
    (run.folder / "bus.toml").write_text(
        FILE + '[users.boss]\npassword_env = "BOSS"\ntags = ["administrator"]\n'
    )
    run.environment |= {"FEDMSG_MIGRATION_TOOLS_BROKER_PASSWORD": "old", "BOSS": "new"}
    options = [*run.options[:2], "--user=boss"]

    done = run("broker", "apply", *options)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "~ user boss: password changes"
    assert "does not know the user boss with this password" in run("broker", "plan", *options).stderr
    run.environment["FEDMSG_MIGRATION_TOOLS_BROKER_PASSWORD"] = "new"
    assert run("broker", "plan", *options).returncode == 0


def test_told_to_end_it_says_that_it_is_not_done(run: Run, node: PrivateNode) -> None:
    queues = "".join(f"[vhosts.v.queues.q{number}]\n" for number in range(300))
    (run.folder / "bus.toml").write_text(FILE + queues)
    process = run.start("broker", "apply", *run.options)
    end = time.monotonic() + 60
    while not node.management("GET", "/api/definitions")["queues"] and time.monotonic() < end:
        assert process.poll() is None, "it was not told in time"
    process.terminate()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said == "Error: It was told to end before it was done: run it again, it goes on from there\n"


def test_a_name_that_allows_nothing_is_warned_of(run: Run) -> None:
    done = run("broker", "apply", *run.options, "--allow-delete=nothing")
    assert (done.returncode, done.stderr) == (
        0,
        "Warning: --allow-delete nothing: nothing of that name would go\n",
    )


def test_killed_and_run_again(run: Run, node: PrivateNode) -> None:
    queues = "".join(
        f'[vhosts.v.queues.q{number}]\nbindings = [{{ exchange = "amq.topic" }}]\n' for number in range(300)
    )
    (run.folder / "bus.toml").write_text(FILE + queues)
    for least in (1, 100):
        process = run.start("broker", "apply", *run.options)
        end = time.monotonic() + 60
        while len(node.management("GET", "/api/definitions")["queues"]) < least and time.monotonic() < end:
            assert process.poll() is None, "it was not killed in time"
        process.kill()
        process.wait()
        assert run("broker", "plan", *run.options).returncode == 2

    done = run("broker", "apply", *run.options)

    assert (done.returncode, done.stderr) == (0, "")
    assert run("broker", "plan", *run.options).stdout == "Nothing differs.\n"
    assert len(node.management("GET", "/api/definitions")["bindings"]) == 300
