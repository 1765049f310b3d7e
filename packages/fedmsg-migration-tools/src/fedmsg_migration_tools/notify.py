# SPDX-License-Identifier: MIT
"""What a service tells systemd: ready, alive, reloading, stopping (sd_notify(3), ``Type=notify``).

Each word is one datagram to the socket that ``$NOTIFY_SOCKET`` names; without it, as on a terminal, nothing is
sent. When to say what is the caller's decision: no timer is here.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import MutableMapping

__all__ = ["Notifier"]

_log = logging.getLogger(__name__)

_TIMEOUT = 1.0  # seconds that one word may take; systemd's queue is full when it does not answer
_MICROSECONDS = 1_000_000


class Notifier:
    """The line to systemd. No method raises, and none waits for more than a second.

    Arguments:
        environment: where ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and ``WATCHDOG_PID`` are, the process's own when
            omitted. They are removed from it, so that child processes do not speak for this one.
    """

    def __init__(self, environment: MutableMapping[str, str] | None = None) -> None:
        environment = os.environ if environment is None else environment
        self._socket = _connect(environment.pop("NOTIFY_SOCKET", ""))
        self.watchdog = _watchdog(environment.pop("WATCHDOG_USEC", ""), environment.pop("WATCHDOG_PID", ""))
        """Seconds after which systemd takes a silent service for dead (``WatchdogSec=``), or None: no watchdog.
        Feed it at least twice in that time."""

    @property
    def listening(self) -> bool:
        """Whether systemd listens."""
        return self._socket is not None

    def ready(self, status: str = "") -> None:
        """The start, or a reload, is done."""
        self._send("READY=1", *_status(status))

    def status(self, text: str) -> None:
        """One line for ``systemctl status``."""
        self._send(*_status(text))

    def alive(self) -> None:
        """Feed the watchdog."""
        if self.watchdog is not None:
            self._send("WATCHDOG=1")

    def reloading(self) -> None:
        """The configuration is read again; :meth:`ready` ends it."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self, status: str = "") -> None:
        """The end has begun."""
        self._send("STOPPING=1", *_status(status))

    def extend(self, seconds: float) -> None:
        """The start or the stop in hand may take this much longer, from now."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * _MICROSECONDS)}")

    def close(self) -> None:
        """Say no more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, *words: str) -> None:
        if self._socket is None:
            return
        try:
            self._socket.send("\n".join(words).encode())
        except OSError as error:
            _log.debug("systemd does not listen: %s", error)


def _connect(address: str) -> socket.socket | None:
    # sd_notify(3): an absolute path, or with @ the abstract namespace; what else there is (vsock) serves machines.
    if not address.startswith(("/", "@")):
        return None
    line = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    line.settimeout(_TIMEOUT)
    try:
        line.connect("\0" + address[1:] if address[0] == "@" else address)
    except OSError as error:
        _log.warning(
            "systemd cannot be told anything, $NOTIFY_SOCKET is %s: %s", address, error.strerror or error
        )
        line.close()
        return None
    return line


def _watchdog(microseconds: str, pid: str) -> float | None:
    # sd_watchdog_enabled(3): it is meant for another process when the number is not ours.
    if not microseconds.isdecimal() or int(microseconds) == 0 or (pid and pid != str(os.getpid())):
        return None
    return int(microseconds) / _MICROSECONDS


def _status(text: str) -> list[str]:
    return [f"STATUS={' '.join(text.splitlines())}"] if text else []
