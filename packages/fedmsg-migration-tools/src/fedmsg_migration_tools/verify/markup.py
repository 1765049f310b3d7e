# SPDX-License-Identifier: MIT
"""HTML that cannot be broken out of: whatever is not markup already is escaped. Pure, and knows nothing of verdicts."""

from __future__ import annotations

import html
import re

__all__ = ["Markup", "foreign", "join", "tag"]

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

_TURNS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_VOID = frozenset({"br"})  # elements without an end


class Markup(str):
    """Text that is markup."""

    __slots__ = ()


def tag(name: str, *children: object, **attributes: str) -> Markup:
    """An element. A trailing ``_`` in the name of an attribute is dropped (``class_``), another becomes ``-``.

    Arguments:
        name: of the element.
        children: markup, or anything else, which is escaped as text.
        attributes: their values are escaped.
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"' for key, value in attributes.items()
    )
    if name in _VOID:
        return Markup(f"<{name}{given}>")
    return Markup(f"<{name}{given}>{join(*children)}</{name}>")


def join(*children: object) -> Markup:
    """One after the other."""
    return Markup("".join(child if isinstance(child, Markup) else escape(str(child)) for child in children))


def foreign(text: object) -> Markup:
    """What somebody else has written; what would turn the direction of text is shown as an escape."""
    plain = _TURNS.sub(lambda found: f"\\u{ord(found[0]):04x}", str(text))
    return tag("bdi", plain, class_="foreign")


def escape(text: str) -> str:
    """As text; what no HTML may hold is replaced by the sign for that."""
    clean = _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text)
    return html.escape(clean.encode("utf-8", "backslashreplace").decode(), quote=True)
