# SPDX-License-Identifier: MIT
"""What each setting may be: the shapes, and the sentences for what does not fit them.

Pure: no file, no environment. It imports msgspec, so it is imported only when there is something to check.
"""

from __future__ import annotations

import difflib
import re
from typing import Annotated, Any

import msgspec

from .exceptions import ConfigurationException

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
    _fit(value, _SHAPES[key], key)
    if key in _TABLES_OF:
        for name, table in value.items():
            _fit(table, _TABLES_OF[key], f"{key}.{name}" if name else f'{key}.""')
    if key in _LISTS_OF:
        for index, table in enumerate(value):
            _fit(table, _LISTS_OF[key], f"{key}[{index}]")
    if key == "client_properties":
        for name in RESERVED:
            if name in value:
                raise ConfigurationException(
                    f'"{name}" is a reserved keyword in client_properties: the library sets it itself'
                )


def _fit(value: Any, shape: Any, path: str) -> None:
    try:
        msgspec.convert(value, shape)
    except msgspec.ValidationError as exc:
        raise ConfigurationException(_explain(str(exc), value, shape, path)) from exc


def _explain(complaint: str, value: Any, shape: Any, path: str) -> str:
    """A sentence of our own for one of msgspec's."""
    what, _, where = complaint.partition(" - at `$")
    where = where.rstrip("`")
    if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", what):
        return _unknown(unknown[1], path + where, list(shape.__struct_fields__))
    if missing := re.fullmatch(r"Object missing required field `(.*)`", what):
        return f"{path + where} lacks the key {missing[1]!r}"
    found = _dig(value, where)
    if wrong := re.fullmatch(r"Expected `(.*)`, got `(.*)`", what):
        allowed = " or ".join(_TYPES.get(kind, kind) for kind in wrong[1].split(" | ") if kind != "null")
        return f"{path + where} is {_shown(found)} ({_TYPES.get(wrong[2], wrong[2])}); it must be {allowed}"
    if limit := re.fullmatch(r"Expected `.*` (<|>)= (\d+)", what):
        bound = "at most" if limit[1] == "<" else "at least"
        return f"{path + where} is {_shown(found)}; it must be {bound} {limit[2]}"
    return f"{path + where} is {_shown(found)}: {what}"


def _unknown(key: str, path: str, known: list[str]) -> str:
    place = f" in {path}" if path else ""
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return f"Unknown configuration key '{key}'{place}!{hint} Valid configuration keys are {sorted(known)}"


def _dig(value: Any, where: str) -> Any:
    for name, index in re.findall(r"\.(\w+)|\[(\d+)\]", where):
        value = value[name] if name else value[int(index)]
    return value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
