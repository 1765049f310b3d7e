# SPDX-License-Identifier: MIT
"""Where a fast JSON schema validator and ``jsonschema`` are known to agree. Pure, and knows neither.

Both questions are answered carefully: *no* only costs time. Each rule stands for a difference that was found
between ``jsonschema_rs`` and ``jsonschema``; the tests look for more of them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

#: Whole numbers up to here are the same in a double; beyond, comparisons differ (``1e30 == 10**30``).
LARGEST = 2**53
#: A schema of more parts than this (its references followed) is not looked at to the end.
MOST_PARTS = 20_000

_TRIVIAL = frozenset({str, bool, type(None)})
_NUMBERS = frozenset({int, float})
_SCALARS = _TRIVIAL | _NUMBERS

# Keywords of some draft about which nothing is promised. What is in no list here is ignored by both sides.
_DOUBTFUL = frozenset(
    {
        "$anchor",
        "$dynamicAnchor",
        "$dynamicRef",
        "$recursiveAnchor",
        "$recursiveRef",
        "$vocabulary",
        "additionalItems",
        "contentEncoding",
        "contentMediaType",
        "contentSchema",
        "dependencies",
        "dependentRequired",
        "dependentSchemas",
        "deprecated",
        "disallow",
        "divisibleBy",
        "else",
        "extends",
        "if",
        "maxContains",
        "minContains",
        "multipleOf",
        "prefixItems",
        "propertyNames",
        "readOnly",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
        "writeOnly",
    }
)
# Beside a reference, older drafts ignore everything, newer ones nothing.
_BESIDE_REFERENCE = frozenset({"$comment", "$ref", "$schema", "default", "description", "id", "title"})

# Python's and ECMAScript's expressions mean different things by ``$``, ``\d``, ``\w`` and ``.``, but for these
# the latter match less, which is safe. Others (``\s``, ``\W``, ``[^…]``, look-arounds, ``\p``) match more.
_SAFE_PATTERN = (
    r"\^?(?:(?:[A-Za-z0-9 _/:@,.=-]|\\[dw./-]|\[(?:[A-Za-z0-9]-[A-Za-z0-9]|[A-Za-z0-9_. ])+-?\])[*+?]?)*\$?"
)
_REFERENCE = r"#((?:/[A-Za-z0-9_$-]+)+)"


def is_plain(value: Any) -> bool:
    """Whether ``value`` consists of dicts, lists and scalars only, without numbers beyond :data:`LARGEST`.

    The fast validator takes tuples for arrays, enumeration members for their values and Decimals for
    integers; jsonschema does not. NaN and the infinities count as beyond.

    Raises:
        RecursionError: it contains itself, or is nested as deep as that.
    """
    kind = type(value)
    if kind is dict:
        value = value.values()
    elif kind is not list:
        return kind in _TRIVIAL or (kind in _NUMBERS and -LARGEST <= value <= LARGEST)
    for item in value:  # noqa: SIM110 - twice as fast as all() with a generator
        if type(item) not in _TRIVIAL and not is_plain(item):
            return False
    return True


def agrees(schema: dict[str, Any]) -> bool:
    """Whether the fast validator's *yes* for ``schema`` and a plain value is jsonschema's as well."""
    try:
        return is_plain(schema) and _Reader(schema).reads(schema, ())
    except RecursionError:
        return False


class _Reader:
    """Goes through one schema, following its references."""

    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._parts = 0
        self._seen: set[str] = set()

    def reads(self, schema: Any, above: tuple[int, ...]) -> bool:
        """Whether everything in ``schema`` is known; ``above`` has the ids of what it is a part of."""
        if isinstance(schema, bool):
            return True
        self._parts += 1
        # A schema within itself without a value in between never ends for jsonschema. None at all are read.
        if type(schema) is not dict or id(schema) in above or self._parts > MOST_PARTS:
            return False
        above = (*above, id(schema))
        return all(self._reads_keyword(*item, schema, above) for item in schema.items()) and not (
            # Matching less is safe for a pattern unless something is true because it does not match.
            ("pattern" in self._seen and not self._seen.isdisjoint(("not", "oneOf")))
            # A reference is relative to the nearest id, of which the two sides keep different books.
            or ("$ref" in self._seen and "nested id" in self._seen)
        )

    def _reads_keyword(self, key: str, value: Any, schema: dict[str, Any], above: tuple[int, ...]) -> bool:
        if type(key) is not str or key in _DOUBTFUL:
            return False
        self._seen.add("nested id" if key in {"id", "$id"} and schema is not self._root else key)
        if key == "$ref":
            return schema.keys() <= _BESIDE_REFERENCE and self._reads_reference(value, above)
        read = _READERS.get(key)
        return read is None or read(self, value, above)

    def reads_list(self, schemas: Any, above: tuple[int, ...]) -> bool:
        return isinstance(schemas, list) and all(self.reads(one, above) for one in schemas)

    def reads_table(self, schemas: Any, above: tuple[int, ...]) -> bool:
        return isinstance(schemas, dict) and all(self.reads(one, above) for one in schemas.values())

    def reads_patterns(self, schemas: Any, above: tuple[int, ...]) -> bool:
        return self.reads_table(schemas, above) and schemas.keys() <= {".*"}

    def reads_pattern(self, pattern: Any, _above: tuple[int, ...]) -> bool:
        return isinstance(pattern, str) and bool(re.fullmatch(_SAFE_PATTERN, pattern))

    def reads_enum(self, values: Any, _above: tuple[int, ...]) -> bool:
        # Draft 4 wants at least one value, and each once; the fast validator takes any list.
        scalars = isinstance(values, list) and all(type(value) in _SCALARS for value in values)
        return scalars and 0 < len(set(values)) == len(values)

    def _reads_reference(self, reference: Any, above: tuple[int, ...]) -> bool:
        pointer = re.fullmatch(_REFERENCE, reference) if isinstance(reference, str) else None
        if not pointer:
            return False
        target: Any = self._root
        for name in pointer[1].split("/")[1:]:
            target = target.get(name) if isinstance(target, dict) else None
        return self.reads(target, above)


# How the values of keywords are read that contain schemas, or need a second look.
_READERS: dict[str, Callable[[_Reader, Any, tuple[int, ...]], bool]] = {
    "$defs": _Reader.reads_table,
    "additionalProperties": _Reader.reads,
    "allOf": _Reader.reads_list,
    "anyOf": _Reader.reads_list,
    "contains": _Reader.reads,
    "definitions": _Reader.reads_table,
    "enum": _Reader.reads_enum,
    "items": _Reader.reads,
    "not": _Reader.reads,
    "oneOf": _Reader.reads_list,
    "pattern": _Reader.reads_pattern,
    "patternProperties": _Reader.reads_patterns,
    "properties": _Reader.reads_table,
}
