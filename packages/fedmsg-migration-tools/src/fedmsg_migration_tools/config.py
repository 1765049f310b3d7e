# SPDX-License-Identifier: MIT
"""The configuration file of the tools, read into the frozen structs of :mod:`.shapes`.

Its older spellings, this program's and fedmsg's, are turned into today's before anything is checked. What a setting
*means* belongs to the module that uses it; the broker's address and TLS are the library's configuration.
"""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from fedora_messaging.config import parse
from fedora_messaging.exceptions import ConfigurationException
from fedora_messaging.settings import fit

from .shapes import (
    AmqpToZmq,
    Config,
    Curve,
    CurveServer,
    Migration,
    Monitoring,
    Quarantine,
    Repair,
    Replay,
    Signatures,
    Signing,
    Spool,
    VerifyMissing,
    ZmqToAmqp,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "AmqpToZmq",
    "Config",
    "Curve",
    "CurveServer",
    "Migration",
    "Monitoring",
    "Quarantine",
    "Repair",
    "Replay",
    "Signatures",
    "Signing",
    "Spool",
    "VerifyMissing",
    "ZmqToAmqp",
    "for_callback",
    "load",
]

ENVIRONMENT = ("FEDMSG_MIGRATION_TOOLS_CONFIG", "FEDMSG_MIGRATION_TOOLS_CONF")
#: The first that is there. The second is where the older tool looked.
DEFAULT_PATHS = ("/etc/fedmsg-migration-tools/config.toml", "/etc/fedmsg_migration_tools/config.toml")

# Section → an older key → today's, in that section.
OLDER: dict[str, dict[str, tuple[str, ...]]] = {
    "zmq_to_amqp": {
        "validate_signatures": ("signatures", "validate"),
        "ca_cert_location": ("signatures", "ca"),
        "crl_location": ("signatures", "crl"),
        "routing_policy": ("signatures", "routing_policy"),
        "routing_nitpicky": ("signatures", "nitpicky"),
        "signatures.validate_signatures": ("signatures", "validate"),
        "signatures.ca_cert_location": ("signatures", "ca"),
        "signatures.crl_location": ("signatures", "crl"),
        "signatures.routing_nitpicky": ("signatures", "nitpicky"),
    },
    "amqp_to_zmq": {
        "sign_messages": ("signing", "sign_messages"),
        "ssldir": ("signing", "ssldir"),
        "certname": ("signing", "certname"),
        "queue_name": ("queue",),
    },
}

# Where one string may stand for a list of one.
LISTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "zmq_to_amqp": (
        ("topics",),
        ("zmq_endpoints",),
        ("signatures", "ca"),
        ("signatures", "bridge_signers"),
    ),
    "amqp_to_zmq": (("topics",), ("publish_endpoint",), ("curve", "endpoints")),
    "verify_missing": (
        ("topics",),
        ("zmq_endpoints",),
        ("bridge_endpoints",),
        ("repair", "replay_endpoints"),
    ),
}
#: Its queue had a name that all verifiers shared, so that each saw half; now each has its own, bound to everything.
_OF_THE_SHARED_QUEUE = ("queue_name", "bindings")

_KINDS: dict[type, str] = {bool: "bool", int: "int", float: "float", list: "array", dict: "object"}


