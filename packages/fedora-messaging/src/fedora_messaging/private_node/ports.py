# SPDX-License-Identifier: MIT
"""Free ports on 127.0.0.1, held for as long as a node may want them.

A port is held with a socket that is bound with SO_REUSEADDR and does not listen. RabbitMQ, whose listeners set the
same option, can listen there; whoever looks for a free port without it cannot. The range is below the one from which
the kernel gives outgoing connections their ports: those were seen to take a port between choosing and listening.
"""

from __future__ import annotations

import errno
import random
import socket
from typing import TYPE_CHECKING

from ..exceptions import NodeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

HOST = "127.0.0.1"
RANGE = range(20000, 32000)
ATTEMPTS = 200

__all__ = ["HOST", "RANGE", "Ports", "free_port"]


class Ports:
    """A port for each name, held until :meth:`release`.

    Arguments:
        names: what ports are needed for.
        wanted: ports that are given; 0 stands for any.

    Raises:
        NodeError: a given port is taken or not allowed.
    """

    def __init__(self, names: Iterable[str], wanted: Mapping[str, int]) -> None:
        self.numbers: dict[str, int] = {}
        self._held: list[socket.socket] = []
        self._wanted = wanted
        try:
            # The given ones first, so that no free choice takes them.
            for name in sorted(names, key=lambda name: not wanted.get(name)):
                self.numbers[name] = self._hold(name, wanted.get(name, 0))
        except NodeError:
            self.release()
            raise

    @property
    def given(self) -> bool:
        """Whether no port was left to choice, so that choosing anew is of no use."""
        return all(self._wanted.get(name) for name in self.numbers)

    def release(self) -> None:
        """Let others have the ports."""
        for held in self._held:
            held.close()
        self._held.clear()

    def _hold(self, name: str, wanted: int) -> int:
        if wanted:
            self._hold_given(name, wanted)
            return wanted
        for _ in range(ATTEMPTS):
            port = random.choice(RANGE)  # noqa: S311 - not a secret
            held = socket.socket()
            try:
                held.bind((HOST, port))  # without SO_REUSEADDR: not one that another private node holds
                held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            except OSError:
                held.close()
                continue
            self._held.append(held)
            return port
        raise NodeError(f"No free port on {HOST} from {RANGE.start} to {RANGE.stop}.")

    def _hold_given(self, name: str, port: int) -> None:
        held = socket.socket()
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            held.bind((HOST, port))
        except (OSError, OverflowError) as error:
            held.close()
            taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
            reason = "it is taken by another program" if taken else str(error)
            raise NodeError(f"Port {port} on {HOST} cannot be used for {name}: {reason}.") from error
        self._held.append(held)


_for_good: list[Ports] = []


def free_port() -> int:
    """A port for a program that this process will start or be: nobody else is given it until this process ends.

    Whatever sets SO_REUSEADDR can listen there: libzmq, asyncio's and the standard library's servers, RabbitMQ.

    Raises:
        NodeError: none is free.
    """
    ports = Ports(["port"], {})
    _for_good.append(ports)
    return ports.numbers["port"]
