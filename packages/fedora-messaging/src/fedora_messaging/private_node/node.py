# SPDX-License-Identifier: MIT
"""A private RabbitMQ node: starting it, stopping it, hurting it. The parts are in the other modules of the package."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ..exceptions import NodeError
from . import diagnosis, installation, layout, login
from .asking import Asking
from .boot import Boot, require_space
from .control import Control
from .guard_client import GuardClient
from .ports import Ports

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType

ATTEMPTS = 5
"""How often to choose other ports when somebody took one between choosing and listening."""
STOPPING = 60.0
"""Seconds that a clean stop may take; 3.10 with the management plugin needs 6."""


class PrivateNode(Asking):
    """A RabbitMQ node of one's own, on 127.0.0.1 only, gone with the process that made it, whatever ends that.

    ::

        with PrivateNode() as node:
            publish_to(node.amqp_url)

    It takes some three to five seconds to start. It has its own epmd, cookie, ports and logs, and disturbs neither a
    system-wide RabbitMQ nor another private node. It needs no root, and works as root. Leaving the ``with`` block
    kills it at once when its data is temporary, and stops it cleanly when a folder was given.

    Its administrator, :attr:`user`, has a random password. A folder that is kept has it in the file ``password``.

    Arguments:
        data: a folder for the node's data, made if it is missing, kept afterwards, and usable again by another
            private node of the same name; None for a temporary one.
        plugins: names of RabbitMQ's plugins to enable. Their listeners get free ports on 127.0.0.1.
        config: lines of rabbitmq.conf, like ``{"heartbeat": 5}``; they win over those of the node, None removes one.
        advanced: the text of advanced.config.
        environment: more variables for Erlang and RabbitMQ.
        ports: ports by name (``amqp``, ``management``, ``prometheus``, ``mqtt``, ``stomp``, ``stream``, ``dist``,
            ``epmd``); the others are free ones from 20000 to 32000. A name that no plugin needs gets a port too
            (0: a free one): ``amqps`` becomes the TLS listener, any other is only held for you.
        name: of the node, ``name@host`` or only ``name`` (then at localhost). The data belongs to the name.
        rabbitmq_home: the folder of RabbitMQ; default $RABBITMQ_HOME, else the newest one installed.
        root: instead, a folder with a whole distribution in it, as by ``debootstrap``; default $RABBITMQ_ROOT.
        timeout: seconds that a start may take.

    Nothing is looked up or written before :meth:`start`. All methods may be called from any thread, one at a time.
    """

    def __init__(
        self,
        data: str | os.PathLike[str] | None = None,
        *,
        plugins: Iterable[str] = ("rabbitmq_management",),
        config: Mapping[str, layout.Value] | None = None,
        advanced: str = "[].",
        environment: Mapping[str, str] | None = None,
        ports: Mapping[str, int] | None = None,
        name: str = "rabbit@localhost",
        rabbitmq_home: str | os.PathLike[str] | None = None,
        root: str | os.PathLike[str] | None = None,
        timeout: float = 120.0,
    ) -> None:
        self._data = None if data is None else Path(data).absolute()
        self._plugins = (plugins,) if isinstance(plugins, str) else tuple(plugins)
        self._config = dict(config or {})
        self._advanced = advanced
        self._extra_environment = dict(environment or {})
        self._wanted = dict(ports or {})
        self._name = name if "@" in name else f"{name}@localhost"
        self._home = rabbitmq_home
        self._root = root
        self._timeout = timeout
        self._one_at_a_time = threading.RLock()
        self._owner = 0
        self._installation: installation.Installation | None = None
        self._folder: Path | None = None
        self._password = ""
        self._guard: GuardClient | None = None
        self._ports: Ports | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # What the node is

    @property
    def folder(self) -> Path:
        """Where the node's files are. Its log is ``node.log`` there."""
        if self._folder is None:
            raise NodeError("The private node has not been started.")
        return self._folder

    @property
    def ports(self) -> dict[str, int]:
        """All ports by name."""
        if self._ports is None:
            raise NodeError("The private node has not been started.")
        return dict(self._ports.numbers)

    @property
    def name(self) -> str:
        """The node's Erlang name."""
        return self._name

    @property
    def user(self) -> str:
        return str(self._config.get("default_user") or login.USER)

    @property
    def password(self) -> str:
        if self._config.get("default_pass"):
            return str(self._config["default_pass"])
        if not self._password:
            raise NodeError("The private node has not been started.")
        return self._password

    @property
    def pid(self) -> int:
        """Of the Erlang virtual machine that is the node.

        Raises:
            NodeError: it does not run.
        """
        with self._lock:
            if not self.running:
                raise NodeError("The private node does not run.")
            return self._guarded.pids["node"]

    @property
    def running(self) -> bool:
        """Whether the node's process is there (it may be frozen)."""
        with self._lock:
            if self._guard is None or not self._ours:
                return False
            while self._guard.hear():
                pass
            return self._guard.runs("node")

    @property
    def frozen(self) -> bool:
        """Whether :meth:`freeze` has stopped the node's process."""
        with self._lock:
            return self.running and "node" in self._guarded.stopped

    def log(self, lines: int = diagnosis.LINES) -> str:
        """The last lines that the node logged; empty before its first start, and after :meth:`close`."""
        with contextlib.suppress(OSError, NodeError):
            return diagnosis.tail(self._settings.log.read_text(errors="replace"), lines)
        return ""

    # Its life

    def start(self) -> None:
        """Start the node and wait until it is ready. Again after :meth:`stop` or :meth:`kill`: same data, same ports.

        Raises:
            NodeError: RabbitMQ is missing, a given port is taken, the disk is full, the configuration is wrong, it
                took too long: with the end of the node's log. Nothing is left behind.
        """
        with self._lock:
            if self.running:
                raise NodeError("The private node runs already.")
            try:
                if self._guard is None:
                    self._prepare()
                elif self._guard.over:
                    self._guard.close()
                    self._guard = GuardClient(self.folder, temporary=self._data is None)
                self._boot()
            except BaseException as error:
                self.kill()  # a RabbitMQ that has just begun to start was seen to ignore SIGTERM
                self.close()
                if isinstance(error, OSError):
                    raise NodeError(f"The private node cannot be set up: {_told(error)}.") from error
                raise

    def stop(self, timeout: float = STOPPING) -> None:
        """End the node cleanly (SIGTERM), its data stays; SIGKILL if that takes longer than ``timeout`` seconds."""
        with self._lock:
            if self.running:
                self.thaw()
                self._guarded.signal("node", signal.SIGTERM)
                if not self._wait_for_end(timeout):
                    self.kill()

    def kill(self) -> None:
        """End the node by SIGKILL, its data stays."""
        with self._lock:
            if self.running:
                self._guarded.signal("node", signal.SIGKILL)
                self._wait_for_end(STOPPING)

    def restart(self) -> None:
        """:meth:`stop` and :meth:`start`."""
        with self._lock:
            self.stop()
            self.start()

    def freeze(self) -> None:
        """Stop the node's process in its tracks (SIGSTOP): connections stay open, nothing answers."""
        with self._lock:
            if self.running:
                self._guarded.signal("node", signal.SIGSTOP)
                self._guarded.wait(lambda: "node" in self._guarded.stopped, 10)

    def thaw(self) -> None:
        """Let a frozen node go on."""
        with self._lock:
            if self.running and "node" in self._guarded.stopped:
                self._guarded.signal("node", signal.SIGCONT)
                self._guarded.wait(lambda: "node" not in self._guarded.stopped, 10)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the node's process ends; False if it has not after ``timeout`` seconds."""
        end = float("inf") if timeout is None else time.monotonic() + timeout
        while self.running:
            left = end - time.monotonic()
            if left <= 0:
                return False
            # Not for ever: another thread may have heard the news.
            select.select([self._guarded], [], [], min(left, 1.0))
        return True

    def close(self) -> None:
        """End the node and all that belongs to it; the data too, if temporary. May be called twice."""
        if not self._ours:
            return  # a forked child: the node is its parent's
        with self._lock:
            try:
                if self._data is not None:
                    self.stop()
            finally:
                self._dismantle()

    # How it is done

    @property
    def _ours(self) -> bool:
        return self._owner in {0, os.getpid()}

    @property
    def _lock(self) -> contextlib.AbstractContextManager[object]:
        # A forked child may have inherited the lock as a thread held it that the child does not have.
        return self._one_at_a_time if self._ours else contextlib.nullcontext()

    @property
    def _guarded(self) -> GuardClient:
        if self._guard is None or not self._ours:
            raise NodeError("The private node has not been started by this process, or was closed.")
        return self._guard

    @property
    def _settings(self) -> layout.Settings:
        return layout.Settings(
            folder=self.folder,
            ports=self.ports,
            name=self._name,
            plugins=self._plugins,
            config=self._config,
            advanced=self._advanced,
            environment=self._extra_environment,
            user=self.user,
            password=self.password,
            memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        )

    @property
    def _environment(self) -> dict[str, str]:
        return layout.environment(self._settings, self._found, os.environ.get("PATH", ""))

    @property
    def _found(self) -> installation.Installation:
        if self._installation is None:
            raise NodeError("The private node has not been started.")
        return self._installation

    @property
    def _control(self) -> Control:
        return Control(self._settings, self._found, self._environment)

    def _prepare(self) -> None:
        """Everything before the first start: find RabbitMQ, make the folder, set the guard."""
        self._owner = os.getpid()
        self._ports = None
        self._installation = installation.choose(self._home, self._root)
        self._installation.require(self._plugins)
        if self._data is None:
            self._folder = Path(tempfile.mkdtemp(prefix="rabbitmq-"))
        else:
            self._data.mkdir(0o700, parents=True, exist_ok=True)
            self._folder = self._data
        self._guard = GuardClient(self._folder, temporary=self._data is None)
        require_space(self._folder)
        self._password = login.new() if self._data is None else login.kept_in(self._folder)

    def _boot(self) -> None:
        """Start the node, on other ports if somebody took one of those chosen."""
        for attempt in range(1, ATTEMPTS + 1):
            if self._ports is None:
                self._ports = self._choose_ports()
            boot = Boot(self._settings, self._found, self._environment, self._guarded, self._control)
            try:
                boot.run(self._timeout)
            except NodeError:
                if attempt == ATTEMPTS or self._ports.given or not boot.port_taken:
                    raise
                self._guarded.end_all()
                self._ports.release()
                self._ports = None
            else:
                return

    def _choose_ports(self) -> Ports:
        return Ports(layout.port_names(self._plugins, self._wanted), self._wanted)

    def _wait_for_end(self, timeout: float) -> bool:
        return self._guarded.wait(lambda: not self._guarded.runs("node"), timeout) or not self.running

    def _dismantle(self) -> None:
        if self._guard is not None:
            self._guard.close()
            self._guard = None
        # Nothing is left of it, unless the guard was killed.
        if self._folder is not None and self._data is None:
            shutil.rmtree(self._folder, ignore_errors=True)
        if self._ports is not None:
            self._ports.release()


def _told(error: OSError) -> str:
    return f"{error.strerror}: {error.filename}" if error.filename else str(error)
