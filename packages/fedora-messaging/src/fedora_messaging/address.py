# SPDX-License-Identifier: MIT
"""URLs of brokers: which hosts the settings name, and how a URL is shown without its password.

Pure but for the look-up of installed transports. What the parts of a URL mean is the transport's matter.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .exceptions import ConfigurationException
from .transports.base import Address

if TYPE_CHECKING:
    from collections.abc import Mapping

GROUP = "fedora_messaging.transports"

# Those that come with this library; others are looked up, which costs 20 ms.
_SCHEMES = frozenset({"amqp", "amqps", "memory"})
_NEXT_URL = r",\s*(?=[A-Za-z][A-Za-z0-9+.-]*:(?://|$))"


def addresses(conf: Mapping[str, Any]) -> list[Address]:
    """The brokers of ``amqp_urls`` or, when that is empty, of ``amqp_url``: one address a host, in their order.

    Either may list several, separated by commas: whole URLs, or hosts within one URL
    (``amqp://user:password@one,two:5673/vhost``).

    Raises:
        ConfigurationException: a URL names no installed transport, or has a port that is none.
    """
    listed = conf.get("amqp_urls") or [conf["amqp_url"]]
    urls = [one for text in listed for url in re.split(_NEXT_URL, text) for one in _each_host(url.strip())]
    for url in urls:
        _check(url)
    return [Address(url, conf["tls"], conf["client_properties"]) for url in urls]


def shown(url: str) -> str:
    """``url`` as it may stand in a log: without the password, and without the query, which may hold another."""
    rest, at, host = url.rpartition("@")
    if at:
        scheme, _, userinfo = rest.partition("://")
        user, colon, _ = userinfo.partition(":")
        url = f"{scheme}://{user}{':***' if colon else ''}@{host}"
    return url.partition("?")[0]


def watchful(address: Address) -> Address:
    """The same broker, asked for a heartbeat so short (10 s) that half a minute shows that it hangs.

    For one of several: with the broker's own, 60 s, it takes two minutes. A heartbeat that the URL names stays.
    """
    url, question, query = address.url.partition("?")
    scheme = url.partition(":")[0]
    if scheme not in {"amqp", "amqps"} or re.search(r"(^|&)heartbeat=", query):
        return address
    return replace(address, url=f"{url}?{query}{'&' if question and query else ''}heartbeat={_HEARTBEAT}")


_HEARTBEAT = 10


def _each_host(url: str) -> list[str]:
    scheme, slashes, rest = url.partition("://")
    end = next((i for i, character in enumerate(rest) if character in "/?#"), len(rest))
    userinfo, at, hosts = rest[:end].rpartition("@")
    return [f"{scheme}{slashes}{userinfo}{at}{host.strip()}{rest[end:]}" for host in hosts.split(",")]


def _check(url: str) -> None:
    from urllib.parse import urlsplit  # noqa: PLC0415 - 3 ms, and only connecting needs it

    try:
        parts = urlsplit(url)
        scheme, _ = parts.scheme, parts.port
    except ValueError as exc:
        why: object = exc
        if "@" in url and "@" not in re.split("[/?#]", url.partition("://")[2])[0]:
            # What was taken for a port is a part of the password.
            why = "percent-encode '/', '?' and '#' in user and password, as %2F, %3F and %23"
        raise ConfigurationException(f"The URL {shown(url)!r} is wrong: {why}") from exc
    if scheme not in _SCHEMES and scheme not in (known := _installed()):
        raise ConfigurationException(
            f"The URL {shown(url)!r} begins with {scheme!r}; it must be one of {', '.join(sorted(known))}"
        )


def _installed() -> set[str]:
    from importlib.metadata import entry_points  # noqa: PLC0415 - only for a scheme from another package

    return {point.name for point in entry_points(group=GROUP)} | _SCHEMES
