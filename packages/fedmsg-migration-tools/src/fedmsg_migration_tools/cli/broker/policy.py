# SPDX-License-Identifier: MIT
"""``fedmsg-migration-tools broker policy``. How it is proposed is in :mod:`...broker.learning`."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import click

from ..running import reported
from .observing import Sources, exchange_option, options

if TYPE_CHECKING:
    from pathlib import Path

_MOST_TOPICS = 20


@click.command("policy")
@click.option(
    "--from",
    "configurations",
    metavar="PATH",
    multiple=True,
    help="fedmsg's configuration, such as /etc/fedmsg.d: routing_policy, routing_nitpicky and certnames. It is read, "
    "not executed. May be repeated.",
)
@click.option(
    "--certificates",
    metavar="DIR",
    multiple=True,
    help="A folder with certificates (*.crt), such as /etc/pki/fedmsg. May be repeated.",
)
@click.option(
    "--observe",
    metavar="FILE",
    multiple=True,
    help="A recording to learn from: JSON lines of fedmsg's messages, of fedora-messaging record, of an archive "
    '(datagrepper) or of rabbitmq_tracing; "-" is standard input. May be repeated.',
)
@options
@exchange_option
@click.option("--vhost", metavar="NAME", default="/", show_default=True, help="The virtual host.")
@click.option(
    "--by",
    type=click.Choice(["certificate", "service"]),
    default="certificate",
    show_default=True,
    help="A user for each certificate, or one for all hosts of a service, which then need new certificates.",
)
@click.option(
    "--generalise-above",
    metavar="N",
    type=click.IntRange(min=0),
    default=_MOST_TOPICS,
    show_default=True,
    help="When a user publishes more than N topics of an application, and nobody else any of its, allow all of the "
    "application's; 0: never.",
)
@click.option("--signed-only", is_flag=True, help="Allow nothing of what nobody signed: only list it.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a part of bus.toml.")
def policy(
    configurations: tuple[str, ...],
    certificates: tuple[str, ...],
    observe: tuple[str, ...],
    zmq_endpoint: tuple[str, ...],
    seconds: float,
    ca: tuple[Path, ...],
    topics: tuple[str, ...],
    exchange: str,
    vhost: str,
    by: str,
    generalise_above: int,
    signed_only: bool,
    as_json: bool,
) -> None:
    """Propose users and topic permissions, from fedmsg's configuration or from traffic.

    Prints a part of bus.toml. In its comments: how often each topic was seen, and all that is not allowed, not
    proven, or not known. Read it; then try it by "shadow", with another recording.
    """
    with reported():
        if not (configurations or certificates or observe or zmq_endpoint):
            raise click.UsageError(
                "say what to learn from: --from, --certificates, --observe or --zmq-endpoint"
            )
        from ...broker.learning import fragment, oldbus  # noqa: PLC0415 - only when the command runs
        from ...broker.learning.proposing import Rules, propose  # noqa: PLC0415
        from ...broker.learning.traffic import Traffic  # noqa: PLC0415

        old = oldbus.read(configurations, certificates)
        traffic = Traffic(exchange)
        notes = old.notes + Sources(observe, zmq_endpoint, seconds, ca, topics).hear(traffic.add)
        rules = Rules(exchange, by == "service", generalise_above, signed_only)
        proposal = propose(old, traffic, rules)
        if as_json:
            counted = {"seen": traffic.messages, "left_out": traffic.left_out}
            click.echo(json.dumps(fragment.as_dict(proposal, notes, counted)))
        else:
            click.echo(
                fragment.text(proposal, old, traffic, vhost=vhost, notes=notes, now=time.time()), nl=False
            )
        for line in fragment.summary(proposal, old, traffic):
            click.echo(line, err=True)
        if proposal.refused or notes:
            click.echo(
                f"not allowed: {len(proposal.refused)}, not learned: {len(notes)}; see its comments", err=True
            )
