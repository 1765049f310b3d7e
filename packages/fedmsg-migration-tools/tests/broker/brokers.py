# SPDX-License-Identifier: MIT
"""A broker to change, files for it, and what is allowed on it as RabbitMQ itself judges."""

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from fedmsg_migration_tools.broker.bus.desired import Secrets, desired
from fedmsg_migration_tools.broker.bus.file import check
from fedmsg_migration_tools.broker.changing.applying import Result, apply
from fedmsg_migration_tools.broker.changing.aside import of_bus
from fedmsg_migration_tools.broker.changing.changes import Plan
from fedmsg_migration_tools.broker.changing.live import facts, live
from fedmsg_migration_tools.broker.changing.plan import plan
from fedmsg_migration_tools.management.client import Management
from fedmsg_migration_tools.management.server import Server
from fedora_messaging.private_node import PrivateNode

PLUGINS = ("rabbitmq_management", "rabbitmq_federation", "rabbitmq_federation_management")


SECRETS = {
    "OLD": "old-secret",
    "NEW": "new-secret",
    "OLD_URI": "amqp://u:old-secret@localhost",
    "NEW_URI": "amqp://u:new-secret@localhost",
}


class Killed(Exception):
    """We are dead."""


class Dying(Management):
    """Dies after so many requests that change something.

    Arguments:
        node: whose API.
        lives: how many are made.
        watching: called after each.
    """

    def __init__(self, node: PrivateNode, lives: float = float("inf"), watching: Any = None) -> None:
        super().__init__([server(node)])
        self.lives = lives
        self.changes: list[tuple[str, tuple[str, ...]]] = []
        self.watching = watching

    def request(
        self, method: str, *path: str, body: Any = None, query: Mapping[str, str | int] | None = None
    ) -> Any:
        if method == "GET":
            return super().request(method, *path, body=body, query=query)
        if len(self.changes) >= self.lives:
            raise Killed
        answer = super().request(method, *path, body=body, query=query)
        self.changes.append((method, path))
        if self.watching is not None:
            self.watching()
        return answer


def server(node: PrivateNode) -> Server:
    parts = urlsplit(node.management_url)
    return Server(parts.hostname or "", parts.port or 0, node.user, node.password)


def compare(node: PrivateNode, text: str, management: Management | None = None) -> Plan:
    """What differs between a file and the broker."""
    bus = check(tomllib.loads(text))
    wanted = desired(bus, Secrets({**SECRETS, "ADMIN": node.password}))
    with management or Dying(node) as asked:
        return plan(wanted, live(asked), of_bus(bus), facts(asked))


def make(
    node: PrivateNode, text: str, management: Management | None = None, allow_delete: Sequence[str] = ()
) -> Result:
    """Make the broker what a file says."""
    management = management or Dying(node)
    found = compare(node, text, management)
    with management:
        return apply(found, management, allow_delete=allow_delete, settling=0.0)


def lines(found: Plan) -> list[str]:
    return [str(one) for one in found.changes]


def definitions(node: PrivateNode) -> dict[str, Any]:
    """All that there is, but for the salt of passwords, in one order."""
    found = dict(node.management("GET", "/api/definitions"))
    for one in found["users"]:
        one["password_hash"] = bool(one["password_hash"])
    found["vhosts"] = [
        {name: one.get(name) for name in ("name", "description", "tags")}
        for one in node.management("GET", "/api/vhosts")
    ]
    return {
        name: sorted(value, key=repr)
        for name, value in found.items()
        if isinstance(value, list) and name != "global_parameters"
    }


def empty(node: PrivateNode) -> None:
    """Leave nothing but the administrator."""
    for vhost in node.management("GET", "/api/vhosts"):
        node.delete_vhost(vhost["name"])
    for user in node.management("GET", "/api/users"):
        if user["name"] != node.user:
            node.management("DELETE", f"/api/users/{user['name']}")


Access = tuple[str, str, str, str]  # user, what (write, read), exchange, topic


def allowed(node: PrivateNode, vhost: str, probes: Iterable[Access]) -> set[Access]:
    """Which of these RabbitMQ allows: by its own functions, for one answer to all questions takes 5 ms."""
    asked = list(probes)
    terms = ",".join(
        f'{{{number},<<"{user}">>,{what},<<"{exchange}">>,<<"{topic}">>}}'
        for number, (user, what, exchange, topic) in enumerate(asked)
    )
    said = node.evaluate(
        "list_to_tuple([N || {N,U,P,E,T} <- [" + terms + "], "
        f'begin A = {{auth_user,U,[],none}}, V = <<"{vhost}">>, '
        "M = rabbit_auth_backend_internal, "
        "M:check_resource_access(A, {resource,V,exchange,E}, P, #{}) andalso "
        "M:check_topic_access(A, {resource,V,topic,E}, P, #{routing_key => T, variable_map => #{}}) end])."
    )
    return {asked[int(number)] for number in _numbers(said)}


def _numbers(said: str) -> Iterator[str]:
    for part in said.strip().strip("{}").split(","):
        if part.strip():
            yield part.strip()
