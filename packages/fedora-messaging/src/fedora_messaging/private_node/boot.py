# SPDX-License-Identifier: MIT
"""One start of a node under its guard: write its files, start epmd and Erlang, wait until RabbitMQ is ready.

Choosing ports and cleaning up do not belong here.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import select
import shutil
import socket
import time
from typing import TYPE_CHECKING

from ..exceptions import NodeError
from . import diagnosis, layout
from .login import write_privately

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from .control import Control
    from .guard_client import GuardClient
    from .installation import Installation

EPMD = 10.0
"""Seconds that epmd may take to listen; it takes 5 ms."""
LOOK = 1.0
"""Seconds between two looks at a node that should say by itself when it is ready."""
SPACE = 100 * 1024**2
"""Bytes that must be free on the disk: at 50 MB RabbitMQ stops taking messages."""
READY = "{rabbit_boot_state:has_reached(ready), element(1, init:get_status())}"


class Boot:
    """One start.

    Arguments:
        settings: of the node.
        installation: where RabbitMQ is.
        environment: for all programs.
        guard: under which they run.
        control: for asking the node how far it is.
    """

    def __init__(
        self,
        settings: layout.Settings,
        installation: Installation,
        environment: Mapping[str, str],
        guard: GuardClient,
        control: Control,
    ) -> None:
        self._settings = settings
        self._installation = installation
        self._environment = environment
        self._guard = guard
        self._control = control
        self._offset = 0
        self.port_taken = False
        """Whether it failed because somebody else listens on one of the ports."""

    def run(self, timeout: float) -> None:
        """Start, and return when RabbitMQ is ready.

        Raises:
            NodeError: it ended, or was not ready within ``timeout`` seconds.
        """
        began = time.monotonic()
        write_files(self._settings)
        with contextlib.suppress(FileNotFoundError):
            self._offset = self._settings.log.stat().st_size
        with notifications(self._settings.notify) as told:
            if self._settings.own_epmd and not self._guard.runs("epmd"):
                self.start_epmd()
            self._spawn("node", layout.node_command(self._settings, self._installation))
            if self._is_ready_before(began + timeout, told):
                return
        self._fail(time.monotonic() - began)

    def _spawn(self, name: str, command: list[str], *, needed: bool = False) -> None:
        settings = self._settings
        self._guard.spawn(
            name, command, env=self._environment, cwd=settings.folder, log=settings.log, needed=needed
        )
        self._guard.wait(lambda: self._guard.runs(name) or name in self._guard.exits, 10)

    def start_epmd(self) -> None:
        """And wait until it listens: the node does not wait for it."""
        self._spawn("epmd", layout.epmd_command(self._settings, self._installation), needed=True)
        end = time.monotonic() + EPMD
        while time.monotonic() < end:
            self._guard.hear(0.005)
            if not self._guard.runs("epmd"):
                break
            if epmd_answers(self._settings.ports["epmd"]):
                return
        taken = self._taken(["epmd"])
        self.port_taken = bool(taken)
        reason = taken or "it does not answer"
        raise NodeError(f"The private node's epmd did not start: {reason}.", diagnosis.tail(self._log()))

    def _is_ready_before(self, end: float, told: socket.socket | None) -> bool:
        """RabbitMQ says when it is ready (sd_notify); the Erlang system around it has started a moment later.

        Before that, ``rabbit:stop()`` would end the whole system. Where it says nothing, it is asked.
        """
        watched: list[GuardClient | socket.socket] = [self._guard, told] if told else [self._guard]
        pause = LOOK if told else LOOK / 5
        look = time.monotonic() + pause
        while (now := time.monotonic()) < end:
            select.select(watched, [], [], max(0.0, min(look, end) - now))
            self._guard.hear()
            if not self._guard.runs("node"):
                return False
            if told and says_ready(told):
                pause, look = 0.005, 0.0
            if time.monotonic() >= look:
                if self._answers_ready():
                    return True
                look = time.monotonic() + pause
        return False

    def _answers_ready(self) -> bool:
        with contextlib.suppress(NodeError):
            return re.sub(r"\s", "", self._control.evaluate(READY, 10)) == "{true,started}"
        return False

    def _fail(self, seconds: float) -> None:
        status, log = self._guard.exits.get("node"), self._log()
        because = diagnosis.cause(log)
        if status is not None and diagnosis.port_taken(log):
            self.port_taken = True
            because = (
                self._taken(self._settings.ports.keys() - {"epmd"}) or "another program took one of its ports"
            )
        sentence = diagnosis.ending(status, seconds) + (f": {because}." if because else ".")
        raise NodeError(sentence, diagnosis.tail(log))

    def _taken(self, names: Iterable[str]) -> str:
        """Which of the ports somebody listens on, while the node does not."""
        ports = {name: self._settings.ports[name] for name in sorted(names)}
        taken = [f"port {port} ({name})" for name, port in ports.items() if listens(port)]
        return f"another program took {' and '.join(taken)}" if taken else ""

    def _log(self) -> str:
        """What was logged in this start."""
        with contextlib.suppress(OSError), self._settings.log.open("rb") as log:
            log.seek(self._offset)
            return log.read().decode(errors="replace")
        return ""


def require_space(folder: Path) -> None:
    """See that there is room for a node's data.

    Raises:
        NodeError: there is not.
    """
    free = shutil.disk_usage(folder).free
    if free < SPACE:
        raise NodeError(
            f"There is not enough space on the disk of {folder}: "
            f"{free // 1024**2} MB free, a node needs {SPACE // 1024**2} MB."
        )


def listens(port: int) -> bool:
    """Whether somebody takes connections there."""
    with contextlib.suppress(OSError):
        socket.create_connection((layout.HOST, port), timeout=EPMD).close()
        return True
    return False


def epmd_answers(port: int) -> bool:
    """Whether an epmd listens there; asks for the names it knows (Erlang distribution protocol, NAMES_REQ)."""
    with contextlib.suppress(OSError), socket.create_connection((layout.HOST, port), timeout=EPMD) as epmd:
        epmd.sendall(b"\0\1n")
        return bool(epmd.recv(4))
    return False


def write_files(settings: layout.Settings) -> None:
    """Configuration, which has a password in it, and cookie; the cookie of a folder that was used before stays."""
    settings.cookie.parent.mkdir(exist_ok=True)
    if not settings.cookie.exists():
        settings.cookie.touch(mode=0o600)
        settings.cookie.write_text(settings.cookie_text or secrets.token_hex(20))
        settings.cookie.chmod(0o400)
    for path, text in layout.files(settings).items():
        write_privately(path, text)


@contextlib.contextmanager
def notifications(path: Path | None) -> Iterator[socket.socket | None]:
    """The socket on which RabbitMQ tells a service manager how far it is."""
    if path is None:
        yield None
        return
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.setblocking(False)
        told.bind(str(path))
        try:
            yield told
        finally:
            path.unlink(missing_ok=True)


def says_ready(told: socket.socket) -> bool:
    """Take in one notification, and say whether it is that the service is ready."""
    with contextlib.suppress(BlockingIOError):
        return "READY=1" in told.recv(4096).decode(errors="replace").split("\n")
    return False
