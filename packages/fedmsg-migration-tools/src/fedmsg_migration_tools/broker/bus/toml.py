# SPDX-License-Identifier: MIT
"""Tables written as TOML 1.0 that people like to read. Pure; the standard library only reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .places import at, key, string

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["dotted", "header", "value"]

WIDTH = 100  # characters in a line, about


def header(*path: str) -> str:
    """The line that begins a table."""
    return f"[{at('', *path)}]"


def dotted(table: Mapping[str, Any], depths: Mapping[str, int]) -> Iterator[str]:
    """The keys of a table with their values.

    Arguments:
        table: no table of its own header is in it.
        depths: key → how many levels of the tables below it are written as ``key.inner = …``, not in braces.
    """
    for name, inner in table.items():
        yield from _lines(key(name), inner, depths.get(name, 0))


def _lines(name: str, inner: Any, depth: int) -> Iterator[str]:
    if depth and isinstance(inner, dict) and inner:
        for one, below in inner.items():
            yield from _lines(f"{name}.{key(one)}", below, depth - 1)
        return
    line = f"{name} = {value(inner)}"
    if len(line) > WIDTH and isinstance(inner, list):
        line = "\n".join([f"{name} = [", *[f"  {value(one)}," for one in inner], "]"])
    yield line


def value(given: Any) -> str:
    """A value on one line.

    Raises:
        TypeError: TOML has no such value: JSON's ``null``, for one.
    """
    if isinstance(given, bool):
        return "true" if given else "false"
    if isinstance(given, str):
        return string(given)
    if isinstance(given, int | float):
        return repr(given)
    if isinstance(given, list | tuple):
        return f"[{', '.join(map(value, given))}]"
    if isinstance(given, dict):
        inner = ", ".join(f"{key(name)} = {value(one)}" for name, one in given.items())
        return f"{{ {inner} }}" if inner else "{}"
    raise TypeError(f"TOML has no value for {given!r}")
