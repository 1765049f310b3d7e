# SPDX-License-Identifier: MIT
"""From the command line's options to the configuration that a command works with. No broker here."""

from __future__ import annotations

import copy
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from ..exceptions import ConfigurationException
from .failures import USAGE, Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..config import LazyConfig


def load(path: str | None, *, logging: bool = True) -> LazyConfig:
    """Read the configuration, from ``path`` if the command line gave one, and set up logging as it says.

    Raises ``Failure`` (2) with the line that says what is wrong in it.
    """
    from ..config import conf  # noqa: PLC0415 - only when a command runs

    if path is not None:
        check_file(path)
    try:
        conf.load_config(path)
        if logging:
            conf.setup_logging()
    except ConfigurationException as error:
        raise Failure(error, USAGE) from error
    return conf


def check_file(path: str) -> None:
    """A file that is named must be there, whereas a default one need not. Raises ``Failure`` (2)."""
    import os.path  # noqa: PLC0415

    if not os.path.isfile(path):  # noqa: PTH113 - pathlib costs more than all else here
        raise Failure(f"--conf: {path} is not a file", USAGE)


@dataclass(frozen=True)
class Queues:
    """What the command line says of the queues to consume; None and ``()`` leave it to the configuration."""

    exchange: str | None = None
    queue_name: str | None = None
    routing_key: Sequence[str] = ()
    app_name: str | None = None

    def apply(self, conf: Mapping[str, Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """The bindings and queues that the configuration and the options ask for together.

        An exchange or topics replace those of every binding. A queue that the configuration knows keeps its
        settings and its bindings (if it has none, exchange or topics make one); one that it does not know gets
        the default settings, and all bindings. The application's name is set in ``conf``.
        """
        from ..config import DEFAULTS  # noqa: PLC0415 - only when a command runs

        if self.app_name is not None:
            conf["client_properties"]["app"] = self.app_name
        queues: dict[str, Any] = copy.deepcopy(dict(conf["queues"]))
        bindings: list[dict[str, Any]] = copy.deepcopy(list(conf["bindings"] or []))
        if (name := self.queue_name) is not None:
            if name in queues:
                bindings = [one for one in bindings if one.get("queue", name) == name]
                if not bindings and (self.exchange is not None or self.routing_key):
                    bindings = copy.deepcopy(DEFAULTS["bindings"])
            queues = {name: queues.get(name, copy.deepcopy(DEFAULTS["queues"][""]))}
            bindings = [{**one, "queue": name} for one in bindings]
        for binding in bindings:
            if self.exchange is not None:
                binding["exchange"] = self.exchange
            if self.routing_key:
                binding["routing_keys"] = list(self.routing_key)
        return bindings, queues


def queue_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of each command that consumes; the command gets them as ``queues``, a :class:`Queues`."""

    @functools.wraps(command)
    def gathered(
        *args: Any, exchange: Any, queue_name: Any, routing_key: Any, app_name: Any, **others: Any
    ) -> Any:
        return command(*args, queues=Queues(exchange, queue_name, routing_key, app_name), **others)

    return _with_options(
        gathered,
        click.option(
            "--app-name", metavar="NAME", help="How the connection is called on the broker's management page."
        ),
        click.option(
            "--routing-key",
            metavar="PATTERN",
            multiple=True,
            help="Bind the queue for these topics: words between dots, * for one word, # for any number. May be "
            "repeated. Default: as configured.",
        ),
        click.option(
            "--queue-name",
            metavar="NAME",
            help="Consume this queue only, with the settings that the configuration has for it; if it has none, "
            "the queue is transient and goes with its consumer.",
        ),
        click.option(
            "--exchange", metavar="NAME", help="Bind the queue to this exchange. Default: as configured."
        ),
    )


@dataclass(frozen=True)
class Callback:
    """What the command line says of the function to call; None leaves it to the configuration."""

    module: str | None = None
    file: str | None = None


def callback_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of each command that calls a function; it gets them as ``callback``, a :class:`Callback`."""

    @functools.wraps(command)
    def gathered(*args: Any, callback: Any, callback_file: Any, **others: Any) -> Any:
        return command(*args, callback=Callback(callback, callback_file), **others)

    return _with_options(
        gathered,
        click.option(
            "--callback-file",
            metavar="FILE:OBJ",
            help="The function or class to call with each message, from a Python file that need not be installed.",
        ),
        click.option(
            "--callback",
            metavar="MODULE:OBJ",
            help="The same, from an installed module. Default: the configuration's callback.",
        ),
    )


def _with_options(command: Callable[..., Any], *options: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(options):
        command = option(command)
    return command
