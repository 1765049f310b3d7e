# SPDX-License-Identifier: MIT
"""``fedmsg-migration-tools zmq_to_amqp``. What bridging means is in :mod:`..bridges.zmq_to_amqp`."""

from __future__ import annotations

import click

from .running import amqp_url_option, given, load, monitoring_options, reported


@click.command("zmq_to_amqp")
@click.option(
    "--zmq-endpoint",
    metavar="ENDPOINT",
    multiple=True,
    help="Connect to this publisher, such as tcp://host:9940; or a file or folder that lists them in fedmsg's "
    "format, such as /etc/fedmsg.d. May be repeated.",
)
@click.option(
    "--topic",
    metavar="PREFIX",
    multiple=True,
    help="Bridge topics that begin so; default: all. May be repeated.",
)
@click.option("--exchange", metavar="NAME", help="Publish to this exchange; default: zmq.topic.")
@click.option(
    "--durable",
    is_flag=True,
    default=None,
    help="Write each message to the spool before it is published: then even SIGKILL loses none.",
)
@click.option("--spool", metavar="PATH", help="The file in which messages wait while the broker is away.")
@click.option(
    "--name", metavar="NAME", help="What this bridge marks its messages with; default: the host's name."
)
@monitoring_options
@amqp_url_option
@click.pass_obj
def zmq_to_amqp(
    conf_path: str | None,
    zmq_endpoint: tuple[str, ...],
    topic: tuple[str, ...],
    exchange: str | None,
    durable: bool | None,
    spool: str | None,
    name: str | None,
    monitoring_port: int | None,
    monitoring_address: str | None,
    amqp_url: str | None,
) -> None:
    """Publish over AMQP what comes over ZeroMQ.

    Until Ctrl-C or SIGTERM: then what is not confirmed is in the spool, with which the next start begins. Options
    replace what the configuration says in [zmq_to_amqp]. On SIGHUP endpoints are read again.
    """
    with reported():
        options = given(
            zmq_endpoints=zmq_endpoint,
            topics=topic,
            exchange=exchange,
            durable=durable,
            spool__path=spool,
            name=name,
            monitoring__port=monitoring_port,
            monitoring__address=monitoring_address,
        )
        overrides = {"zmq_to_amqp": options}
        config = load(conf_path, overrides)
        if not config.zmq_to_amqp.zmq_endpoints:
            raise click.UsageError(
                "there is no ZeroMQ endpoint to connect to: name some by --zmq-endpoint, or by zmq_endpoints in the "
                "section [zmq_to_amqp] of the configuration"
            )
        from .. import config as tools_config  # noqa: PLC0415 - only when the command runs
        from ..bridges.zmq_to_amqp import run  # noqa: PLC0415

        run(
            config,
            amqp_url=amqp_url or config.amqp_url,
            sources=lambda: tools_config.load(conf_path, overrides).zmq_to_amqp.zmq_endpoints,
        )
