# SPDX-License-Identifier: MIT
"""What should come of each action, from the words of bus.toml alone.

These few lines know nothing of the code that turns the file into RabbitMQ's permissions, nor of ``broker check``.
"""

from __future__ import annotations

import re
import tomllib
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from fedora_messaging.topics import matches

from .bus import FILE

if TYPE_CHECKING:
    from .actions import Action, Need

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: The class of the library's error when a right is missing.
ERRORS = {
    "log in": "ConnectionException",
    "manage": "BadDeclaration",
    "bind": "BadDeclaration",
    "consume": "PermissionException",
    "publish": "PublishForbidden",
    "be": "PublishForbidden",
}
EVERYTHING = {"configure": ".*", "write": ".*", "read": ".*"}


def users() -> list[str]:
    """Those of the file."""
    return list(_file()["users"])


def outcome(user: str, action: Action) -> str:
    """``yes``, or the class of the error."""
    lacking = missing(user, action)
    return ERRORS[lacking[0]] if lacking else "yes"


def missing(user: str, action: Action) -> list[str]:
    """The kinds of rights that it takes and the user has not."""
    grants = _file()["vhosts"].get(action.vhost, {}).get("users", {}).get(user)
    if grants is None:
        return ["log in", *(need.kind for need in action.needs)]
    return [need.kind for need in action.needs if not _has(grants, need)]


def _has(grants: dict[str, Any], need: Need) -> bool:
    if need.kind == "be":
        return False
    if "expressions" in grants:
        assert grants["expressions"] == EVERYTHING, "only this is understood here"
        return True
    owns = any(_named(glob, need.name) for glob in grants.get("manage", ()))
    if need.kind == "manage":
        return owns
    if need.kind == "consume":
        return owns or any(_named(glob, need.name) for glob in grants.get("consume", ()))
    listed = grants.get(need.kind, {}).get(need.name, ())
    if need.kind == "publish":
        return any(matches(pattern, need.topic) for pattern in listed)
    return need.topic in listed or "#" in listed


def _named(glob: str, name: str) -> bool:
    return UUID.fullmatch(name) is not None if glob == "{uuid}" else fnmatchcase(name, glob)


def _file() -> dict[str, Any]:
    return tomllib.loads(FILE.read_text())
