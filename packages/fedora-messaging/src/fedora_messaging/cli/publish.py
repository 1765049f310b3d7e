# SPDX-License-Identifier: MIT
"""``fedora-messaging publish``: the messages of a file, in batches, each confirmed before the next is begun."""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

import click

from . import settings
from .failures import USAGE, Failure, code_of_publishing, count, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..exceptions import PublishIncomplete
    from ..message import Message

BATCH = 1000  # messages
BATCH_BYTES = 4 * 2**20  # whichever comes first, so that memory is bounded
REASONS = 10  # that are said


@dataclass(frozen=True)
class BadLine:
    """A line that holds no message, and why."""

    number: int
    reason: str


Numbered = tuple[int, "Message"]


@click.command()
@click.option("--exchange", metavar="NAME", help="Publish to this exchange. Default: as configured.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.pass_obj
def publish(conf_path: str | None, exchange: str | None, file: str) -> None:
    """Publish the messages of a file.

    One JSON object a line, as "record" writes them; "-" is standard input. They are published in order, and
    nothing after a line that holds no message, or after a batch of which one failed. The exit code is 0 when all
    were confirmed, 121 (EREMOTEIO) when the broker refused or returned one, 111 (ECONNREFUSED) when no confirm
    came in time, 2 for a line that holds no message, and 1 for anything else.
    """
    settings.load(conf_path)
    done = 0
    try:
        with _opened(file) as lines:
            for batch, bad in batches(lines):
                _publish(batch, exchange, done)
                done += len(batch)
                if bad is not None:
                    raise Failure(
                        f"line {bad.number} of {file} holds no message: {bad.reason}; "
                        f"{count(done, 'message')} before it published, nothing after it",
                        USAGE,
                    )
    except KeyboardInterrupt:
        raise Failure(f"interrupted; at least the first {count(done, 'message')} published", 1) from None
    click.echo(f"Published {count(done, 'message')}")


def _opened(path: str) -> IO[bytes]:
    try:
        file: IO[bytes] = click.open_file(path, "rb")
    except OSError as error:
        raise Failure(f"cannot read {path}: {error.strerror}", USAGE) from error
    return file


def batches(lines: Iterable[bytes]) -> Iterator[tuple[list[Numbered], BadLine | None]]:
    """(line number, message) in batches; the last one comes with the line that ended the reading, if one did."""
    batch: list[Numbered] = []
    size = 0
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        message = parse(number, line)
        if isinstance(message, BadLine):
            yield batch, message
            return
        batch.append((number, message))
        size += len(line)
        if len(batch) >= BATCH or size >= BATCH_BYTES:
            yield batch, None
            batch, size = [], 0
    yield batch, None


def parse(number: int, line: bytes) -> Message | BadLine:
    """The message that the line holds, fit to be published, or why there is none."""
    from ..exceptions import ValidationError  # noqa: PLC0415 - only when a command runs
    from ..message import loads  # noqa: PLC0415
    from ..wire import encode  # noqa: PLC0415

    try:
        message = loads(line)[0]
        encode(message, "")
    except ValidationError as error:
        return BadLine(number, one_line(error.summary))
    except UnicodeDecodeError as error:
        return BadLine(number, f"not UTF-8: {error.reason} at byte {error.start}")
    except Exception as error:  # noqa: BLE001 - the classes of other packages may raise what they like
        return BadLine(number, one_line(f"{type(error).__name__}: {error}"))
    return message


def _publish(batch: list[Numbered], exchange: str | None, before: int) -> None:
    from ..api import publish_many  # noqa: PLC0415 - only when a command runs
    from ..exceptions import PublishIncomplete  # noqa: PLC0415

    try:
        publish_many([message for _, message in batch], exchange)
    except PublishIncomplete as error:
        raise _incomplete(batch, error, before) from error


def _incomplete(batch: list[Numbered], error: PublishIncomplete, before: int) -> Failure:
    numbers = {id(message): number for number, message in batch}
    lines: dict[str, list[int]] = {}
    for message, reason in error.failures:
        lines.setdefault(str(reason), []).append(numbers[id(message)])
    said = [f"{ranges(where)}: {reason}" for reason, where in list(lines.items())[:REASONS]]
    if len(lines) > REASONS:
        rest = [number for where in list(lines.values())[REASONS:] for number in where]
        said.append(f"and {ranges(rest)} likewise")
    return Failure(
        f"{count(before + error.published, 'message')} published, {len(error.failures)} not, and nothing after line "
        f"{batch[-1][0]} was tried; {'; '.join(said)}",
        code_of_publishing(error.failures[0][1]),
    )


def ranges(numbers: list[int]) -> str:
    """Ascending line numbers, for people: ``lines 1-3, 7``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    text = ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
    return f"line {text}" if len(numbers) == 1 else f"lines {text}"
