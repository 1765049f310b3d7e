# SPDX-License-Identifier: MIT
"""Which names a certificate may have: of users, of hosts, of the authority itself. Pure.

With EXTERNAL, RabbitMQ takes the certificate's common name (CN) for the user's name. What follows for it:

- at most 64 characters: ``ub-common-name`` of RFC 5280, A.1;
- no comma, since RabbitMQ joins several CNs by commas and so ``a,b`` could be either; no ``:``, since MQTT and the web
  plugins read ``vhost:user``; no ``/`` and no space, since the name is a folder's and a path's in the management API;
- ASCII letters, digits and ``. _ - @ +``, since not every client and log agrees on more.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

from ..exceptions import ToolsError

__all__ = ["check_authority", "check_user", "host"]

LONGEST = 64  # characters: ub-common-name
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@+-]*")
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")


def check_user(name: str) -> None:
    """Raises ``ToolsError`` when a certificate cannot be for a user of this name."""
    if len(name) > LONGEST:
        raise ToolsError(
            f"A certificate's name has at most {LONGEST} characters, and this has {len(name)}: {name!r}"
        )
    if not _USER.fullmatch(name):
        raise ToolsError(
            f"{name!r} cannot be a certificate's name: take letters and digits (ASCII) and any of . _ - @ + , "
            "beginning with a letter or a digit"
        )


def check_authority(name: str) -> None:
    """Raises ``ToolsError`` when the authority cannot have this name; it may have spaces, and no user bears it."""
    if not (0 < len(name) <= LONGEST - 4 and name.isascii() and name.isprintable() and name == name.strip()):
        raise ToolsError(
            f"{name!r} cannot be the authority's name: take 1 to {LONGEST - 4} printable ASCII characters"
        )


def host(text: str) -> str | IPv4Address | IPv6Address:
    """A host's name, with at most one ``*`` as its whole first label (RFC 6125, 6.4.3), or an address.

    Raises ``ToolsError`` when it is neither.
    """
    try:
        return ip_address(text.removeprefix("[").removesuffix("]"))
    except ValueError:
        pass
    name = text.lower().removesuffix(".")
    labels = name.split(".")
    wildcard = labels[0] == "*" and len(labels) > 2
    if (
        len(name) > 253
        or not all(_LABEL.fullmatch(label) for label in labels[wildcard:])
        or labels[-1].isdigit()
    ):
        raise ToolsError(f"{text!r} is neither a host's name nor an IP address")
    return name
