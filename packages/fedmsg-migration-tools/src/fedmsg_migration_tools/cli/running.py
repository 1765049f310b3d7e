# SPDX-License-Identifier: MIT
"""What every command does around its work: options that they share, configuration, logging, exit codes.

The exit codes are the library's (``docs/reference/exit-codes.md``): 0 after SIGINT and SIGTERM, 2 for wrong usage or
configuration, 1 for what the operator has to mend elsewhere, 10 to 15 and 111, 121 for what the broker says.
"""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Any, TypeVar

import click

from fedora_messaging.cli.consuming import until_told_to_end
from fedora_messaging.cli.failures import UNEXPECTED, USAGE, Failure, code_of_publishing, of_consuming

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from fedora_messaging.config import LazyConfig

    from ..config import Config

F = TypeVar("F", bound="Callable[..., Any]")

_log = logging.getLogger("fedmsg_migration_tools.cli")

OTHER = 1  # what has no better code
_TOOLS = "fedmsg_migration_tools"

AMQP_URL = "FEDMSG_MIGRATION_TOOLS_AMQP_URL"


def without_password(ctx: click.Context, parameter: click.Parameter, url: str | None) -> str | None:
    """Command lines can be read by every user of the machine: says so, and goes on, since it is too late."""
    given = ctx.get_parameter_source(parameter.name or "") is click.core.ParameterSource.COMMANDLINE
    if given and url and ":" in url.partition("://")[2].rpartition("@")[0]:
        click.echo(
            f"Warning: every user of this machine can read the password in {parameter.opts[0]}: put the URL into "
            f"{f'${parameter.envvar}, or into ' if parameter.envvar else ''}the configuration",
            err=True,
        )
    return url


amqp_url_option = click.option(
    "--amqp-url",
    metavar="URL",
    envvar=AMQP_URL,
    callback=without_password,
    help="The broker, instead of the one in the configuration of fedora-messaging. A URL with a password belongs into "
    f"${AMQP_URL} or the configuration, where others cannot read it.",
)


def monitoring_options(command: F) -> F:
    """Where a bridge serves its pages."""
    command = click.option(
        "--monitoring-address", metavar="ADDRESS", help="Where these are served; default: every interface."
    )(command)
    return click.option(
        "--monitoring-port",
        metavar="N",
        type=click.IntRange(0, 65535),
        help="Serve /live, /ready and /metrics there.",
    )(command)


def given(**settings: Any) -> dict[str, Any]:
    """Those options that the command line has, as a table of the configuration; double underscores are levels."""
    table: dict[str, Any] = {}
    for name, value in settings.items():
        if value is None or value == ():
            continue
        *levels, last = name.split("__")
        inner = table
        for level in levels:
            inner = inner.setdefault(level, {})
        inner[last] = list(value) if isinstance(value, tuple) else value
    return table


def load(path: str | None, overrides: Mapping[str, Any] | None = None, *, logging: bool = True) -> Config:
    """Read both configurations, the tools' and the library's, and set up logging as they say, unless told not to.

    Raises ``Failure`` (2) with the line that says what is wrong.
    """
    from fedora_messaging.config import conf  # noqa: PLC0415 - only when a command runs
    from fedora_messaging.exceptions import ConfigurationException  # noqa: PLC0415

    from .. import config  # noqa: PLC0415

    try:
        loaded = config.load(path, overrides)
        conf.load_config()
        if logging:
            _set_up_logging(loaded, conf)
    except ConfigurationException as error:
        raise Failure(error, USAGE) from error
    return loaded


def _set_up_logging(config: Config, conf: LazyConfig) -> None:
    if config.log_config is not None:
        conf["log_config"] = {"disable_existing_loggers": False, **config.log_config}
    conf.setup_logging()
    tools = logging.getLogger(_TOOLS)
    if tools.level == logging.NOTSET:  # a configuration that was written for the library does not know us
        tools.setLevel(logging.INFO)


@contextlib.contextmanager
def reported() -> Iterator[None]:
    """SIGINT and SIGTERM end what is inside, in order; an error becomes one line and an exit code.

    Raises ``Failure``, and what click raises for wrong usage.
    """
    with until_told_to_end():
        try:
            yield
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except Exception as error:
            raise _failure(error) from error


def _failure(error: Exception) -> Failure:
    from fedora_messaging.exceptions import BaseException as LibraryError  # noqa: PLC0415
    from fedora_messaging.exceptions import PublishException  # noqa: PLC0415

    from ..exceptions import ToolsError  # noqa: PLC0415

    if isinstance(error, ToolsError):
        return Failure(error, OTHER)
    if isinstance(error, PublishException):
        return Failure(error, code_of_publishing(error))
    failure = of_consuming(error)
    if isinstance(error, LibraryError) and failure.unexpected:
        return Failure(error, OTHER)
    if failure.unexpected or isinstance(error, ValueError):
        _log.error("This should not have happened.", exc_info=error)
        return Failure(f"unexpected error, {type(error).__name__}: {error}", UNEXPECTED)
    return failure
