# SPDX-License-Identifier: MIT
"""A real broker's own judgement on expressions, many at once: the functions that its channels ask."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from fedora_messaging.private_node import PrivateNode

BACKEND = "rabbit_auth_backend_internal"


class Judge:
    """A user in a virtual host, whose permissions are set and asked for."""

    def __init__(self, node: PrivateNode, user: str, vhost: str) -> None:
        self.node, self.user, self.vhost = node, user, vhost

    def publishes(self, asked: Iterable[tuple[str, Sequence[bytes]]]) -> list[list[bool]]:
        """For each expression, which of the topics may be published."""
        return self._topics(asked, "write")

    def binds(self, asked: Iterable[tuple[str, Sequence[bytes]]]) -> list[list[bool]]:
        """For each expression, which of the patterns may be bound."""
        return self._topics(asked, "read")

    def _topics(self, asked: Iterable[tuple[str, Sequence[bytes]]], word: str) -> list[list[bool]]:
        resource = f'{{resource, {self._vhost}, topic, <<"amq.topic">>}}'
        check = (
            f"{BACKEND}:check_topic_access({self._user}, {resource}, {word}, #{{routing_key => One, "
            f'variable_map => #{{<<"username">> => {_binary(self.user)}, <<"vhost">> => {self._vhost}}}}})'
        )
        put = f'{BACKEND}:set_topic_permissions({_binary(self.user)}, {self._vhost}, <<"amq.topic">>, E, E, <<"t">>)'
        return self._ask(asked, put, check)

    def named(self, asked: Iterable[tuple[str, Sequence[bytes]]]) -> list[list[bool]]:
        """For each expression, which names are permitted."""
        resource = f"{{resource, {self._vhost}, queue, One}}"
        check = f"{BACKEND}:check_resource_access({self._user}, {resource}, configure, #{{}})"
        put = f'{BACKEND}:set_permissions({_binary(self.user)}, {self._vhost}, E, E, E, <<"t">>)'
        return self._ask(asked, put, check)

    @property
    def _user(self) -> str:
        return f"{{auth_user, {_binary(self.user)}, [], none}}"

    @property
    def _vhost(self) -> str:
        return _binary(self.vhost)

    def _ask(self, asked: Iterable[tuple[str, Sequence[bytes]]], put: str, check: str) -> list[list[bool]]:
        pairs = ", ".join(
            f"{{{_binary(expression)}, [{', '.join(map(_binary, many))}]}}" for expression, many in asked
        )
        answer = self.node.evaluate(
            f"lists:append([begin {put}, [case {check} of true -> $1; false -> $0 end || One <- All] ++ [$,] end"
            f" || {{E, All}} <- [{pairs}]])",
            timeout=60,
        )
        return [[one == "1" for one in found] for found in answer.strip('"').split(",")[:-1]]


@contextmanager
def judge(node: PrivateNode) -> Iterator[Judge]:
    """A user and a virtual host of their own."""
    user, vhost = f"user-{secrets.token_hex(4)}", f"test-{secrets.token_hex(4)}"
    node.add_vhost(vhost)
    node.management("PUT", f"/api/users/{user}", {"password": "x", "tags": ""})
    try:
        yield Judge(node, user, vhost)
    finally:
        node.management("DELETE", f"/api/users/{user}")
        node.delete_vhost(vhost)


def _binary(text: str | bytes) -> str:
    data = text.encode() if isinstance(text, str) else text
    return f"<<{','.join(map(str, data))}>>"
