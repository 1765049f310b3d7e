# SPDX-License-Identifier: MIT
"""``fedmsg-migration-tools broker apply``: the broker becomes what the file says."""

from __future__ import annotations

from dataclasses import replace
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
from .plan import coloured

if TYPE_CHECKING:
    from pathlib import Path

    from ...broker.bus.shape import Bus
    from ...broker.changing.changes import Change, Plan
    from ...management.client import Management

__all__ = ["apply"]


@click.command("apply", cls=BrokerCommand)
@file_argument
@click.option(
    "--allow-delete",
    metavar="NAME",
    multiple=True,
    help="A queue, exchange or virtual host that may be deleted although it is used: NAME, or VHOST/NAME. "
    "May be repeated.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be done, and what would be left.")
@management_options
@click.pass_obj
def apply(
    conf_path: str | None,
    file: Path,
    allow_delete: tuple[str, ...],
    dry_run: bool,
    management_url: str | None,
    user: str | None,
    password_file: Path | None,
) -> None:
    """Make the broker what the file says.

    What gives comes before what takes away. What holds messages, or is used, stays unless it is named. The exit code
    is 0 when the broker is what the file says, 2 when something was left undone, 1 for errors: then it may be run
    again, and goes on from there.
    """
    with reported(), whole():
        from ...broker.changing.applying import apply as apply_plan  # noqa: PLC0415
        from ...broker.changing.applying import held, named  # noqa: PLC0415

        bus = read(file)
        with connect(bus, conf_path, management_url, user, password_file) as management:
            found = compared(bus, management)
            for name in sorted(set(allow_delete)):
                if not any(named(change.key, [name]) for change in found.changes):
                    click.echo(f"Warning: --allow-delete {name}: nothing of that name would go", err=True)
            if dry_run:
                for change in found.changes:
                    _tell(change, held(change, allow_delete))
                if found.changes:
                    raise click.exceptions.Exit(DIFFERENT)
            else:
                left = bool(apply_plan(found, management, allow_delete=allow_delete, told=_tell).left)
                if left or _differs_still(bus, found, management):
                    raise click.exceptions.Exit(DIFFERENT)
        if not found.changes:
            click.echo("Nothing differs.")


def _differs_still(bus: Bus, made: Plan, management: Management) -> bool:
    """Look again: others may have changed the broker meanwhile."""
    from ...broker.state import Key, Kind  # noqa: PLC0415

    own = Key(Kind.USER, "", made.facts.user)
    unknown = "password" not in made.desired.get(own, {}) and own in {one.key for one in made.changes}
    if not made.changes or unknown:  # only a hash of our new password is known
        return False
    with _as_now(made, management) as now:
        rest = compared(bus, now).changes
    for change in rest:
        _tell(change, "it has changed meanwhile: run this again")
    return bool(rest)


def _as_now(made: Plan, management: Management) -> Management:
    """With our password as it is now, for we may have changed it."""
    from ...broker.state import Key, Kind  # noqa: PLC0415
    from ...management.client import Management  # noqa: PLC0415

    password = made.desired.get(Key(Kind.USER, "", made.facts.user), {}).get("password")
    server = management.server
    return Management([server if password is None else replace(server, password="".join(password))])


def _tell(change: Change, problem: str) -> None:
    if not problem:
        click.echo(coloured(change))
        return
    click.echo(f"{coloured(change)}\n  left as it is: {problem}")
