# SPDX-License-Identifier: MIT
"""Endpoints as text: what is wrong with one, in a line, before libzmq sees it. Nothing here does I/O."""

from __future__ import annotations

import ipaddress
import re

from ..exceptions import ToolsError

# sun_path of a Unix socket on Linux, less the final zero byte.
_LONGEST_IPC_PATH = 107
_SCHEMES = ("tcp", "ipc")
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?")


def check_connect(endpoint: str) -> None:
    """Raise :class:`ToolsError` when nothing can ever be connected to by this text.

    ``tcp://HOST:PORT`` (a name, an IPv4 address, or an IPv6 address in brackets) or ``ipc://PATH``. Names are not
    resolved here: libzmq does so at each attempt, and one that does not resolve now may later.
    """
    scheme, rest = _split(endpoint)
    if scheme == "ipc":
        return _check_path(endpoint, rest)
    host, port = _host_and_port(endpoint, rest)
    if host in {"", "*", "[*]"}:
        raise ToolsError(f"{endpoint!r}: '*' is for listening; to connect, name the publisher's host")
    if not (port.isdecimal() and 0 < int(port) < 65536):
        raise ToolsError(f"{endpoint!r}: the port has to be a number from 1 to 65535")
    return _check_host(endpoint, host)


def check_bind(endpoint: str) -> None:
    """Raise :class:`ToolsError` when nothing can ever listen at this text.

    As :func:`check_connect`; the host may be ``*`` (all interfaces), and the port ``*`` (one that is free).
    """
    scheme, rest = _split(endpoint)
    if scheme == "ipc":
        return _check_path(endpoint, rest)
    host, port = _host_and_port(endpoint, rest)
    if port != "*" and not (port.isdecimal() and int(port) < 65536):
        raise ToolsError(
            f"{endpoint!r}: the port has to be a number up to 65535, or '*' for any that is free"
        )
    return None if host == "*" else _check_host(endpoint, host)


def is_ipv6(endpoint: str) -> bool:
    """Whether the address is an IPv6 one in brackets."""
    return endpoint.startswith("tcp://[")


def _split(endpoint: str) -> tuple[str, str]:
    scheme, found, rest = endpoint.partition("://")
    if not found or scheme not in _SCHEMES:
        raise ToolsError(f"{endpoint!r} is no endpoint: it has to look like tcp://HOST:PORT or ipc:///PATH")
    if not rest or any(character.isspace() or not character.isprintable() for character in rest):
        raise ToolsError(f"{endpoint!r} is no endpoint: nothing, or a space, stands after {scheme}://")
    return scheme, rest


def _host_and_port(endpoint: str, rest: str) -> tuple[str, str]:
    host, found, port = rest.rpartition(":")
    if not found or not port or host.count("[") != host.count("]"):
        raise ToolsError(f"{endpoint!r} has no port: it has to look like tcp://HOST:PORT")
    return host, port


def _check_host(endpoint: str, host: str) -> None:
    if host.startswith("[") and host.endswith("]"):
        return _check_ipv6(endpoint, host[1:-1])
    if ":" in host:
        raise ToolsError(f"{endpoint!r}: an IPv6 address stands in brackets, as in tcp://[::1]:9940")
    if not _HOST.fullmatch(host):
        raise ToolsError(f"{endpoint!r}: {host!r} is no name of a host")
    return None


def _check_ipv6(endpoint: str, host: str) -> None:
    try:
        ipaddress.IPv6Address(host)
    except ValueError as exc:
        raise ToolsError(f"{endpoint!r}: {host!r} is no IPv6 address") from exc


def _check_path(endpoint: str, path: str) -> None:
    if len(path.encode(errors="surrogateescape")) > _LONGEST_IPC_PATH:
        raise ToolsError(f"{endpoint!r}: the path of a Unix socket holds at most {_LONGEST_IPC_PATH} bytes")
