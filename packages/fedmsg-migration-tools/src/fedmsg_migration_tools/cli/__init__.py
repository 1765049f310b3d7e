# SPDX-License-Identifier: MIT
"""The command line, ``fedmsg-migration-tools``. Here is only what it takes to list the commands.

Each command is a module of its own, named after it, which is imported when the command runs; what it needs of the
tools is imported by the command itself. So ``--help`` costs little more than importing click.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["cli", "main"]

# Command, which is its module's name too → the line in the list: the first sentence of the command's own help.
COMMANDS = {
    "amqp_to_zmq": "Publish over ZeroMQ what comes over AMQP.",
    "quarantine": "Look at the messages that could not be bridged, replay or drop them.",
    "status": "Show who publishes and listens where, which bindings will hurt, and what keeps the bridges.",
    "verify_missing": "Say what the bridges lost, changed or doubled, and what cannot be known.",
    "zmq_to_amqp": "Publish over AMQP what comes over ZeroMQ.",
}


def _dashed(token: str) -> str:
    """One spelling of two: operators know ``zmq_to_amqp``, and command lines have dashes."""
    return token.replace("_", "-")


class LazyGroup(click.Group):
    """Commands that are imported when they run, in either spelling."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Their names."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command itself."""
        name = cmd_name.replace("-", "_")
        if name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f".{name}", __name__), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list in the help, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


def _print_version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    from importlib.metadata import version  # noqa: PLC0415 - 15 ms

    click.echo(f"fedmsg-migration-tools {version('fedmsg-migration-tools')}")
    ctx.exit()


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "token_normalize_func": _dashed}
)
@click.option(
    "--conf",
    metavar="PATH",
    help="The tools' configuration file. Default: the one that $FEDMSG_MIGRATION_TOOLS_CONFIG names, or "
    "/etc/fedmsg-migration-tools/config.toml. The broker is in the configuration of fedora-messaging.",
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
    """Move an event bus from ZeroMQ (fedmsg) to RabbitMQ without a flag day."""
    ctx.obj = conf


def main(arguments: Sequence[str] | None = None) -> Any:
    """The entry point of the script. ``arguments`` are those of the command line when omitted."""
    return cli(arguments, prog_name="fedmsg-migration-tools")
