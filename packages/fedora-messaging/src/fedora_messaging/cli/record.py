# SPDX-License-Identifier: MIT
"""``fedora-messaging record``: messages from a queue into a file, one JSON object a line."""

from __future__ import annotations

import contextlib
import itertools
import sys
from typing import IO, TYPE_CHECKING, Any

import click

from ..exceptions import HaltConsumer
from . import consuming, settings
from .failures import USAGE, Failure, count

if TYPE_CHECKING:
    from ..message import Message


class Recorder:
    """Writes each message it is called with; halts after ``limit``, if there is one."""

    def __init__(self, file: IO[str], limit: int | None, bar: Any) -> None:
        self._file = file
        self._limit = limit
        self._bar = bar
        self.count = 0

    def __call__(self, message: Message) -> None:
        """One line, on disk before the message is acknowledged as far as this process can see to it."""
        from ..message import dumps  # noqa: PLC0415 - only when a command runs

        self._file.write(dumps(message))
        self._file.flush()
        self.count += 1
        self._bar.update(1)
        if self.count == self._limit:
            raise HaltConsumer


@click.command()
@settings.queue_options
@click.option("--limit", metavar="N", type=click.IntRange(min=1), help="End after N messages.")
@click.argument("file", type=click.Path(dir_okay=False))
@click.pass_obj
def record(conf_path: str | None, queues: settings.Queues, limit: int | None, file: str) -> None:
    """Write messages from a queue to a file.

    One JSON object a line, until Ctrl-C, or until there are as many as --limit says; "publish" publishes such a
    file. What the file held before is gone. "-" is standard output.
    """
    with consuming.until_told_to_end():
        conf = settings.load(conf_path, logging=file != "-")  # the usual log goes there, too
        selection = queues.apply(conf)
        with contextlib.ExitStack() as stack:
            out = stack.enter_context(_opened(file))
            bar = stack.enter_context(_bar(limit))
            recorder = Recorder(out, limit, bar)
            consuming.run(recorder, *selection)
        click.echo(f"Recorded {count(recorder.count, 'message')} to {file}", err=True)


def _opened(path: str) -> contextlib.AbstractContextManager[IO[str]]:
    try:
        return click.open_file(path, "w", encoding="utf-8")
    except OSError as error:
        raise Failure(f"cannot write {path}: {error.strerror}", USAGE) from error


def _bar(limit: int | None) -> Any:
    """The progress bar, on standard error: standard output may be the file."""
    endless = itertools.count() if limit is None else None
    return click.progressbar(
        endless,
        length=limit,
        label="Recorded",
        show_pos=True,
        show_percent=False,
        show_eta=False,
        file=sys.stderr,
    )
