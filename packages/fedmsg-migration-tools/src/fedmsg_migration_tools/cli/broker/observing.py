# SPDX-License-Identifier: MIT
"""What ``policy`` and ``shadow`` have in common: where messages come from. No command is here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...broker.learning.messages import Sent

__all__ = ["Sources", "exchange_option", "options"]

F = TypeVar("F", bound="Callable[..., Any]")

_SECONDS = 60.0

exchange_option = click.option(
    "--exchange",
    metavar="NAME",
    default="amq.topic",
    show_default=True,
    help="The exchange that applications publish to, where a recording does not say it.",
)


def options(command: F) -> F:
    """Those by which :class:`Sources` are made."""
    for option in (
        click.option(
            "--topics",
            metavar="PATTERN",
            multiple=True,
            help="Look only at topics that this matches, such as org.fedoraproject.prod.#. May be repeated.",
        ),
        click.option(
            "--ca",
            metavar="FILE",
            multiple=True,
            type=click.Path(dir_okay=False, path_type=Path),
            help="Check signatures by these CA certificates, as they were when the message was sent. May be repeated.",
        ),
        click.option(
            "--seconds",
            metavar="N",
            type=click.FloatRange(min=0, min_open=True, max=10_000_000),
            default=_SECONDS,
            show_default=True,
            help="How long to listen to --zmq-endpoint; Ctrl-C ends it sooner.",
        ),
        click.option(
            "--zmq-endpoint",
            metavar="ENDPOINT",
            multiple=True,
            help="Listen to this publisher of the old bus; or a file or folder that lists them in fedmsg's format. "
            "May be repeated.",
        ),
    ):
        command = option(command)
    return command


@dataclass(frozen=True)
class Sources:
    """Recordings, and publishers to listen to.

    Attributes:
        files: the recordings.
        endpoints: of publishers, or what lists them.
        seconds: how long to listen.
        ca: CA certificates, to check signatures by; empty: they are not checked.
        topics: patterns; empty: all topics.
    """

    files: tuple[str, ...]
    endpoints: tuple[str, ...]
    seconds: float
    ca: tuple[Path, ...]
    topics: tuple[str, ...]

    def hear(self, hear: Callable[[Sent], object]) -> list[str]:
        """Call ``hear`` with each message; returns what could not be read or heard, a line each.

        Raises ``ToolsError``.
        """
        from fedora_messaging.topics import Bindings  # noqa: PLC0415 - only when a command runs

        from ...broker.learning import publishers, recordings  # noqa: PLC0415
        from ...broker.learning.messages import Reader  # noqa: PLC0415

        wanted: Bindings[None] = Bindings()
        for pattern in self.topics or ("#",):
            wanted.add(pattern, None)

        def chosen(sent: Sent) -> None:
            if wanted.match(sent.topic):
                hear(sent)

        reader = Reader(publishers.verified(self.ca) if self.ca else publishers.unverified)
        notes = recordings.Notes()
        for file in self.files:
            for sent in recordings.read(file, reader, notes):
                chosen(sent)
        return [*self._listen(reader, notes, chosen), *notes.lines()]

    def _listen(self, reader: Any, notes: Any, hear: Callable[[Sent], object]) -> list[str]:
        if not self.endpoints:
            return []
        from fedora_messaging.cli.consuming import until_told_to_end  # noqa: PLC0415

        from ... import endpoints  # noqa: PLC0415
        from ...broker.learning.listening import listen  # noqa: PLC0415
        from ...broker.learning.wording import count  # noqa: PLC0415
        from ...exceptions import ToolsError  # noqa: PLC0415

        listed = endpoints.read(self.endpoints)
        click.echo(f"Listening to {count(len(listed), 'publisher')} for {self.seconds:g} s", err=True)
        reached: set[str] = set()
        with until_told_to_end():
            listen(listed, self.seconds, reader, notes, hear, reached)
        if not reached:
            raise ToolsError(f"none of the publishers could be reached: {', '.join(listed[:5])}")
        silent = [endpoint for endpoint in listed if endpoint not in reached]
        return [f"{endpoint}: could not be reached; nothing was heard of it" for endpoint in silent]
