# SPDX-License-Identifier: MIT
"""``fedmsg-migration-tools amqp_to_zmq``. What bridging means is in :mod:`..bridges.amqp_to_zmq`."""

from __future__ import annotations

import click

from .running import amqp_url_option, given, load, monitoring_options, reported


@click.command("amqp_to_zmq")
@click.option(
    "--publish-endpoint",
    metavar="ENDPOINT",
    multiple=True,
    help="Publish here; default: tcp://*:9940. May be repeated.",
)
@click.option(
    "--remote-publish",
    is_flag=True,
    default=None,
    help="Connect to these endpoints instead of binding them.",
)
@click.option(
    "--topic",
    metavar="PATTERN",
    multiple=True,
    help='Bridge these topics, "*" for a word and "#" for any number; default: all. May be repeated.',
)
@click.option("--exchange", metavar="NAME", help="Take from this exchange; default: amq.topic.")
@click.option(
    "--queue-name", metavar="NAME", help="The durable queue in which messages wait; default: amqp_to_zmq."
)
@click.option(
    "--replay-endpoint",
    metavar="ENDPOINT",
    help="Keep what was published, and answer here to subscribers that missed something; default: off.",
)
@click.option(
    "--name", metavar="NAME", help="What this bridge marks its messages with; default: the host's name."
)
@monitoring_options
@amqp_url_option
@click.pass_obj
def amqp_to_zmq(
    conf_path: str | None,
    publish_endpoint: tuple[str, ...],
    remote_publish: bool | None,
    topic: tuple[str, ...],
    exchange: str | None,
    queue_name: str | None,
    replay_endpoint: str | None,
    name: str | None,
    monitoring_port: int | None,
    monitoring_address: str | None,
    amqp_url: str | None,
) -> None:
    """Publish over ZeroMQ what comes over AMQP.

    From a durable queue of its own, until Ctrl-C or SIGTERM: then what was acknowledged is on the wire, and the rest
    waits in the queue. Options replace what the configuration says in [amqp_to_zmq].
    """
    with reported():
        options = given(
            publish_endpoint=publish_endpoint,
            remote_publish=remote_publish,
            topics=topic,
            exchange=exchange,
            queue=queue_name,
            replay__endpoint=replay_endpoint,
            name=name,
            monitoring__port=monitoring_port,
            monitoring__address=monitoring_address,
        )
        config = load(conf_path, {"amqp_to_zmq": options})
        from ..bridges.amqp_to_zmq import run  # noqa: PLC0415 - only when the command runs

        run(config, amqp_url=amqp_url or config.amqp_url)
