# SPDX-License-Identifier: MIT
"""JSON schemas: a fast validator a schema, and ``jsonschema`` for the last word.

The fast one (``jsonschema_rs``) only ever says *yes*. When it says no, or cannot say, ``jsonschema.validate``
decides and raises its own errors, which applications catch. So a schema may use the fast one only where its
yes is also jsonschema's yes: :func:`agrees` decides that for a schema, :func:`is_plain` for a value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

#: As many schemas as one process may keep compiled: more than all known packages declare together.
CACHE_SIZE = 2048

_SCALARS = frozenset({str, int, float, bool, type(None)})

# Keyed by identity, since a dict has no hash; the schema is kept beside its validator so that its id stays its own.
_compiled: dict[int, tuple[Any, Callable[[Any], bool] | None]] = {}


def validate(instance: Any, schema: Any, *, plain: bool = False) -> None:
    """Check ``instance`` against ``schema`` exactly as ``jsonschema.validate`` does.

    Arguments:
        instance: the value, of Python's JSON types.
        schema: a schema; its ``$schema`` names the draft, without one it is the newest that jsonschema knows.
            It must not be changed after its first use.
        plain: the caller knows that ``is_plain(instance)``: it was decoded from JSON.

    Raises:
        jsonschema.ValidationError: the value breaks the schema.
        jsonschema.SchemaError: the schema itself is none.
    """
    entry = _compiled.get(id(schema))
    is_valid = entry[1] if entry is not None and entry[0] is schema else _compile(schema)
    if is_valid is not None and (plain or _is_plain(instance)) and _says_yes(is_valid, instance):
        return
    import jsonschema  # noqa: PLC0415 - costs 0.1 s, and only errors need it

    jsonschema.validate(instance, schema)


def is_plain(value: Any) -> bool:
    """Whether ``value`` consists of dicts, lists and scalars only.

    The fast validator takes tuples for arrays, enumeration members for their values and Decimals for
    integers; jsonschema does not.
    """
    kind = type(value)
    if kind is dict:
        value = value.values()
    elif kind is not list:
        return kind in _SCALARS
    for item in value:  # noqa: SIM110 - twice as fast as all() with a generator
        if type(item) not in _SCALARS and not is_plain(item):
            return False
    return True


def _is_plain(value: Any) -> bool:
    try:
        return is_plain(value)
    except RecursionError:
        return False


def _says_yes(is_valid: Callable[[Any], bool], instance: Any) -> bool:
    try:
        return is_valid(instance)
    except (ValueError, TypeError, OverflowError):
        return False


def _compile(schema: Any) -> Callable[[Any], bool] | None:
    if len(_compiled) >= CACHE_SIZE:
        _compiled.clear()
    is_valid = _fast_validator(schema)
    _compiled[id(schema)] = (schema, is_valid)
    return is_valid


def _fast_validator(schema: Any) -> Callable[[Any], bool] | None:
    import jsonschema_rs  # noqa: PLC0415 - not needed to import this library

    drafts = {
        "http://json-schema.org/draft-04/schema": jsonschema_rs.Draft4Validator,
        "http://json-schema.org/draft-07/schema": jsonschema_rs.Draft7Validator,
        "https://json-schema.org/draft/2020-12/schema": jsonschema_rs.Draft202012Validator,
    }
    if not isinstance(schema, dict):
        return None
    declared = schema.get("$schema", "https://json-schema.org/draft/2020-12/schema")
    draft = drafts.get(declared.rstrip("#")) if isinstance(declared, str) else None
    if draft is None:
        return None
    try:
        return draft(schema, validate_formats=False).is_valid
    except Exception:  # noqa: BLE001 - jsonschema finds the words for what is wrong with a schema
        return None
