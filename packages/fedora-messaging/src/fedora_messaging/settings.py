# SPDX-License-Identifier: MIT
"""What each setting may be: the shapes, and the sentences for what does not fit them.

Pure: no file, no environment. It imports msgspec, so it is imported only when there is something to check.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Annotated, Any, get_args

import msgspec

from .exceptions import ConfigurationException

if TYPE_CHECKING:
    from collections.abc import Callable

_Octet = Annotated[int, msgspec.Meta(ge=0, le=255)]
_Short = Annotated[int, msgspec.Meta(ge=0, le=65535)]
_Count = Annotated[int, msgspec.Meta(ge=0)]
_Arguments = dict[str, Any]


class _Strict(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A table in which each key is known."""


class _Tls(_Strict):
    ca_cert: str | None = None
    certfile: str | None = None
    keyfile: str | None = None


class _Qos(_Strict):
    prefetch_count: _Short = 10
    prefetch_size: _Count = 0


class _Exchange(_Strict):
    type: str = "topic"
    durable: bool = True
    auto_delete: bool = False
    arguments: _Arguments | None = None


class _Queue(_Strict):
    durable: bool
    auto_delete: bool
    exclusive: bool
    arguments: _Arguments | None
    passive: bool = False


class _Binding(_Strict):
    exchange: str
    routing_keys: list[str]
    queue: str = ""
    arguments: _Arguments | None = None


class _Monitoring(_Strict):
    port: _Short
    address: str = ""


# A section that holds tables of the user's own names is checked table by table, so that an error can name it.
_TABLES_OF = {"exchanges": _Exchange, "queues": _Queue}
_LISTS_OF = {"bindings": _Binding}
_SHAPES: dict[str, Any] = {
    "amqp_url": str,
    "amqp_urls": list[str],
    "bindings": list,
    "callback": str | None,
    "client_properties": _Arguments,
    "consumer_config": Any,
    "exchanges": dict[str, Any],
    "log_config": dict[str, Any],
    "monitoring": _Monitoring,
    "passive_declares": bool,
    "publish_exchange": str,
    "publish_priority": _Octet | None,
    "qos": _Qos,
    "queues": dict[str, Any],
    "tls": _Tls,
    "topic_prefix": str,
}
RESERVED = ("information", "product", "version")

_TYPES = {
    "array": "a list",
    "bool": "true or false",
    "float": "a number",
    "int": "an integer",
    "null": "nothing",
    "object": "a table",
    "str": "a string",
}
_BOUNDS = {"<": "less than", "<=": "at most", ">": "more than", ">=": "at least"}


def check_all(settings: dict[str, Any]) -> None:
    """Check a whole configuration file.

    Raises:
        ConfigurationException: an unknown key, a wrong type or a reserved value; names it.
    """
    for key, value in settings.items():
        if key not in _SHAPES:
            raise ConfigurationException(_unknown(key, "", list(_SHAPES)))
        check(key, value)


def check(key: str, value: Any) -> None:
    """Check the value of one top-level setting.

    Raises:
        ConfigurationException: it does not fit; says where, what was found and what is allowed.
    """
    if key == "monitoring" and value == {}:
        return
    fit(value, _SHAPES[key], key)
    if key in _TABLES_OF:
        for name, table in value.items():
            fit(table, _TABLES_OF[key], f"{key}.{name}" if name else f'{key}.""')
    if key in _LISTS_OF:
        for index, table in enumerate(value):
            fit(table, _LISTS_OF[key], f"{key}[{index}]")
    if key == "client_properties":
        for name in RESERVED:
            if name in value:
                raise ConfigurationException(
                    f'"{name}" is a reserved keyword in client_properties: the library sets it itself'
                )


def fit(
    value: Any, shape: Any, path: str, hook: Callable[[type, Any], Any] | None = None, *, strict: bool = True
) -> Any:
    """``value`` as a ``shape``.

    Arguments:
        value: what was read.
        shape: a type that msgspec knows, such as a ``Struct``; tables in tables may be Structs too.
        path: what the user calls the whole of it, with dots; ``""`` for a file's top.
        hook: what makes other types, as msgspec's ``dec_hook``.
        strict: as msgspec's.

    Raises:
        ConfigurationException: it does not fit; says where, what was found and what is allowed.
    """
    try:
        return msgspec.convert(value, shape, dec_hook=hook, strict=strict)
    except msgspec.ValidationError as exc:
        raise ConfigurationException(_explain(str(exc), value, shape, path)) from exc


def _explain(complaint: str, value: Any, shape: Any, path: str) -> str:
    """A sentence of our own for one of msgspec's."""
    what, _, where = complaint.partition(" - at `$")
    where = where.rstrip("`")
    place = (path + where).lstrip(".")
    kind = _type_at(shape, where)
    if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", what):
        return _unknown(unknown[1], place, list(_struct(kind).__struct_fields__))
    if missing := re.fullmatch(r"Object missing required field `(.*)`", what):
        return f"{place} lacks the key {missing[1]!r}"
    subject = f"{place} is {_shown(_dig(value, where))}"
    if "[...]" in where:  # a value under a key of the user's own: msgspec does not say which
        subject = f"a value in {place.partition('[...]')[0]} is wrong"
    return _misfit(what, subject, kind)


def _misfit(what: str, subject: str, kind: Any) -> str:
    """Why a value does not fit ``kind``, by what msgspec says."""
    if wrong := re.fullmatch(r"Expected `(.*)`, got `(.*)`", what):
        allowed = " or ".join(_TYPES.get(name, name) for name in wrong[1].split(" | ") if name != "null")
        return f"{subject} ({_TYPES.get(wrong[2], wrong[2])}); it must be {allowed}"
    if limit := re.fullmatch(r"Expected `.*`( of length)? ([<>]=?) ([\d.]+)", what):
        its = "its length must be" if limit[1] else "it must be"
        return f"{subject}; {its} {_BOUNDS[limit[2]]} {limit[3].removesuffix('.0')}"
    if what.startswith("Invalid enum value"):
        return f"{subject}; it must be {' or '.join(map(repr, get_args(kind)))}"
    return f"{subject}: {what}"


def _type_at(shape: Any, where: str) -> Any:
    """The type of what is at ``where`` (``.a.b[0]``), as far as it is made of Structs."""
    for name in re.findall(r"\.(\w+)", where):
        struct = _struct(shape)
        if struct is None:
            return None
        fields = {field.encode_name: field.type for field in msgspec.structs.fields(struct)}
        shape = fields.get(name)
    return shape


def _struct(kind: Any) -> Any:
    """The Struct that ``kind`` is, or may be; None if none."""
    for one in (kind, *get_args(kind)):
        if isinstance(one, type) and issubclass(one, msgspec.Struct):
            return one
    return None


def _unknown(key: str, path: str, known: list[str]) -> str:
    place = f" in {path}" if path else ""
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return f"Unknown configuration key '{key}'{place}!{hint} Valid configuration keys are {sorted(known)}"


def _dig(value: Any, where: str) -> Any:
    for name, index in re.findall(r"\.(\w+)|\[(\d+)\]", where.partition("[...]")[0]):
        value = value[name] if name else value[int(index)]
    return value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
