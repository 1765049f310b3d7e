# SPDX-License-Identifier: MIT
"""``fedora-messaging replay`` and ``reconsume``: one message from the archive (datagrepper)."""

from __future__ import annotations

import asyncio
import inspect
import logging
from typing import TYPE_CHECKING, Any

import click

from . import callback as callbacks
from . import consuming, settings
from .failures import Failure, code_of_publishing

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..message import Message

DATAGREPPER = "https://apps.fedoraproject.org/datagrepper"

_log = logging.getLogger("fedora_messaging.cli")

_url_option = click.option(
    "--datagrepper-url",
    metavar="URL",
    default=DATAGREPPER,
    show_default=True,
    help="Where the archive is.",
)


@click.command()
@_url_option
@click.argument("message_id")
@click.pass_obj
def replay(conf_path: str | None, datagrepper_url: str, message_id: str) -> None:
    """Publish a message from the archive again.

    Unchanged: id, topic, headers with the time it was first sent, severity, priority, body. It goes to the
    configured exchange. The exit codes are those of "publish".
    """
    from ..api import publish  # noqa: PLC0415 - only when a command runs
    from ..exceptions import BaseException as LibraryError  # noqa: PLC0415

    conf = settings.load(conf_path)
    message = fetch(datagrepper_url, message_id)
    message.topic = without_prefix(message.topic, conf["topic_prefix"])
    try:
        publish(message)
    except LibraryError as error:
        raise Failure(getattr(error, "summary", error), code_of_publishing(error)) from error
    click.echo(f"Published {message.id} with topic {message._encoded_routing_key}")  # noqa: SLF001 - our own class


@click.command()
@settings.callback_options
@_url_option
@click.argument("message_id")
@click.pass_obj
def reconsume(
    conf_path: str | None, callback: settings.Callback, datagrepper_url: str, message_id: str
) -> None:
    """Call a Python function with a message from the archive.

    For trying a consumer, or for a message that it acknowledged without doing its work. The exit code is 0, or
    what the function asks for by HaltConsumer, or 13 when it raised.
    """
    conf = settings.load(conf_path)
    target = callbacks.load(callback, conf)
    message = fetch(datagrepper_url, message_id)
    try:
        message.validate()
    except Exception as error:
        raise Failure(
            f"the message {message_id} breaks its schema: {getattr(error, 'message', error)}", 1
        ) from error
    _call(target, message)


def _call(target: Callable[[Message], Any], message: Message) -> None:
    from ..exceptions import Drop, HaltConsumer, Nack  # noqa: PLC0415 - only when a command runs

    watched = consuming.Watched(target)
    try:
        result = watched.function()(message)
        if inspect.iscoroutine(result):
            asyncio.run(result)
    except (Nack, Drop) as verdict:
        click.echo(f"The callback refused the message: {type(verdict).__name__}", err=True)
    except HaltConsumer as halt:
        consuming.end(halt)
    except Exception as error:
        raise watched.failure("") from error


def without_prefix(topic: str, prefix: str) -> str:
    """The archive has whole topics; publishing puts the prefix in front again."""
    return topic.removeprefix(f"{prefix}.") if prefix else topic


def fetch(url: str, message_id: str) -> Message:
    """The message of this id from the archive at ``url``. Raises ``Failure`` (1) saying why there is none."""
    from ..exceptions import ValidationError  # noqa: PLC0415 - only when a command runs
    from ..message import load_message  # noqa: PLC0415

    answer = _get(url, message_id)
    try:
        return load_message(answer)
    except ValidationError as error:
        raise Failure(f"the archive at {url} sent no message for {message_id}: {error.summary}", 1) from error


def _get(url: str, message_id: str) -> Any:
    from .. import datagrepper  # noqa: PLC0415 - only when a command runs

    if not url.startswith(("http://", "https://")):
        raise Failure(f"--datagrepper-url: {url} does not begin with http:// or https://", 2)
    try:
        return datagrepper.ask(url, message_id)
    except (datagrepper.NotArchived, datagrepper.Unreachable) as error:
        raise Failure(error, 1) from error
