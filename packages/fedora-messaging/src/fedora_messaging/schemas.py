# SPDX-License-Identifier: MIT
"""JSON schemas: a fast validator a schema, and ``jsonschema`` for the last word.

The fast one (``jsonschema_rs``) only ever says *yes*. When it says no, or cannot say, ``jsonschema.validate``
decides and raises its own errors, which applications catch. So the fast one is asked only where its yes is
also jsonschema's: :mod:`.agreement` knows where.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .agreement import agrees, is_plain

if TYPE_CHECKING:
    from collections.abc import Callable

_NEWEST = "https://json-schema.org/draft/2020-12/schema"
_DRAFTS = {
    "http://json-schema.org/draft-04/schema": "Draft4Validator",
    "http://json-schema.org/draft-06/schema": "Draft6Validator",
    "http://json-schema.org/draft-07/schema": "Draft7Validator",
    "https://json-schema.org/draft/2019-09/schema": "Draft201909Validator",
    _NEWEST: "Draft202012Validator",
}

#: As many schemas as one process may keep compiled: more than all known packages declare together.
CACHE_SIZE = 2048

_DRAFT_4 = "http://json-schema.org/draft-04/schema#"
_HEADERS: dict[str, Any] = {
    "fedora_messaging_severity": {"type": "number", "enum": [10, 20, 30, 40]},
    "fedora_messaging_schema": {"type": "string"},
    "fedora_messaging_schema_package": {"type": "string"},
    "sent-at": {"type": "string"},
}

#: The headers of every message.
HEADERS: dict[str, Any] = {
    "$schema": _DRAFT_4,
    "description": "Schema for message headers",
    "type": "object",
    "properties": _HEADERS,
}
#: The body of every message.
BODY: dict[str, Any] = {
    "$schema": _DRAFT_4,
    "description": "Schema for message body",
    "type": "object",
}
#: A message as one line of a file.
SERIALIZED_MESSAGE: dict[str, Any] = {
    "$schema": _DRAFT_4,
    "description": "A message in a file",
    "type": "object",
    "properties": {
        "topic": {"type": "string", "description": "The topic, without a prefix"},
        "headers": {"type": "object", "properties": _HEADERS, "description": "The AMQP headers"},
        "id": {"type": "string", "description": "The message's own id, a UUID"},
        "body": {"type": "object", "description": "What the application published"},
        "queue": {"type": ["string", "null"], "description": "The queue it came from, if any"},
        "priority": {"type": ["integer", "null"], "description": "The priority it was sent with"},
    },
    "required": ["topic", "body"],
}

# Keyed by identity, since a dict has no hash; the schema is kept beside its validator so that its id stays its own.
_compiled: dict[int, tuple[Any, Callable[[Any], bool] | None]] = {}


def validate(instance: Any, schema: Any) -> None:
    """Check ``instance`` against ``schema`` exactly as ``jsonschema.validate`` does.

    Arguments:
        instance: the value, of Python's JSON types.
        schema: a schema; its ``$schema`` names the draft, without one it is the newest that jsonschema knows.
            It must not be changed after its first use.

    Raises:
        jsonschema.ValidationError: the value breaks the schema.
        jsonschema.SchemaError: the schema itself is none.
    """
    entry = _compiled.get(id(schema))
    is_valid = entry[1] if entry is not None and entry[0] is schema else _compile(schema)
    if is_valid is not None and _says_yes(is_valid, instance):
        return
    import jsonschema  # noqa: PLC0415 - costs 0.1 s, and only errors need it

    jsonschema.validate(instance, schema)


def _says_yes(is_valid: Callable[[Any], bool], instance: Any) -> bool:
    try:
        return is_plain(instance) and is_valid(instance)
    except (ValueError, TypeError, OverflowError, RecursionError):
        return False


def _compile(schema: Any) -> Callable[[Any], bool] | None:
    if len(_compiled) >= CACHE_SIZE:
        _compiled.clear()
    is_valid = _fast_validator(schema)
    _compiled[id(schema)] = (schema, is_valid)
    return is_valid


def _fast_validator(schema: Any) -> Callable[[Any], bool] | None:
    if not isinstance(schema, dict) or not agrees(schema):
        return None
    draft = schema.get("$schema", _NEWEST)
    if not isinstance(draft, str) or draft.removesuffix("#") not in _DRAFTS:
        return None
    import jsonschema_rs  # noqa: PLC0415 - not needed to import this library

    try:
        validator = getattr(jsonschema_rs, _DRAFTS[draft.removesuffix("#")])
        return validator(schema, validate_formats=False, offline=True).is_valid  # type: ignore[no-any-return]
    except Exception:  # noqa: BLE001 - jsonschema finds the words for what is wrong with a schema
        return None
