# SPDX-License-Identifier: MIT
"""``fedora-messaging broker``: a private RabbitMQ node that runs until Ctrl-C. The node itself is not made here."""

from __future__ import annotations

import shlex
import signal
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pathlib import Path

    from ..private_node import PrivateNode

INTERNAL = {"amqp", "management", "dist", "epmd"}


@click.command()
@click.option(
    "--data",
    type=click.Path(file_okay=False),
    help="Keep the data in this folder, and use what is there. Default: a temporary one, deleted at the end.",
)
@click.option("--port", type=click.IntRange(1, 65535), help="Port for AMQP. Default: a free one.")
@click.option(
    "--management-port",
    type=click.IntRange(1, 65535),
    help="Port for the management page. Default: a free one.",
)
@click.option(
    "--plugin",
    "plugins",
    metavar="NAME",
    multiple=True,
    help="Enable this RabbitMQ plugin too. May be repeated.",
)
def broker(
    data: Path | None, port: int | None, management_port: int | None, plugins: tuple[str, ...]
) -> None:
    """Run a RabbitMQ of your own on 127.0.0.1 until Ctrl-C.

    It needs no root, and does not touch a RabbitMQ that the system may run.
    """
    from ..exceptions import NodeError  # noqa: PLC0415 - other commands do not need it
    from ..private_node import PrivateNode  # noqa: PLC0415

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with PrivateNode(
            data,
            plugins=dict.fromkeys(("rabbitmq_management", *plugins)),
            ports={"amqp": port or 0, "management": management_port or 0},
        ) as node:
            announce(node, kept=data is not None)
            node.wait()
            ending = node.log()
    except KeyboardInterrupt:
        return
    except NodeError as error:
        raise click.ClickException(str(error)) from error
    raise click.ClickException(f"The broker ended by itself.\n{ending}")


def announce(node: PrivateNode, *, kept: bool) -> None:
    """Print where the node is, and how to use it: the only place that shows the password."""
    from ..private_node.login import write_privately  # noqa: PLC0415 - see above

    click.echo(f"AMQP:        {node.amqp_url}")
    click.echo(f"Management:  {node.management_url} (user {node.user}, password as above)")
    for name in sorted(node.ports.keys() - INTERNAL):
        click.echo(f"{name + ':':<12} 127.0.0.1:{node.ports[name]}")
    click.echo(f"Folder:      {node.folder}{'' if kept else ' (deleted at the end)'}")
    configuration = node.folder / "fedora-messaging.toml"
    write_privately(configuration, f'amqp_url = "{node.amqp_url}"\n')
    click.echo(f"To use it:   export FEDORA_MESSAGING_CONF={shlex.quote(str(configuration))}")
    click.echo("Ctrl-C ends it.")
