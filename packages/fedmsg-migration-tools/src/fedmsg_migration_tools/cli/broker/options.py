# SPDX-License-Identifier: MIT
"""What the commands of ``broker`` share: the file, how the management API is reached, and their exit codes."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ...broker.bus.shape import Bus
    from ...broker.changing.changes import Plan
    from ...management.client import Management, Server

__all__ = [
    "DIFFERENT",
    "BrokerCommand",
    "compared",
    "connect",
    "file_argument",
    "management_options",
    "read",
    "whole",
]

F = TypeVar("F", bound="Callable[..., Any]")

DIFFERENT = 2  # exit code: the broker is not what the file says
PASSWORD = "FEDMSG_MIGRATION_TOOLS_BROKER_PASSWORD"  # noqa: S105 - where it is

file_argument = click.argument(
    "file", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)


class BrokerCommand(click.Command):
    """A command whose exit code 2 means only that the broker differs: wrong usage is 1, as every error."""

    def make_context(self, *args: Any, **settings: Any) -> click.Context:
        """As click does."""
        try:
            return super().make_context(*args, **settings)
        except click.UsageError as error:
            error.exit_code = 1  # type: ignore[misc] # what click looks at
            raise


def management_options(command: F) -> F:
    """Where the management API is, and who asks."""
    for option in reversed(
        (
            click.option(
                "--management-url",
                metavar="URL",
                help="The broker's management API, without a password; default: what the file says under [broker], "
                "or else port 15672 of the hosts of amqp_url.",
            ),
            click.option("--user", metavar="NAME", help="An administrator; default: the user of amqp_url."),
            click.option(
                "--password-file",
                metavar="PATH",
                type=click.Path(dir_okay=False, path_type=Path),
                help=f"A file with the password; default: ${PASSWORD}, or else the password of amqp_url.",
            ),
        )
    ):
        command = option(command)
    return command


def read(file: Path) -> Bus:
    """The operator's file. Raises ``ToolsError``; what else is wrong in it, or doubtful, goes to standard error."""
    from ...broker.bus.loopholes import loopholes  # noqa: PLC0415 - only when a command runs

    bus = sound(file)
    for line in loopholes(bus):
        click.echo(f"Warning: {line}", err=True)
    return bus


def sound(file: Path) -> Bus:
    """The operator's file, without a word of what is doubtful in it. Raises ``ToolsError``."""
    from ...broker.bus.file import BadFile  # noqa: PLC0415 - only when a command runs
    from ...broker.bus.file import read as read_file  # noqa: PLC0415
    from ...exceptions import ToolsError  # noqa: PLC0415

    try:
        return read_file(file)
    except BadFile as error:
        for line in error.problems[:-1]:
            click.echo(f"Error: {line}", err=True)
        raise ToolsError(error.problems[-1]) from error


def connect(
    bus: Bus | None, conf_path: str | None, url: str | None, user: str | None, password_file: Path | None
) -> Management:
    """The management API, as the options say, or the file, or the library's settings.

    Raises:
        ToolsError: these do not say who we are, or cannot be used.
    """
    from fedora_messaging.config import conf  # noqa: PLC0415
    from fedora_messaging.exceptions import ConfigurationException  # noqa: PLC0415

    from ...exceptions import ToolsError  # noqa: PLC0415
    from ...management.client import Management  # noqa: PLC0415
    from ..running import load  # noqa: PLC0415

    try:
        load(conf_path, logging=False)
        places = [_as(one, user, password_file) for one in _places(dict(conf.copy()), bus, url)]
    except (ConfigurationException, click.ClickException) as error:
        raise ToolsError(
            error.format_message() if isinstance(error, click.ClickException) else error
        ) from error
    return Management(places)


def _places(conf: dict[str, Any], bus: Bus | None, url: str | None) -> list[Server]:
    from ...exceptions import ToolsError  # noqa: PLC0415
    from ...management.server import servers  # noqa: PLC0415

    urls = [url] if url else list(bus.broker.management_urls) if bus else []
    if bus and bus.broker.ca_cert:
        conf["tls"] = {**(conf.get("tls") or {}), "ca_cert": str(bus.broker.ca_cert)}
    for one in urls:
        if ":" in one.partition("://")[2].partition("/")[0].rpartition("@")[0]:
            raise ToolsError(
                f"A password in a URL is seen by all: leave it away from --management-url, and give --password-file "
                f"or ${PASSWORD}"
            )
    return [place for one in urls for place in servers(conf, one)] if urls else servers(conf)


def _as(place: Server, user: str | None, password_file: Path | None) -> Server:
    """With the name and the password that are given."""
    from ...exceptions import ToolsError  # noqa: PLC0415

    password = _password(password_file)
    name = user or place.user
    if password is None and name == place.user:
        password = place.password
    if not password:
        raise ToolsError(f"No password for the user {name}: give --password-file, or set ${PASSWORD}")
    return dataclasses.replace(place, user=name, password=password)


def _password(file: Path | None) -> str | None:
    from ...exceptions import ToolsError  # noqa: PLC0415

    if file is None:
        return os.environ.get(PASSWORD) or None
    try:
        text = file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ToolsError(f"The password in {file} cannot be read: {why}") from error
    if not text:
        raise ToolsError(f"The password file {file} is empty")
    return text


@contextlib.contextmanager
def whole() -> Iterator[None]:
    """What a signal ends has not been done, and says so: its exit code is that of an error."""
    from ...exceptions import ToolsError  # noqa: PLC0415

    try:
        yield
    except KeyboardInterrupt as error:
        raise ToolsError(
            "It was told to end before it was done: run it again, it goes on from there"
        ) from error


def compared(bus: Bus, management: Management) -> Plan:
    """What differs between the file and the broker, now. Raises ``ToolsError``."""
    from ...broker.bus.desired import Secrets, desired  # noqa: PLC0415
    from ...broker.changing.aside import of_bus  # noqa: PLC0415
    from ...broker.changing.live import facts, live  # noqa: PLC0415
    from ...broker.changing.plan import plan  # noqa: PLC0415

    secrets = Secrets()
    wanted = desired(bus, secrets)
    for warning in secrets.warnings:
        click.echo(f"Warning: {warning}", err=True)
    return plan(wanted, live(management), of_bus(bus), facts(management))
