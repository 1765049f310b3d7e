# SPDX-License-Identifier: MIT
"""The group of commands: what it lists, in which spellings, and what it costs."""

import subprocess
import sys
from importlib import import_module
from typing import Any

import click
import pytest

from fedmsg_migration_tools.cli import COMMANDS, cli

HEAVY = {
    "asyncio",
    "cryptography",
    "fedora_messaging.config",
    "importlib.metadata",
    "logging.config",
    "msgspec",
    "pika",
    "prometheus_client",
    "zmq",
}


def test_the_list_says_what_the_commands_say_of_themselves() -> None:
    context = click.Context(cli)
    for name, about in COMMANDS.items():
        command = cli.get_command(context, name)
        assert command is getattr(import_module(f"fedmsg_migration_tools.cli.{name}"), name)
        assert command is not None
        assert command.get_short_help_str(limit=200) == about
        assert command.name == name
        assert cli.get_command(context, name.replace("_", "-")) is command


def test_help_lists_every_command(command: Any) -> None:
    told = command("--help")
    assert told.returncode == 0
    assert all(f"\n  {name} " in told.stdout for name in COMMANDS)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["no-such-command"],
        ["zmq_to_amqp", "--help"],
        ["amqp-to-zmq", "--help"],
        ["quarantine", "-h"],
    ],
)
def test_help_and_mistakes_load_nothing_heavy(arguments: list[str]) -> None:
    program = (
        "import sys\n"
        "from fedmsg_migration_tools.cli import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit:\n    pass\n"
        f"print('loaded', sorted({HEAVY!r} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout.endswith("loaded []\n")


def test_version(command: Any) -> None:
    told = command("--version")
    assert (told.returncode, told.stdout) == (0, "fedmsg-migration-tools 1.0.0\n")


def test_runs_as_a_module() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "fedmsg_migration_tools", "--help"], capture_output=True, text=True, check=True
    )
    assert told.stdout.startswith("Usage: fedmsg-migration-tools ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-command"],
        ["--no-such-option"],
        ["zmq_to_amqp", "--zmq-endpoint"],
        ["zmq_to_amqp", "--zmq-endpoint", "tcp://127.0.0.1:1", "--monitoring-port", "70000"],
        ["zmq_to_amqp", "argument"],
        ["quarantine", "no-such-command"],
        ["quarantine", "show"],
        ["quarantine", "list", "--limit", "0"],
        ["quarantine", "drop"],
        ["quarantine", "drop", "--yes"],
        ["quarantine", "replay"],
        ["quarantine", "replay", "--all", "0123456789ab"],
    ],
)
def test_wrong_usage_is_2(command: Any, arguments: list[str]) -> None:
    told = command(*arguments)
    assert told.returncode == 2
    assert "Traceback" not in told.stderr
    assert told.stderr.splitlines()[-1].startswith("Error: ")


@pytest.mark.parametrize("name", ["list", "show", "replay", "drop"])
def test_every_command_of_quarantine_has_help(command: Any, name: str) -> None:
    told = command("quarantine", name, "--help")
    assert told.returncode == 0
    assert told.stdout.startswith(f"Usage: fedmsg-migration-tools quarantine {name} ")
