# SPDX-License-Identifier: MIT
"""The group of commands: what it lists, and what it costs."""

import subprocess
import sys
from importlib import import_module
from typing import Any

import click
import pytest

from fedora_messaging.cli import COMMANDS, cli

HEAVY = {
    "asyncio",
    "pika",
    "jsonschema",
    "msgspec",
    "logging.config",
    "fedora_messaging.config",
    "importlib.metadata",
}


def test_the_list_says_what_the_commands_say_of_themselves() -> None:
    context = click.Context(cli)
    for name, (module, about) in COMMANDS.items():
        command = cli.get_command(context, name)
        assert command is getattr(import_module(f"fedora_messaging.cli.{module}"), name)
        assert command is not None
        assert command.get_short_help_str(limit=200) == about
        assert command.name == name


def test_help_lists_every_command(command: Any) -> None:
    told = command("--help")
    assert told.returncode == 0
    assert all(f"\n  {name} " in told.stdout for name in COMMANDS)


@pytest.mark.parametrize("arguments", [["--help"], ["no-such-command"], ["--no-such-option"]])
def test_help_and_mistakes_load_nothing_heavy(arguments: list[str]) -> None:
    program = (
        "import sys\n"
        "from fedora_messaging.cli import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit:\n    pass\n"
        f"print('loaded', sorted({HEAVY!r} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout.endswith("loaded []\n")


def test_version(command: Any) -> None:
    told = command("--version")
    assert (told.returncode, told.stdout) == (0, "fedora-messaging 3.100.0\n")


def test_runs_as_a_module() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "fedora_messaging", "--help"], capture_output=True, text=True, check=True
    )
    assert told.stdout.startswith("Usage: fedora-messaging ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-command"],
        ["--no-such-option"],
        ["consume", "--routing-key"],
        ["record"],
        ["record", "--limit", "0", "f"],
    ],
)
def test_wrong_usage_is_2(command: Any, arguments: list[str]) -> None:
    told = command(*arguments)
    assert told.returncode == 2
    assert "Traceback" not in told.stderr


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help(command: Any, name: str) -> None:
    told = command(name, "--help")
    assert told.returncode == 0
    assert COMMANDS[name][1].split(",")[0] in " ".join(told.stdout.split())
