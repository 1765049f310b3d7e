# SPDX-License-Identifier: MIT
"""A user's expressions on the broker as grants, where they are exactly those that the grants become. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import expressions, names
from ..state import Kind
from .desired import permissions
from .shape import Grants

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ..state import Properties

__all__ = ["granted"]

_Table = dict[str, Any]


def granted(
    permission: Properties,
    topics: Mapping[str, Properties],
    exchanges: Mapping[str, str],
    queues: Collection[str],
) -> _Table:
    """The table of a user in a virtual host.

    Arguments:
        permission: ``configure``, ``write`` and ``read``.
        topics: exchange → the topic permission's ``write`` and ``read``.
        exchanges: name → type, of all that are there.
        queues: the names of all that are there.
    """
    table = _in_words(permission, topics, exchanges, queues)
    if table is not None and _same(table, permission, topics, exchanges):
        return {key: value for key, value in table.items() if value}
    raw: _Table = {word: permission[word] for word in ("configure", "write", "read")}
    if topics:
        raw["topics"] = {name: {"write": one["write"], "read": one["read"]} for name, one in topics.items()}
    return {"expressions": raw}


def _in_words(
    permission: Properties,
    topics: Mapping[str, Properties],
    exchanges: Mapping[str, str],
    queues: Collection[str],
) -> _Table | None:
    """Grants that may mean the same; None when they cannot be told."""
    manage, write, read = (expressions.names_of(permission[word]) for word in ("configure", "write", "read"))
    if manage is None or write is None or read is None:
        return None
    known = {**exchanges, names.DEFAULT_EXCHANGE: "direct"}
    published = [name for name in write if name not in manage]
    rest = [name for name in read if name not in manage]
    bound = [name for name in rest if name in exchanges and (name not in queues or name in topics)]
    consumed = [name for name in rest if name not in bound]
    if not all(name in known for name in published):
        return None
    if not all(names.is_pattern(name) or name in queues or names.matches(manage, name) for name in consumed):
        return None
    publish = {name: _topics(name, topics, known, "write") for name in published}
    bind = {name: _topics(name, topics, known, "read") for name in bound}
    if None in publish.values() or None in bind.values():
        return None
    return {"publish": publish, "bind": bind, "consume": consumed, "manage": list(manage)}


def _topics(
    exchange: str, topics: Mapping[str, Properties], known: Mapping[str, str], word: str
) -> list[str] | None:
    if known[exchange] != "topic":
        return ["#"]
    if exchange not in topics:
        return None
    back = expressions.topics_of if word == "write" else expressions.bindings_of
    found = back(topics[exchange][word])
    return None if found is None else list(found)


def _same(
    table: _Table,
    permission: Properties,
    topics: Mapping[str, Properties],
    exchanges: Mapping[str, str],
) -> bool:
    """Whether these grants become what is there, and nothing else."""
    grants = Grants(
        publish={name: tuple(one) for name, one in table["publish"].items()},
        bind={name: tuple(one) for name, one in table["bind"].items()},
        consume=tuple(table["consume"]),
        manage=tuple(table["manage"]),
    )
    checked = [
        name for name in dict.fromkeys([*table["publish"], *table["bind"]]) if exchanges.get(name) == "topic"
    ]
    made = dict(permissions("", "", grants, checked))
    wanted = {key.more[0]: one for key, one in made.items() if key.kind is Kind.TOPIC_PERMISSION}
    whole = next(one for key, one in made.items() if key.kind is Kind.PERMISSION)
    return dict(whole) == dict(permission) and wanted == dict(topics)
