# SPDX-License-Identifier: MIT
"""The command line, ``fedmsg-migration-tools``. Here is only what it takes to list the commands.

Each command is a module of its own, named after it, which is imported when the command runs; what it needs of the
tools is imported by the command itself. So ``--help`` costs little more than importing click.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .lazy import LazyGroup

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["cli", "main"]

# Command, which is its module's name too → the line in the list: the first sentence of the command's own help.
COMMANDS = {
    "amqp_to_zmq": "Publish over ZeroMQ what comes over AMQP.",
    "broker": "Make RabbitMQ what one file says, show what differs, and prove it.",
    "pki": "Keep a small certificate authority for the broker and its clients.",
    "quarantine": "Look at the messages that could not be bridged, replay or drop them.",
    "status": "Show who publishes and listens where, which bindings will hurt, and what keeps the bridges.",
    "verify_missing": "Say what the bridges lost, changed or doubled, and what cannot be known.",
    "zmq_to_amqp": "Publish over AMQP what comes over ZeroMQ.",
}


def _dashed(token: str) -> str:
    """One spelling of two: operators know ``zmq_to_amqp``, and command lines have dashes."""
    return token.replace("_", "-")


def _print_version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    from importlib.metadata import version  # noqa: PLC0415 - 15 ms

    click.echo(f"fedmsg-migration-tools {version('fedmsg-migration-tools')}")
    ctx.exit()


@click.group(
    cls=LazyGroup,
    package=__name__,
    about=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "token_normalize_func": _dashed},
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
