# SPDX-License-Identifier: MIT
"""The operator's file, ``bus.toml``, read into the structs of :mod:`.shape`; all that is wrong with it is told at once.

First each table on its own (keys, types, bounds), so that an error can name it; then, if they all fit, what one table
says of another, which is :mod:`.rules`.
"""

from __future__ import annotations

import math
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, get_args, get_origin

import msgspec

from fedora_messaging.config import parse
from fedora_messaging.exceptions import ConfigurationException
from fedora_messaging.settings import fit

from ...exceptions import ToolsError
from . import arguments, rules
from .places import at
from .shape import Bus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    _Hook = Callable[[type, Any], Any]

__all__ = ["BadFile", "check", "read"]

_KINDS: dict[type, str] = {bool: "bool", int: "int", float: "float", list: "array", dict: "object"}


class BadFile(ToolsError):
    """The file has mistakes.

    Attributes:
        problems: one line each, with file and place.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        super().__init__(problems[0] + more)
        self.problems = tuple(problems)


def read(path: Path) -> Bus:
    """What a file says. Paths in it are relative to its folder.

    Raises:
        BadFile: it is not there, is no TOML, or has mistakes.
    """
    if not path.is_file():
        raise BadFile([f"{path}: there is no such file"])
    try:
        tables = parse(str(path))
    except ConfigurationException as exc:
        raise BadFile([exc.message]) from exc
    try:
        return check(tables, path.parent)
    except BadFile as exc:
        raise BadFile([f"{path}: {problem}" for problem in exc.problems]) from exc


def check(tables: Mapping[str, Any], folder: Path | None = None) -> Bus:
    """Tables, as TOML has them, as a bus.

    Arguments:
        tables: of the whole file.
        folder: to which paths are relative; the current one if None.

    Raises:
        BadFile: they have mistakes.
    """
    hook = _paths(folder or Path())
    problems = list(_misfits(dict(tables), Bus, "", hook))
    if not problems:
        bus: Bus = fit(tables, Bus, "", hook)
        problems = list(rules.broken(bus))
    if problems:
        raise BadFile(problems)
    return _placed(bus, folder or Path())


def _placed(bus: Bus, folder: Path) -> Bus:
    """With the paths in parameters relative to the file's folder: these have no type that says so."""
    vhosts = {}
    for name, vhost in bus.vhosts.items():
        parameters = {
            component: {one: _in_folder(value, folder) for one, value in entries.items()}
            for component, entries in vhost.parameters.items()
        }
        vhosts[name] = msgspec.structs.replace(vhost, parameters=parameters)
    return msgspec.structs.replace(bus, vhosts=vhosts)


def _in_folder(value: Any, folder: Path) -> Any:
    if not isinstance(value, dict):
        return value
    return {key: str(folder / one) if _is_path(key) else one for key, one in value.items()}


def _is_path(key: str) -> bool:
    found = arguments.pointer(key)
    return found is not None and found[1] == "file"


def _misfits(value: Any, kind: Any, place: str, hook: _Hook) -> Iterator[str]:
    """What does not fit. Each table is tried on its own: msgspec stops at the first, and does not know our names."""
    if kind is Any:
        yield from _unsayable(value, place)
        return
    struct = _struct(kind)
    if struct is not None and isinstance(value, dict):
        value = dict(value)
        for field in msgspec.structs.fields(struct):
            parts = _parts(value.get(field.encode_name), field.type, at(place, field.encode_name))
            if parts is not None:
                if field.required:
                    value[field.encode_name] = {}  # what is in it is looked at on its own
                else:
                    del value[field.encode_name]
                yield from _all_misfits(parts, hook)
    elif struct is None and (parts := _parts(value, kind, place)) is not None:
        yield from _all_misfits(parts, hook)
        return
    try:
        fit(value, kind, place, hook)
    except ConfigurationException as exc:
        yield exc.message


def _all_misfits(parts: Iterable[tuple[Any, Any, str]], hook: _Hook) -> Iterator[str]:
    for value, kind, place in parts:
        yield from _misfits(value, kind, place, hook)


def _unsayable(value: Any, place: str) -> Iterator[str]:
    """What TOML has and RabbitMQ's JSON has not."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _unsayable(one, at(place, key))
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from _unsayable(one, f"{place}[{number}]")
    elif isinstance(value, str | bool):
        pass
    elif not isinstance(value, int | float) or not math.isfinite(value):
        yield f"{place} is {value}, which RabbitMQ has no value for; write text, a number, true or false"
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        yield f"{place} is {value}; RabbitMQ's numbers have 64 bits"


def _parts(value: Any, kind: Any, place: str) -> list[tuple[Any, Any, str]] | None:
    """The tables of which a value is made, each with its type and place; None if it is one piece."""
    if isinstance(value, dict):
        if _struct(kind) is not None:
            return [(value, kind, place)]
        if get_origin(kind) is dict:
            of_keys, of_values = get_args(kind)
            keys = [(key, of_keys, f"the key {at(place, key)}") for key in value]
            return keys + [(one, of_values, at(place, key)) for key, one in value.items()]
    if isinstance(value, list) and get_args(kind) and _struct(get_args(kind)[0]) is not None:
        return [(one, get_args(kind)[0], f"{place}[{number}]") for number, one in enumerate(value)]
    return None


def _struct(kind: Any) -> type[msgspec.Struct] | None:
    """The Struct that a type is, or may be; not one that it only contains."""
    kinds = (kind,) if get_origin(kind) is None else get_args(kind) if get_origin(kind) is UnionType else ()
    return next((one for one in kinds if isinstance(one, type) and issubclass(one, msgspec.Struct)), None)


def _paths(folder: Path) -> _Hook:
    def hook(_wanted: type, value: Any) -> Any:
        if not isinstance(value, str):
            raise TypeError(f"Expected `str`, got `{_KINDS.get(type(value), 'object')}`")
        if not value:
            raise ValueError("a path is wanted here; leave the key out for none")
        return folder / value

    return hook
