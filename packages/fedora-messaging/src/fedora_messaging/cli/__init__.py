# SPDX-License-Identifier: MIT
"""The command line, ``fedora-messaging``. Here is only what it takes to list the commands.

Each command is a module of its own, named after it, which is imported when the command runs; what a command
needs of the library is imported by the command itself. So ``--help`` costs little more than importing click.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["cli", "main"]

# Command → module, and the line in the list of commands: the first sentence of the command's own help.
COMMANDS = {
    "broker": ("broker", "Run a RabbitMQ of your own on 127.0.0.1 until Ctrl-C."),
    "consume": ("consume", "Call a Python function with each message from a queue."),
    "doctor": ("doctor", "Check configuration, broker and permissions."),
    "publish": ("publish", "Publish the messages of a file."),
    "reconsume": ("archive", "Call a Python function with a message from the archive."),
    "record": ("record", "Write messages from a queue to a file."),
    "replay": ("archive", "Publish a message from the archive again."),
    "schemas": ("schemas", "List the installed message classes, or check a file of messages."),
}


class LazyGroup(click.Group):
    """Commands that are imported when they run."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Their names."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command itself."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f".{COMMANDS[cmd_name][0]}", __name__)
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list in the help, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in sorted(COMMANDS.items())])


def _print_version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    from importlib.metadata import version  # noqa: PLC0415 - 15 ms

    click.echo(f"fedora-messaging {version('fedora-messaging')}")
    ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--conf",
    metavar="PATH",
    help="The configuration file. Default: the one that $FEDORA_MESSAGING_CONF names, "
    "or /etc/fedora-messaging/config.toml.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version.",
)
@click.pass_context
def cli(ctx: click.Context, conf: str | None) -> None:
    """Publish and consume messages, and see what is wrong when that fails."""
    ctx.obj = conf


def main(arguments: Sequence[str] | None = None) -> Any:
    """The entry point of the script. ``arguments`` are those of the command line when omitted."""
    return cli(arguments, prog_name="fedora-messaging")
