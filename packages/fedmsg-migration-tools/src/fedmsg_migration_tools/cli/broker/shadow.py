# SPDX-License-Identifier: MIT
"""``fedmsg-migration-tools broker shadow``. How it is judged is in :mod:`...broker.learning.verdicts`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ..running import reported
from .observing import Sources, exchange_option, options

#: The exit code for when something would be refused: that of ``plan`` when something differs.
REFUSED = 2


def _names(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """``NAME=USER``, each."""
    found = {}
    for value in values:
        name, _, user = value.rpartition("=")
        if not name or not user:
            raise click.BadParameter(f"{value!r} is not NAME=USER")
        found[name] = user
    return found


@click.command("shadow")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--recording",
    metavar="FILE",
    multiple=True,
    help="What to try it with: a recording as policy --observe takes it. May be repeated.",
)
@options
@exchange_option
@click.option("--vhost", metavar="NAME", help="The virtual host; default: the only one in the file.")
@click.option(
    "--as",
    "names",
    metavar="NAME=USER",
    multiple=True,
    callback=_names,
    help="The user that this publisher (a certificate's CN, an application) will be. May be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_context
def shadow(
    context: click.Context,
    file: Path,
    recording: tuple[str, ...],
    zmq_endpoint: tuple[str, ...],
    seconds: float,
    ca: tuple[Path, ...],
    topics: tuple[str, ...],
    exchange: str,
    vhost: str | None,
    names: dict[str, str],
    as_json: bool,
) -> None:
    """Say what of a recording the file would refuse.

    Without a broker, by the expressions that it would be given. With the line of the file that would allow it.
    Exit code 2 when anything would be refused, else 0.
    """
    with reported():
        if not (recording or zmq_endpoint):
            raise click.UsageError("say what to try the file with: --recording or --zmq-endpoint")
        from ...broker.bus.file import read  # noqa: PLC0415 - only when the command runs
        from ...broker.learning.shadowing import Shadow  # noqa: PLC0415
        from ...broker.learning.verdicts import Judge, the_vhost  # noqa: PLC0415
        from ...exceptions import ToolsError  # noqa: PLC0415

        bus = read(file)
        found = Shadow(Judge(bus, the_vhost(bus, vhost)), exchange, names)
        notes = Sources(recording, zmq_endpoint, seconds, ca, topics).hear(found.see)
        if not found.messages:
            raise ToolsError("; ".join(["there was no message to try the file with", *notes]))
        if as_json:
            click.echo(json.dumps(found.as_dict(notes)))
        else:
            click.echo("\n".join(found.lines(notes)))
        if found.refused_messages:
            context.exit(REFUSED)
