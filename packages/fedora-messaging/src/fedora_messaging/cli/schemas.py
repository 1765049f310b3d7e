# SPDX-License-Identifier: MIT
"""``fedora-messaging schemas``: which message classes are installed, and whether a file's messages meet theirs."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from typing import IO, TYPE_CHECKING, Any

import click

from . import settings
from .failures import USAGE, Failure, count, one_line
from .publish import BadLine, parse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..registry import Declaration

SEVERITIES = {10: "debug", 20: "info", 30: "warning", 40: "error"}


@dataclass(frozen=True)
class Schema:
    """One declared message class. ``error`` says why it cannot be used; then the other facts are not known."""

    name: str
    package: str | None
    version: str | None
    topic: str | None = None
    severity: int | None = None
    deprecated: bool | None = None
    error: str | None = None


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True), required=False)
@click.pass_obj
def schemas(conf_path: str | None, as_json: bool, file: str | None) -> None:
    """List the installed message classes, or check a file of messages.

    A class that cannot be imported is listed with the reason. With FILE ("-": standard input), each line that
    holds no message, or one that breaks its schema, is named, and the exit code is 2 if there is one.
    """
    _be_silent()
    if file is None:
        _list(as_json)
    else:
        settings.load(conf_path, logging=False)
        _check(file, as_json)


def _be_silent() -> None:
    """What the library warns of is said here in words of its own."""
    logging.getLogger("fedora_messaging").addHandler(logging.NullHandler())
    logging.getLogger("fedora_messaging").propagate = False


def _list(as_json: bool) -> None:
    from ..registry import declarations  # noqa: PLC0415 - only when a command runs

    found = [look_at(one) for one in sorted(declarations(), key=lambda one: one.name)]
    if as_json:
        click.echo(json.dumps([asdict(one) for one in found], indent=2))
        return
    rows = [("NAME", "PACKAGE", "TOPIC", "SEVERITY", "DEPRECATED"), *(_row(one) for one in found)]
    for line in _aligned(rows):
        click.echo(line)


def look_at(declaration: Declaration) -> Schema:
    """Import the class, and say what it is."""
    from ..message import Message  # noqa: PLC0415 - only when a command runs

    dist = declaration.point.dist
    name, package, version = declaration.name, dist.name if dist else None, dist.version if dist else None
    try:
        cls = declaration.point.load()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a foreign package raises when imported
        return Schema(name, package, version, error=one_line(f"{type(error).__name__}: {error}"))
    if not (isinstance(cls, type) and issubclass(cls, Message)):
        return Schema(name, package, version, error=f"{declaration.point.value} is not a class of messages")
    topic, severity = (_constant(cls, attribute) for attribute in ("topic", "severity"))
    return Schema(name, package, version, topic, severity, bool(_constant(cls, "deprecated")))


def _constant(cls: type, attribute: str) -> Any:
    """What the class says; None when only an instance knows."""
    value = getattr(cls, attribute, None)
    return value if isinstance(value, str | int) else None


def _row(schema: Schema) -> tuple[str, ...]:
    package = f"{schema.package} {schema.version}" if schema.package else "-"
    if schema.error is not None:
        return schema.name, package, f"broken: {schema.error}"
    severity = SEVERITIES.get(schema.severity or 0, str(schema.severity))
    return schema.name, package, schema.topic or "-", severity, "yes" if schema.deprecated else "no"


def _aligned(rows: list[tuple[str, ...]]) -> Iterable[str]:
    """Columns as wide as they need; the last cell of a row may run over."""
    full = [row for row in rows if len(row) == len(rows[0])]
    widths = [max(len(row[column]) for row in full) for column in range(len(rows[0]))]
    for column in (0, 1):
        widths[column] = max(len(row[column]) for row in rows)
    return (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip()
        for row in rows
    )


def _check(path: str, as_json: bool) -> None:
    with _opened(path) as lines:
        good, bad, unknown = _sort(lines)
    if as_json:
        report = {"valid": good, "bad": [asdict(one) for one in bad], "unknown_schemas": unknown}
        click.echo(json.dumps(report, indent=2))
    else:
        for one in bad:
            click.echo(f"line {one.number}: {one.reason}")
        for name, number in unknown.items():
            click.echo(
                f"{count(number, 'message')} of the schema {name!r}, which is not installed: checked as plain"
            )
        click.echo(f"{count(good, 'valid message')}, {count(len(bad), 'bad line')}")
    if bad:
        raise click.exceptions.Exit(USAGE)


def _opened(path: str) -> IO[bytes]:
    try:
        file: IO[bytes] = click.open_file(path, "rb")
    except OSError as error:
        raise Failure(f"cannot read {path}: {error.strerror}", USAGE) from error
    return file


def _sort(lines: Iterable[bytes]) -> tuple[int, list[BadLine], dict[str, int]]:
    """How many lines hold valid messages, those that do not, and how many messages are of which unknown class."""
    from ..registry import find_class  # noqa: PLC0415 - only when a command runs

    good = 0
    bad: list[BadLine] = []
    unknown: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        message = parse(number, line)
        if isinstance(message, BadLine):
            bad.append(message)
            continue
        good += 1
        name = str(message._headers.get("fedora_messaging_schema"))  # noqa: SLF001 - our own class
        if find_class(name) is None:
            unknown[name] = unknown.get(name, 0) + 1
    return good, bad, unknown
