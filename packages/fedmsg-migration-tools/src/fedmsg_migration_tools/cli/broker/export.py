# SPDX-License-Identifier: MIT
"""``fedmsg-migration-tools broker export``: the file of a broker that was set up by hand."""

from __future__ import annotations

from pathlib import Path

import click

from ..running import reported
from .options import connect, management_options
from .saving import create

__all__ = ["export"]


@click.command("export")
@click.option(
    "--output",
    metavar="PATH",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write it there, readable by you alone, instead of to standard output; a file that is there is left alone.",
)
@management_options
@click.pass_obj
def export(
    conf_path: str | None,
    output: Path | None,
    management_url: str | None,
    user: str | None,
    password_file: Path | None,
) -> None:
    """Write what is on the broker as such a file.

    It has the hashes of the users' passwords. A URI with a password (of an upstream, a shovel) is not in it: an
    environment variable is named instead, in the file's first lines.
    """
    with reported():
        from ...broker.bus.writing import exported  # noqa: PLC0415
        from ...broker.changing.live import live  # noqa: PLC0415 - only when the command runs

        with connect(None, conf_path, management_url, user, password_file) as management:
            found = exported(live(management))
        if output is None:
            click.echo(found.text, nl=False)
        else:
            create(output, found.text)
        for variable in found.secrets:
            click.echo(
                f"Not in the file, for it has a password: set {variable} (the file says what it is).",
                err=True,
            )
