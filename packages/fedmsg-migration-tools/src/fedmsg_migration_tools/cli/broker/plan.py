# SPDX-License-Identifier: MIT
"""``fedmsg-migration-tools broker plan``: what would change."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from ..running import reported
from .options import (
    DIFFERENT,
    BrokerCommand,
    compared,
    connect,
    file_argument,
    management_options,
    read,
    whole,
)

if TYPE_CHECKING:
    from pathlib import Path

    from ...broker.changing.changes import Change

__all__ = ["coloured", "plan"]


@click.command("plan", cls=BrokerCommand)
@file_argument
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@management_options
@click.pass_obj
def plan(
    conf_path: str | None,
    file: Path,
    as_json: bool,
    management_url: str | None,
    user: str | None,
    password_file: Path | None,
) -> None:
    """Show what differs between the file and the broker.

    A line for each difference: + will be created, ~ changed, - deleted, ! cannot be changed in place. Nothing is
    changed. The exit code is 0 when nothing differs, 2 when something does, 1 for errors.
    """
    with reported(), whole():
        from ...broker.changing.reporting import as_json as to_json  # noqa: PLC0415

        bus = read(file)
        with connect(bus, conf_path, management_url, user, password_file) as management:
            found = compared(bus, management)
        if as_json:
            click.echo(json.dumps(to_json(found)))
        else:
            for change in found.changes:
                click.echo(coloured(change))
        if found.changes:
            raise click.exceptions.Exit(DIFFERENT)
        if not as_json:
            click.echo("Nothing differs.")


def coloured(change: Change) -> str:
    """Its line; click takes the colours away where there is no terminal."""
    from ...broker.changing.changes import Action  # noqa: PLC0415

    colours = {Action.CREATE: "green", Action.CHANGE: "yellow", Action.DELETE: "red"}
    return click.style(str(change), fg=colours.get(change.action, "magenta"))
