# SPDX-License-Identifier: MIT
"""A private cluster: several private nodes that are one broker, on one machine. One of its nodes is a ``member``."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ..exceptions import NodeError
from . import installation, layout, login
from .boot import Boot
from .control import Control, binary
from .guard_client import GuardClient
from .member import Member
from .node import PrivateNode
from .ports import Ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from types import TracebackType

LEADER = """
case rabbit_amqqueue:lookup(rabbit_misc:r({vhost}, queue, {queue})) of
    {{ok, Q}} -> case amqqueue:get_pid(Q) of
        {{Ra, _}} -> case ra:members([{{Ra, N}} || N <- [node() | nodes()]], 2000) of
            {{ok, _, {{_, Leader}}}} -> Leader;
            _ -> none
        end;
        Pid when is_pid(Pid) -> node(Pid);
        _ -> none
    end;
    _ -> no_queue
end
"""

VIEW = """
Running = case erlang:function_exported(rabbit_nodes, list_running, 0) of
    true -> rabbit_nodes:list_running();
    _ -> rabbit_nodes:all_running()
end,
{{rabbit:is_running(), {others} -- nodes(), {others} -- Running, catch rabbit_node_monitor:partitions()}}
"""
"""Whether a node runs, which others it does not reach, which of them it says do not run, and which are partitioned."""

WHOLE = "{true,[],[],[]}"
PARTITIONED = re.compile(r"\{true,\[\],\[.*\],\[(.+)\]\}")
CUT = "[erlang:set_cookie(N, '{cookie}') || N <- {nodes}], [erlang:disconnect_node(N) || N <- {nodes}]"
REFUSE = "[erlang:set_cookie(N, '{cookie}') || N <- {nodes}]"
MEND = "[erlang:set_cookie(N, erlang:get_cookie()) || N <- {nodes}]"
CONNECT = "[net_kernel:connect_node(N) || N <- {nodes}]"
LOOK = 0.1
"""Seconds between two looks at nodes that should find together."""
GRUDGE = 3.0
"""Seconds after which two nodes that reach each other, and hold each other for partitioned, do so for good."""


class PrivateCluster:
    """A RabbitMQ cluster of one's own, on 127.0.0.1 only, gone with the process that made it, whatever ends that.

    ::

        with PrivateCluster() as cluster:
            session = Session({"amqp_urls": cluster.amqp_urls})
            cluster.leader_of("my-queue").kill()

    Three nodes take some six to eight seconds to start, and 110 MB of memory each. Each of :attr:`nodes` is a
    :class:`PrivateNode`, which may be killed, stopped, frozen, and started again by itself. They share one epmd, one
    cookie, and the administrator with his random password. A frozen node is given up by the others after
    ``net_ticktime`` seconds, or a quarter more.

    Arguments:
        nodes: how many; called ``rabbit1@localhost`` and so on.
        data: a folder for the data of all, kept afterwards, and usable again by a cluster of as many nodes; None for
            a temporary one.
        plugins: names of RabbitMQ's plugins to enable, on all nodes.
        config: lines of rabbitmq.conf for all nodes; they win over the cluster's own.
        advanced: the text of advanced.config.
        environment: more variables for Erlang and RabbitMQ.
        partitions: what a node does that cannot reach others (RabbitMQ's ``cluster_partition_handling``):
            ``pause_minority``, ``autoheal`` or ``ignore``.
        net_ticktime: seconds of silence after which a node is held for dead; Erlang's own default is 60.
        rabbitmq_home: as for :class:`PrivateNode`.
        root: as for :class:`PrivateNode`.
        timeout: seconds that the start of a node may take.
    """

    def __init__(
        self,
        nodes: int = 3,
        *,
        data: str | os.PathLike[str] | None = None,
        plugins: Iterable[str] = ("rabbitmq_management",),
        config: Mapping[str, layout.Value] | None = None,
        advanced: str = "[].",
        environment: Mapping[str, str] | None = None,
        partitions: str = "pause_minority",
        net_ticktime: int = 5,
        rabbitmq_home: str | os.PathLike[str] | None = None,
        root: str | os.PathLike[str] | None = None,
        timeout: float = 120.0,
    ) -> None:
        self._size = nodes
        self._data = None if data is None else Path(data).absolute()
        self._where: dict[str, Any] = {"rabbitmq_home": rabbitmq_home, "root": root}
        self._wanted: dict[str, Any] = {
            "plugins": (plugins,) if isinstance(plugins, str) else tuple(plugins),
            "config": {"cluster_partition_handling": partitions, **(config or {})},
            "advanced": advanced,
            "environment": {"ERL_FLAGS": f"-kernel net_ticktime {net_ticktime}", **(environment or {})},
            "timeout": timeout,
            **self._where,
        }
        self._timeout = timeout
        self._owner = 0
        self._folder: Path | None = None
        self._guard: GuardClient | None = None
        self._epmd: Ports | None = None
        self._nodes: tuple[Member, ...] = ()
        self._cut: set[str] = set()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # What the cluster is

    @property
    def nodes(self) -> tuple[PrivateNode, ...]:
        """All of them, those included that do not run."""
        if not self._nodes:
            raise NodeError("The private cluster has not been started.")
        return self._nodes

    @property
    def amqp_urls(self) -> list[str]:
        """One of each node, as for the library's setting ``amqp_urls``, with the virtual host ``/``."""
        return self.urls_of("/")

    def urls_of(self, vhost: str) -> list[str]:
        """The AMQP URLs of a virtual host, one of each node."""
        return [node.url_of(vhost) for node in self.nodes]

    @property
    def running(self) -> list[PrivateNode]:
        """The nodes that run, are not frozen, and are not cut off: those that can be asked."""
        return [
            node for node in self._nodes if node.running and not node.frozen and node.name not in self._cut
        ]

    def leader_of(self, queue: str, vhost: str = "/", *, timeout: float = 30.0) -> PrivateNode:
        """The node on which a queue's leader is; waits while an election is under way.

        Raises:
            NodeError: there is no such queue, or it had no leader that runs for ``timeout`` seconds.
        """
        question = LEADER.format(vhost=binary(vhost), queue=binary(queue))
        end = time.monotonic() + timeout
        while True:
            for node in self.running:
                answer = self._ask(node, question)
                if answer == "no_queue":
                    raise NodeError(f"There is no queue {queue!r} in the virtual host {vhost!r}.")
                leader = next((other for other in self.running if other.name == answer), None)
                if leader is not None:
                    return leader
            if time.monotonic() > end:
                raise NodeError(f"The queue {queue!r} had no leader that runs for {timeout:g} seconds.")
            time.sleep(LOOK)

    def add_vhost(self, name: str) -> list[str]:
        """Make a virtual host in which the administrator may do everything; returns its AMQP URLs."""
        self._anyone().add_vhost(name)
        return self.urls_of(name)

    def delete_vhost(self, name: str) -> None:
        """Delete a virtual host with all that is in it; its connections are closed."""
        self._anyone().delete_vhost(name)

    # Its life

    def start(self) -> None:
        """Start all nodes at once, join them, and wait until they are one cluster.

        Raises:
            NodeError: as for :meth:`PrivateNode.start`. Nothing is left behind.
        """
        if self._nodes:
            raise NodeError("The private cluster runs already.")
        try:
            self._prepare()
            self._on_all(PrivateNode.start)
            self._on_all(self._join)
            self.wait_until_whole()
        except BaseException:
            for node in self._nodes:
                node.kill()
            self.close()
            raise

    def close(self) -> None:
        """End all nodes and all that belongs to them; the data too, if temporary. May be called twice."""
        if self._owner not in {0, os.getpid()}:
            return  # a forked child: the cluster is its parent's
        nodes, self._nodes = self._nodes, ()
        try:
            with _threads(len(nodes) or 1) as threads:
                list(threads.map(self._end, nodes))
        finally:
            self._dismantle()

    def wait_until_whole(self, timeout: float = 60.0) -> None:
        """Wait until all nodes that run see each other, and each is ready.

        A node that was frozen for longer than ``net_ticktime`` never counts as one of them again until it is
        restarted, or until :meth:`heal`.

        Raises:
            NodeError: they did not within ``timeout`` seconds.
        """
        end = time.monotonic() + timeout
        while views := self._views():
            if time.monotonic() > end:
                seen = "; ".join(f"{node.name} sees {view}" for node, view in views.items())
                raise NodeError(f"The private cluster was not whole within {timeout:g} seconds: {seen}.")
            time.sleep(LOOK)

    # Hurting it

    def partition(self, *nodes: PrivateNode) -> None:
        """Cut these nodes off from the others, until :meth:`heal`; clients stay connected to both sides.

        Connections between the two sides are closed, and refused from then on (by the cookie). As in a partition of
        the network, each side takes the other for dead; unlike there, it learns so at once, and not after
        ``net_ticktime``: for silence, :meth:`PrivateNode.freeze` a node.
        With ``pause_minority`` the smaller side then closes its clients' connections and its ports. A node that died
        meanwhile is to be started after :meth:`heal`: in its start it waits for the others.
        """
        here = [node for node in self.nodes if node in nodes]
        there = [node for node in self.nodes if node not in nodes]
        for side, far, order in ((here, there, CUT), (there, here, REFUSE)):
            for node in side:
                self._tell(node, order, far, cookie=login.new())
        self._cut.update(node.name for node in here)

    def heal(self, *, timeout: float = 60.0) -> None:
        """End the partition, and wait until all nodes that run are one cluster again.

        A minority that does not come back by itself is restarted (``rabbitmqctl stop_app`` and ``start_app``), as
        RabbitMQ's guide has it: nodes that were frozen, or those of a cluster that ignores partitions.

        Raises:
            NodeError: they were not within ``timeout`` seconds.
        """
        self._cut.clear()
        for order in (MEND, CONNECT):
            for node in self.nodes:
                self._tell(node, order, [other for other in self.nodes if other is not node])
        end = time.monotonic() + min(GRUDGE, timeout)
        while (views := self._views()) and time.monotonic() < end:
            time.sleep(LOOK)
        for node in self.running:
            if self._is_minority(views.get(node, "")):
                node.evaluate("rabbit:stop(), rabbit:start()", timeout=self._timeout)
        self.wait_until_whole(timeout)

    # How it is done

    @staticmethod
    def _tell(node: PrivateNode, order: str, others: Iterable[PrivateNode], cookie: str = "") -> None:
        """An order about other nodes, to one that can hear it; a node that starts later begins with no grudge."""
        if node.running and not node.frozen:
            node.evaluate(order.format(nodes=_names(others), cookie=cookie))

    @staticmethod
    def _ask(node: PrivateNode, question: str) -> str:
        with contextlib.suppress(NodeError):
            return node.evaluate(question, timeout=10).strip("'")
        return ""

    def _anyone(self) -> PrivateNode:
        for node in self.running:
            return node
        raise NodeError("No node of the private cluster runs.")

    def _views(self) -> dict[PrivateNode, str]:
        """What the nodes see that do not see one whole cluster."""
        running = self.running
        views = {}
        for node in running:
            others = _names(other for other in running if other is not node)
            view = "".join(self._ask(node, VIEW.format(others=others)).split())
            if view != WHOLE:
                views[node] = view
        return views

    def _is_minority(self, view: str) -> bool:
        """Whether a node that reaches all others holds half of the cluster, or more, for partitioned from it."""
        found = PARTITIONED.fullmatch(view)
        return found is not None and 2 * (found[1].count(",") + 1) >= self._size

    def _on_all(self, action: Callable[[Member], None]) -> None:
        """Do it on all nodes at once."""
        with _threads(self._size) as threads:
            for done in [threads.submit(action, node) for node in self._nodes]:
                done.result()

    def _prepare(self) -> None:
        """The folder, its guard, an epmd, and the nodes."""
        self._owner = os.getpid()
        found = installation.choose(self._where["rabbitmq_home"], self._where["root"])
        if self._data is None:
            self._folder = Path(tempfile.mkdtemp(prefix="rabbitmq-"))
        else:
            self._data.mkdir(0o700, parents=True, exist_ok=True)
            self._folder = self._data
        self._guard = GuardClient(self._folder, temporary=self._data is None)
        self._epmd = Ports(["epmd"], {})
        port = self._epmd.numbers["epmd"]
        settings = layout.Settings(self._folder, {"epmd": port, "dist": 0})
        environment = layout.environment(settings, found, os.environ.get("PATH", ""))
        control = Control(settings, found, environment)
        Boot(settings, found, environment, self._guard, control).start_epmd()
        cookie = login.kept_in(self._folder, "cookie")
        password = login.kept_in(self._folder)
        self._nodes = tuple(
            Member(self._folder / f"rabbit{number}", port, cookie, password, self._wanted)
            for number in range(1, self._size + 1)
        )

    def _join(self, node: Member) -> None:
        if not node.joined:
            node.join(self._nodes[0].name, self._timeout)

    def _end(self, node: PrivateNode) -> None:
        if self._data is None:
            node.kill()
        node.close()

    def _dismantle(self) -> None:
        if self._guard is not None:
            self._guard.close()
            self._guard = None
        if self._folder is not None and self._data is None:
            shutil.rmtree(self._folder, ignore_errors=True)
        if self._epmd is not None:
            self._epmd.release()


def _names(nodes: Iterable[PrivateNode]) -> str:
    """Their names, as a list in Erlang."""
    return "[" + ", ".join(f"'{node.name}'" for node in nodes) + "]"


@contextlib.contextmanager
def _threads(number: int) -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(number, "private-cluster") as threads:
        yield threads
