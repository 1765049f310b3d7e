# SPDX-License-Identifier: MIT
"""``fedmsg-migration-tools verify_missing``. What verifying means is in :mod:`..verify`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .running import amqp_url_option, given, load, monitoring_options, reported

if TYPE_CHECKING:
    from collections.abc import Callable

#: The exit code for what ``--fail-on`` names: what ``grep`` and ``diff`` do when they found something.
FOUND = 1

_ENDS = ("lost", "changed", "looped", "unwitnessed", "unverifiable")


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(
        (
            click.option(
                "--zmq-endpoint",
                metavar="ENDPOINT",
                multiple=True,
                help="Listen to this publisher, such as tcp://host:9940; or a file or folder that lists them in "
                "fedmsg's format. May be repeated.",
            ),
            click.option(
                "--bridge-endpoint",
                metavar="ENDPOINT",
                multiple=True,
                help="Listen to this socket of the bridge from AMQP; default: tcp://127.0.0.1:9940. May be repeated.",
            ),
            click.option("--listen", metavar="ADDRESS:PORT", help="Serve the page there; default: no page."),
            click.option("--store", metavar="PATH", help="The file in which findings are kept."),
            click.option(
                "--duration", metavar="SECONDS", type=click.FloatRange(min=0), help="End after that time."
            ),
            click.option(
                "--report",
                metavar="FILE",
                type=click.Path(dir_okay=False),
                help="At the end, write a page there.",
            ),
            click.option(
                "--fail-on",
                type=click.Choice(_ENDS),
                multiple=True,
                help="At the end, exit with 1 if there was any. May be repeated.",
            ),
            click.option("--repair", is_flag=True, default=None, help="Send again what was lost."),
            click.option("--dry-run", is_flag=True, default=None, help="Only say what --repair would send."),
        )
    ):
        command = option(command)
    return command


@click.command("verify_missing")
@_options
@monitoring_options
@amqp_url_option
@click.pass_context
def verify_missing(
    context: click.Context,
    zmq_endpoint: tuple[str, ...],
    bridge_endpoint: tuple[str, ...],
    listen: str | None,
    store: str | None,
    duration: float | None,
    report: str | None,
    fail_on: tuple[str, ...],
    repair: bool | None,
    dry_run: bool | None,
    monitoring_port: int | None,
    monitoring_address: str | None,
    amqp_url: str | None,
) -> None:
    """Say what the bridges lost, changed or doubled, and what cannot be known.

    Listens to all publishers, to the bridge's socket, and to both exchanges. Until Ctrl-C or SIGTERM; or for a
    time, with a report and an exit code, in a pipeline. Options replace what the configuration says in
    [verify_missing].
    """
    with reported():
        options = given(
            zmq_endpoints=zmq_endpoint,
            bridge_endpoints=bridge_endpoint,
            listen=listen,
            store=store,
            repair__enabled=repair,
            repair__dry_run=dry_run,
            monitoring__port=monitoring_port,
            monitoring__address=monitoring_address,
        )
        config = load(context.obj, {"verify_missing": options})
        if not config.verify_missing.zmq_endpoints:
            raise click.UsageError(
                "there is no ZeroMQ endpoint to listen to: name some by --zmq-endpoint, or by zmq_endpoints in the "
                "section [verify_missing] of the configuration"
            )
        from ..verify.service import run  # noqa: PLC0415 - only when the command runs

        found = run(config, amqp_url=amqp_url or config.amqp_url, duration=duration, report=report)
        missed = [f"{count} {kind}" for kind, count in found.items() if kind in fail_on and count]
        if missed:
            click.echo(f"Found: {', '.join(missed)}", err=True)
            context.exit(FOUND)
