# SPDX-License-Identifier: MIT
"""Names and places as TOML writes them. Pure."""

from __future__ import annotations

import json
import re

__all__ = ["at", "key", "string"]

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def at(*keys: str) -> str:
    """The dotted key of a table; the first may be one already, or empty."""
    first, *others = keys
    return ".".join([*([first] if first else []), *map(key, others)])


def key(name: str) -> str:
    """A key, in quotes where it needs them."""
    return name if _BARE.fullmatch(name) else string(name)


def string(text: str) -> str:
    """A string on one line; without escapes where that is possible, for expressions are full of backslashes."""
    if "\\" in text and "'" not in text and text.isprintable():
        return f"'{text}'"
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