class _Binding(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What the older tool's file had under ``[[amqp_to_zmq.bindings]]``."""

    exchange: str
    routing_key: str = ""
    arguments: dict[str, Any] = {}


def load(path: str | None = None, overrides: Mapping[str, Any] | None = None) -> Config:
    """The settings of a file, and what the command line says instead.

    Arguments:
        path: the file; when None the one that ``$FEDMSG_MIGRATION_TOOLS_CONFIG`` or ``…_CONF`` names, else
            ``/etc/fedmsg-migration-tools/config.toml``, which need not be there.
        overrides: tables like those of the file, laid over them key by key.

    Raises:
        ConfigurationException: a file that was named is not there, a file cannot be read, or a setting is wrong; it
            says which, what was found and what is allowed.
    """
    source = _find(path)
    tables = parse(source) if source else {}
    try:
        config = check(tables)
    except ConfigurationException as error:
        raise ConfigurationException(f"{source}: {error.message}") from error
    return check(_merged(_modern(tables), _modern(overrides))) if overrides else config


def for_callback(consumer_config: Mapping[str, Any], path: str | None = None) -> AmqpToZmq:
    """The bridge's settings when ``fedora-messaging consume`` runs it: ``consumer_config`` over the tools' own file.

    Arguments:
        consumer_config: the section of the library's file; the keys are those of ``[amqp_to_zmq]``.
        path: as for :func:`load`.

    Raises:
        ConfigurationException: as :func:`load`, or for what is wrong in ``consumer_config``.
    """
    over = _modern({"amqp_to_zmq": consumer_config}, "consumer_config")
    fit(over["amqp_to_zmq"], AmqpToZmq, "consumer_config", _path)
    return load(path, over).amqp_to_zmq


def check(tables: Mapping[str, Any]) -> Config:
    """Tables, as TOML has them, as settings. Raises ``ConfigurationException``."""
    config: Config = fit(_modern(tables), Config, "", _path)
    _agree(config)
    return config


def _agree(config: Config) -> None:
    """What two settings must agree on. Raises ``ConfigurationException``."""
    signing = config.amqp_to_zmq.signing
    if signing.sign_messages and signing.files() is None:
        raise ConfigurationException(
            "amqp_to_zmq.signing.sign_messages is true: it needs certificate and key, or certname (with ssldir)"
        )
    if config.zmq_to_amqp.signatures.validate and not config.zmq_to_amqp.signatures.ca:
        raise ConfigurationException("zmq_to_amqp.signatures.validate is true: it needs a file in ca")
    if config.amqp_to_zmq.remote_publish:
        for endpoint in config.amqp_to_zmq.publish_endpoint:
            if "://*" in endpoint:
                raise ConfigurationException(
                    f"amqp_to_zmq.publish_endpoint is {endpoint!r}: with remote_publish it must name a host"
                )


def _find(path: str | None) -> str | None:
    """The file to read, or None."""
    named = path or next((os.environ[name] for name in ENVIRONMENT if os.environ.get(name)), None)
    if named is None:
        return next((name for name in DEFAULT_PATHS if Path(name).exists()), None)
    if not Path(named).exists():
        raise ConfigurationException(f"{named}: there is no such file")
    return named


def _path(wanted: type, value: Any) -> Any:
    """What msgspec asks for a type that it does not know: paths alone."""
    if not isinstance(value, str):
        raise TypeError(f"Expected `str`, got `{_KINDS.get(type(value), 'object')}`")
    if "://" in value:
        raise ValueError("a path is wanted here, no URL: fetch the file first")
    if not value:
        raise ValueError("a path is wanted here; leave the key out for none")
    return wanted(value)


# from older spellings to today's


def _modern(tables: Mapping[str, Any], place: str | None = None) -> dict[str, Any]:
    """A copy of the tables in today's spelling; ``place`` is what the user calls the only section there is."""
    result = copy.deepcopy(dict(tables))
    for section, names in OLDER.items():
        table = result.get(section)
        if isinstance(table, dict):
            _join_bindings(table, place or section)
            for older, today in names.items():
                _move(table, older.split("."), today, place or section)
            if table.get("monitoring") == {}:  # as in the library's file: off
                del table["monitoring"]
    verifying = result.get("verify_missing")
    if isinstance(verifying, dict):
        for key in _OF_THE_SHARED_QUEUE:
            verifying.pop(key, None)
    for section, places in LISTS.items():
        if isinstance(result.get(section), dict):
            for where in places:
                _make_list(result[section], where)
    return result


def _move(table: dict[str, Any], older: Sequence[str], today: Sequence[str], place: str) -> None:
    """Give the value of an older key today's name."""
    holder = _holder(table, older)
    if holder is None or older[-1] not in holder:
        return
    value = holder.pop(older[-1])
    into: Any = table
    for name in today[:-1]:
        into = into.setdefault(name, {})
        if not isinstance(into, dict):
            return  # said by the check that follows
    if today[-1] in into:
        raise ConfigurationException(
            f"{place}.{'.'.join(older)} is an older name of {place}.{'.'.join(today)}: give one of them"
        )
    into[today[-1]] = value


def _make_list(table: dict[str, Any], where: Sequence[str]) -> None:
    """One string stands for a list of one."""
    holder = _holder(table, where)
    if holder is not None and isinstance(holder.get(where[-1]), str):
        holder[where[-1]] = [holder[where[-1]]]


def _holder(table: dict[str, Any], where: Sequence[str]) -> dict[str, Any] | None:
    """The table that has, or may have, the last name of ``where``."""
    holder: Any = table
    for name in where[:-1]:
        holder = holder.get(name) if isinstance(holder, dict) else None
    return holder if isinstance(holder, dict) else None


def _join_bindings(table: dict[str, Any], place: str) -> None:
    """The older tool's ``bindings``, a list of tables, as one exchange and its topics."""
    bindings = table.pop("bindings", None)
    if not bindings:
        return
    shape = list[_Binding]
    given: list[_Binding] = fit(bindings, shape, f"{place}.bindings", _path)
    exchanges = sorted({binding.exchange for binding in given})
    if len(exchanges) > 1 or any(binding.arguments for binding in given):
        raise ConfigurationException(
            f"{place}.bindings: the bridge reads one exchange, by topics and without arguments; "
            f"found the exchanges {exchanges}. Say so by {place}.exchange and {place}.topics"
        )
    table.setdefault("exchange", exchanges[0])
    table.setdefault("topics", [binding.routing_key for binding in given])


def _merged(tables: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Both, table by table; where both have a value, the second's."""
    result = dict(tables)
    for key, value in over.items():
        below = result.get(key)
        if isinstance(value, dict) and isinstance(below, dict):
            result[key] = _merged(below, value)
        else:
            result[key] = value
    return result
