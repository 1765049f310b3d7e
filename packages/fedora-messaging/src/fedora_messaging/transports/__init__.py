# SPDX-License-Identifier: MIT
"""How messages reach a broker: one module a kind of broker, behind the seam in :mod:`.base`.

Which one is for which URL scheme is said by entry points of the group ``fedora_messaging.transports``.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from ..exceptions import ConfigurationException

if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.metadata import EntryPoint

    from .base import Address, Transport

ENTRY_POINTS = "fedora_messaging.transports"

# Ours are known without reading the metadata of every installed package, which costs some 30 ms.
_OWN = {"amqp": "amqp", "amqps": "amqp", "memory": "memory"}


def for_address(address: Address) -> Transport:
    """The transport that the scheme of the address's URL asks for.

    Raises ``ConfigurationException`` when no installed package provides the scheme.
    """
    return transport_class(urlsplit(address.url).scheme)(address)


@cache
def transport_class(scheme: str) -> Callable[[Address], Transport]:
    """The transport class of a URL scheme.

    Raises ``ConfigurationException`` for one that nobody provides, or whose package cannot be imported.
    """
    if scheme in _OWN:
        own = import_module(f"{__name__}.{_OWN[scheme]}")
        return cast("Callable[[Address], Transport]", own.Transport)
    from importlib.metadata import entry_points  # noqa: PLC0415 - only for a scheme from another package

    found = entry_points(group=ENTRY_POINTS)
    for entry in found:
        if entry.name == scheme:
            return _load(entry)
    known = ", ".join(sorted({entry.name for entry in found} | set(_OWN)))
    raise ConfigurationException(f"amqp_url: no transport for the scheme {scheme!r}; there are {known}")


def _load(entry: EntryPoint) -> Callable[[Address], Transport]:
    try:
        return cast("Callable[[Address], Transport]", entry.load())
    except Exception as error:  # whatever a foreign package raises while it is imported
        raise ConfigurationException(
            f"amqp_url: the transport for the scheme {entry.name!r}, {entry.value}, cannot be imported: {error}"
        ) from error
