# SPDX-License-Identifier: MIT
"""``fedmsg-migration-tools broker definitions``: for brokers that get all they have when they boot."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ..running import reported
from .options import file_argument, read
from .saving import replace

__all__ = ["definitions"]


@click.command("definitions")
@file_argument
@click.option(
    "--output",
    metavar="PATH",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write them there, readable by you alone, instead of to standard output; a file that is there is replaced.",
)
def definitions(file: Path, output: Path | None) -> None:
    """Write the file as RabbitMQ's own definitions, to be loaded when it boots.

    For load_definitions in rabbitmq.conf, or rabbitmqctl import_definitions. No broker is asked. They contain hashes of
    passwords, and the URIs of upstreams with their passwords.
    """
    with reported():
        from ...broker.bus.definitions import of_state  # noqa: PLC0415 - only when the command runs
        from ...broker.bus.desired import Secrets, desired  # noqa: PLC0415

        secrets = Secrets()
        state = desired(read(file), secrets)
        for warning in secrets.warnings:
            click.echo(f"Warning: {warning}", err=True)
        text = json.dumps(of_state(state), indent=2, ensure_ascii=False) + "\n"
        if output is None:
            click.echo(text, nl=False)
        else:
            replace(output, text)
