# SPDX-License-Identifier: MIT
"""``fedora-messaging consume``. What consuming means is in :mod:`.consuming`, and in the library."""

from __future__ import annotations

import logging

import click

from . import callback as callbacks
from . import consuming, settings

_log = logging.getLogger("fedora_messaging.cli")


@click.command()
@settings.queue_options
@settings.callback_options
@click.pass_obj
def consume(conf_path: str | None, queues: settings.Queues, callback: settings.Callback) -> None:
    """Call a Python function with each message from a queue.

    One message at a time, until Ctrl-C or SIGTERM: then the message in hand is finished first. A message is
    acknowledged when the function returns. The exit code is what the function asks for by HaltConsumer; 10: the
    broker refused a declaration, 11: unexpected error, 12: cancelled by the broker, 13: the function raised,
    14: no connection, 15: no permission, 2: wrong usage.
    """
    with consuming.until_told_to_end():
        conf = settings.load(conf_path)
        target = callbacks.load(callback, conf)
        _log.info("Consuming with the callback %s", callback.file or callback.module or conf["callback"])
        consuming.run(target, *queues.apply(conf))
