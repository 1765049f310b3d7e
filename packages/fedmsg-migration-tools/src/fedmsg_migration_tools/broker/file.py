# SPDX-License-Identifier: MIT
"""The operator's file, ``bus.toml``, read into the structs of :mod:`.shape`; all that is wrong with it is told at once.

First each table on its own (keys, types, bounds), so that an error can name it; then, if they all fit, what one table
says of another, which is :mod:`.rules`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin

import msgspec

from fedora_messaging.config import parse
from fedora_messaging.exceptions import ConfigurationException
from fedora_messaging.settings import fit

from ..exceptions import ToolsError
from . import rules
from .places import at
from .shape import Bus

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

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
    problems: list[str] = []
    _fit(dict(tables), Bus, "", _paths(folder or Path()), problems)
    if problems:
        raise BadFile(problems)
    bus: Bus = fit(tables, Bus, "", _paths(folder or Path()))
    problems = list(rules.broken(bus))
    if problems:
        raise BadFile(problems)
    return bus


def _fit(value: Any, shape: Any, place: str, hook: Callable[[type, Any], Any], problems: list[str]) -> None:
    """See that a table fits, and each table in it on its own: msgspec stops at the first, and names no keys of ours."""
    if not isinstance(value, dict) or not _is_struct(shape):
        _try(value, shape, place, hook, problems)
        return
    own = dict(value)
    for field in msgspec.structs.fields(shape):
        if not isinstance(inner := value.get(field.encode_name), dict | list):
            continue
        if _is_struct(field.type):
            parts = [(inner, at(place, field.name))]
        elif get_origin(field.type) is dict and isinstance(inner, dict) and _is_struct(_last(field.type)):
            parts = [(one, at(place, field.name, name)) for name, one in inner.items()]
            _try(
                dict.fromkeys(inner, {}), dict[_first(field.type), Any], at(place, field.name), hook, problems
            )
        elif _is_struct(_first(field.type)) and isinstance(inner, list):
            parts = [(one, f"{at(place, field.name)}[{number}]") for number, one in enumerate(inner)]
        else:
            continue
        del own[field.encode_name]
        kind = field.type if _is_struct(field.type) else _inner(field.type)
        for one, where in parts:
            _fit(one, kind, where, hook, problems)
    _try(own, shape, place, hook, problems)


def _try(value: Any, shape: Any, place: str, hook: Callable[[type, Any], Any], problems: list[str]) -> None:
    try:
        fit(value, shape, place, hook)
    except ConfigurationException as exc:
        problems.append(exc.message)


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _first(kind: Any) -> Any:
    return next(iter(get_args(kind)), None)


def _last(kind: Any) -> Any:
    return get_args(kind)[-1]


def _inner(kind: Any) -> Any:
    return _last(kind) if get_origin(kind) is dict else _first(kind)


def _paths(folder: Path) -> Callable[[type, Any], Any]:
    def hook(wanted: type, value: Any) -> Any:
        if not isinstance(value, str):
            raise TypeError(f"Expected `str`, got `{_KINDS.get(type(value), 'object')}`")
        if not value:
            raise ValueError("a path is wanted here; leave the key out for none")
        return folder / value

    return hook
