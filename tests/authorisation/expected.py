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

from .bus import FILE, VHOST

if TYPE_CHECKING:
    from .actions import Action, Need

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: The class of the library's error when a right is missing.
ERRORS = {
    "vhost": "ConnectionException",
    "manage": "BadDeclaration",
    "bind": "BadDeclaration",
    "consume": "PermissionException",
    "publish": "PublishForbidden",
    "be": "PublishForbidden",
}


def users() -> list[str]:
    """Those of the file."""
    return list(_file()["users"])


def outcome(user: str, action: Action) -> str:
    """``yes``, or the class of the error."""
    lacking = missing(user, action)
    return ERRORS[lacking[0].kind] if lacking else "yes"


def missing(user: str, action: Action) -> list[Need]:
    """The rights that it takes and the user has not."""
    return [need for need in action.needs if not _has(user, need)]


def _has(user: str, need: Need) -> bool:
    vhost = _file()["vhosts"].get(need.name if need.kind == "vhost" else VHOST, {})
    grants = vhost.get("users", {}).get(user)
    if grants is None or need.kind == "vhost":
        return grants is not None
    owns = any(_named(glob, need.name) for glob in grants.get("manage", ()))
    if need.kind == "manage":
        return owns
    if need.kind == "consume":
        return owns or any(_named(glob, need.name) for glob in grants.get("consume", ()))
    listed = grants.get(need.kind, {}).get(need.name, ())
    if need.kind == "publish":
        return any(matches(pattern, need.topic) for pattern in listed)
    return need.kind == "bind" and (need.topic in listed or "#" in listed)


def _named(glob: str, name: str) -> bool:
    return UUID.fullmatch(name) is not None if glob == "{uuid}" else fnmatchcase(name, glob)


def _file() -> dict[str, Any]:
    return tomllib.loads(FILE.read_text())
