# SPDX-License-Identifier: MIT
"""A node of a private cluster: how it differs from a private node, and how it joins. The cluster is in ``cluster``."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from ..exceptions import NodeError
from . import layout, login
from .control import binary
from .node import PrivateNode
from .ports import Ports

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

JOIN = """
rabbit:stop(),
Joined = case code:ensure_loaded(rabbit_db_cluster) of
    {{module, _}} -> rabbit_db_cluster:join('{first}', disc);
    _ -> rabbit_mnesia:join_cluster('{first}', disc)
end,
rabbit:start(),
Joined
"""
"""``rabbitmqctl stop_app, join_cluster, start_app`` without the tool; rabbit_db_cluster came with RabbitMQ 3.12."""


class Member(PrivateNode):
    """A node whose epmd, cookie and password are the cluster's.

    Arguments:
        folder: for its data; its name is the node's.
        epmd: the port of the cluster's.
        cookie: the cluster's.
        password: the administrator's.
        wanted: more arguments for :class:`PrivateNode`.

    Until it has joined it runs without plugins: with the management plugin RabbitMQ 3.10 takes five seconds to stop,
    and who joins has to stop.
    """

    def __init__(
        self, folder: Path, epmd: int, cookie: str, password: str, wanted: Mapping[str, Any]
    ) -> None:
        config = {"default_pass": password, **wanted["config"]}
        super().__init__(folder, **{**wanted, "config": config, "name": folder.name})
        self._own_folder = folder
        self._epmd = epmd
        self._cookie_text = cookie

    @property
    def _mark(self) -> Path:
        return self._own_folder / "joined"

    @property
    def joined(self) -> bool:
        """Whether its data is that of a member."""
        return self._mark.exists()

    def join(self, first: str, timeout: float) -> None:
        """Become a member of the cluster of the node ``first``, and enable the plugins."""
        if first != self.name:
            answer = self.evaluate(JOIN.format(first=first), timeout=timeout)
            if answer not in {"ok", "{ok, already_member}"}:
                raise NodeError(f"The node {self.name} could not join the cluster: {answer}")
        self._mark.touch()
        if self._plugins:
            file = self._own_folder / "enabled_plugins"
            login.write_privately(file, layout.files(self._settings)[file])
            answer = self.evaluate(
                f"rabbit_plugins:ensure(binary_to_list({binary(str(file))}))", timeout=timeout
            )
            if not answer.startswith("{ok"):
                raise NodeError(f"The node {self.name} could not enable its plugins: {answer}")

    @property
    def _settings(self) -> layout.Settings:
        settings = dataclasses.replace(super()._settings, cookie_text=self._cookie_text, own_epmd=False)
        return settings if self.joined else dataclasses.replace(settings, plugins=())

    def _choose_ports(self) -> Ports:
        names = [name for name in layout.port_names(self._plugins, self._wanted) if name != "epmd"]
        ports = Ports(names, self._wanted)
        ports.numbers["epmd"] = self._epmd
        return ports
