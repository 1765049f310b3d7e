# SPDX-License-Identifier: MIT
"""What can be asked of a node that runs: the part of :class:`PrivateNode` that neither starts nor ends anything."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING
from urllib.parse import quote

from ..exceptions import NodeError
from . import layout
from .control import Control, Management, binary

if TYPE_CHECKING:
    from collections.abc import Mapping

CALL = 30.0
"""Seconds that one command to the node may take."""


class Asking(ABC):
    """Talking to a node: where it is, and commands to it."""

    @property
    @abstractmethod
    def ports(self) -> Mapping[str, int]:
        """All ports by name."""

    @property
    @abstractmethod
    def user(self) -> str:
        """The administrator that a fresh node has: ``admin``, or what ``default_user`` in ``config`` says."""

    @property
    @abstractmethod
    def password(self) -> str:
        """The administrator's password: random, or what ``default_pass`` in ``config`` says."""

    @property
    @abstractmethod
    def _control(self) -> Control: ...

    @property
    def amqp_port(self) -> int:
        """The port that clients connect to, on 127.0.0.1."""
        return self.ports["amqp"]

    @property
    def amqp_url(self) -> str:
        """For clients, with the administrator's name and password, and the virtual host ``/``."""
        return self.url_of("/")

    def url_of(self, vhost: str) -> str:
        """The AMQP URL of a virtual host."""
        who = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"
        return f"amqp://{who}@{layout.HOST}:{self.amqp_port}/{quote(vhost, safe='')}"

    @property
    def management_url(self) -> str:
        """For browsers; needs the management plugin."""
        return f"http://{layout.HOST}:{self._management_port}/"

    @property
    def management(self) -> Management:
        """The HTTP API, as the administrator: ``node.management("GET", "/api/queues")``."""
        return Management(self._management_port, self.user, self.password)

    def evaluate(self, erlang: str, *, timeout: float = CALL) -> str:
        """Run an Erlang expression in the node (5 ms); returns its printed result.

        Raises:
            NodeError: it failed, or there was no answer within ``timeout`` seconds.
        """
        return self._control.evaluate(erlang, timeout)

    def ctl(self, *arguments: str, timeout: float = 60.0) -> str:
        """Run ``rabbitmqctl`` with these arguments (half a second); returns what it prints.

        Raises:
            NodeError: it failed, or took longer than ``timeout`` seconds.
        """
        return self._control.ctl(arguments, timeout)

    def add_vhost(self, name: str) -> str:
        """Make a virtual host in which the administrator may do everything; returns its AMQP URL. 20 ms."""
        vhost, user = binary(name), binary(self.user)
        self.evaluate(f"case rabbit_vhost:add({vhost}, {user}) of ok -> ok; {{error, E}} -> throw(E) end")
        everything = '<<".*">>, <<".*">>, <<".*">>'
        self.evaluate(f"rabbit_auth_backend_internal:set_permissions({user}, {vhost}, {everything}, {user})")
        return self.url_of(name)

    def delete_vhost(self, name: str) -> None:
        """Delete a virtual host with all that is in it; its connections are closed."""
        self.evaluate(f"rabbit_vhost:delete({binary(name)}, {binary(self.user)})")

    @property
    def _management_port(self) -> int:
        if "management" not in self.ports:
            raise NodeError("The private node was started without the plugin rabbitmq_management.")
        return self.ports["management"]
