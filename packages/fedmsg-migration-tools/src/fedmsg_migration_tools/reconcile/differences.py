# SPDX-License-Identifier: MIT
"""What differs between two JSON values, from what to what; as much of it as a person reads. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["difference"]

_MOST = 50  # differences
_LONG = 500  # characters of a value
_PATH = 300  # characters of a path
_DEEP = 40  # levels


def difference(a: Any, b: Any) -> list[dict[str, Any]]:
    """Where ``b`` is not as ``a``: at most 50 of ``{"path", "from", "to"}``, the values as JSON text.

    What is missing on one side is null there, which is no JSON text. Long values are cut.
    """
    found: list[dict[str, Any]] = []
    for path, one, other in _differences(a, b, "", 0):
        if len(found) == _MOST:
            found.append({"path": "…", "from": "more", "to": "more"})
            break
        found.append({"path": _cut(path, _PATH), "from": _shown(one), "to": _shown(other)})
    return found


class _Missing:
    """Not there, which is not null."""


def _differences(a: Any, b: Any, path: str, depth: int) -> Iterator[tuple[str, Any, Any]]:
    if depth < _DEEP and type(a) is dict and type(b) is dict:
        for key in sorted(a.keys() | b.keys()):
            inner = f"{path}.{key}" if path else key
            yield from _differences(a.get(key, _Missing), b.get(key, _Missing), inner, depth + 1)
    elif depth < _DEEP and type(a) is list and type(b) is list:
        for place in range(max(len(a), len(b))):
            one = a[place] if place < len(a) else _Missing
            other = b[place] if place < len(b) else _Missing
            yield from _differences(one, other, f"{path}[{place}]", depth + 1)
    elif not _same(a, b):
        yield path, a, b


def _same(a: Any, b: Any) -> bool:
    """As JSON text: 1 is not true, and NaN is NaN."""
    if a is _Missing or b is _Missing:
        return a is b
    try:
        return _text(a) == _text(b)
    except (RecursionError, ValueError, TypeError):
        return a is b


def _shown(value: Any) -> str | None:
    if value is _Missing:
        return None
    try:
        return _cut(_text(value), _LONG)
    except (RecursionError, ValueError, TypeError):
        return "(nested too deeply)"


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _cut(text: str, length: int) -> str:
    """Short, and such as UTF-8 can hold."""
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= length else f"{text[:length]}… ({len(text)} characters)"
