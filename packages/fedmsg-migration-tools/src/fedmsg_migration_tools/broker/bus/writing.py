# SPDX-License-Identifier: MIT
"""A broker's state as the text of the operator's file: what :mod:`.desired` makes of it is the same state again. Pure.

Keys and grants are written where they say exactly what is there; else RabbitMQ's own arguments and expressions are.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import names
from ..state import Key, Kind
from . import arguments, rules, toml
from .desired import LIMITS, UPSTREAMS
from .granting import granted
from .passwords import Secret
from .shape import Queue, Upstream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ..state import Properties, State

__all__ = ["Exported", "export", "exported"]

_PASSWORD = re.compile(r"://[^/@]*:[^/@]*@")
_Table = dict[str, Any]


class Exported(NamedTuple):
    """The text of a file, and the secrets that it points to: environment variable → value."""

    text: str
    secrets: Mapping[str, Secret]


def export(state: State) -> str:
    """The text of a file that asks for this state."""
    return exported(state).text


def exported(state: State) -> Exported:
    """The text of a file that asks for this state, with the secrets that are not in it.

    Hashes of passwords are in the text; passwords in the URIs of other brokers are not.
    """
    writer = _Writer(state)
    lines = list(writer.lines())
    notes = [f"# {note}" for note in writer.notes]
    return Exported("\n".join([*notes, *([""] if notes else []), *lines]).strip("\n") + "\n", writer.secrets)


class _Writer:
    """One export: gathers what is to be said at its head while the tables are written."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.notes: list[str] = []
        self.secrets: dict[str, Secret] = {}
        self._of_vhost: dict[str, dict[Kind, dict[Key, Properties]]] = defaultdict(lambda: defaultdict(dict))
        for key in sorted(state):
            self._of_vhost[key.vhost][key.kind][key] = state[key]

    def lines(self) -> Iterator[str]:
        """All tables."""
        vhosts = [key.name for key in sorted(self._state) if key.kind is Kind.VHOST]
        leave = self._leave()
        if leave:
            yield from self._table(("leave",), leave)
        for key, user in self._of_vhost[""][Kind.USER].items():
            yield from self._table(("users", key.name), _user(user))
        for name in vhosts:
            yield from self._vhost(name)

    def _table(
        self, path: tuple[str, ...], table: _Table, depths: Mapping[str, int] | None = None
    ) -> Iterator[str]:
        place = toml.header(*path)
        yield place
        yield from toml.dotted(self._without_null(table, place), depths or {})
        yield ""

    def _without_null(self, value: Any, place: str) -> Any:
        """TOML has no null; RabbitMQ takes one for a value in few places, and does nothing with it."""
        if isinstance(value, dict):
            for name in [name for name, one in value.items() if one is None]:
                self.notes.append(f"{place}: {name} is null on the broker, which this file cannot say")
            return {name: self._without_null(one, place) for name, one in value.items() if one is not None}
        if isinstance(value, list):
            return [self._without_null(one, place) for one in value if one is not None]
        return value

    def _leave(self) -> _Table:
        """What RabbitMQ named belongs to a client."""
        found = {}
        for kind, word in ((Kind.QUEUE, "queues"), (Kind.EXCHANGE, "exchanges")):
            if any(key.kind is kind and key.name.startswith("amq.") for key in self._state):
                found[word] = ["amq.*"]
        return found

    # one virtual host

    def _vhost(self, name: str) -> Iterator[str]:
        objects = self._of_vhost[name]
        parameters = dict(objects[Kind.PARAMETER])
        limits, parameters = _limits(parameters)
        upstreams, parameters = self._upstreams(name, parameters)
        table = _vhost(objects[Kind.VHOST][Key(Kind.VHOST, name, name)]) | limits
        others = self._parameters(name, parameters)
        yield from self._table(
            ("vhosts", name), table | ({"parameters": others} if others else {}), {"parameters": 2}
        )
        bindings = self._bindings(name)
        for exchange, inner in self._exchanges(name, bindings):
            yield from self._table(("vhosts", name, "exchanges", exchange), inner)
        for key, queue in objects[Kind.QUEUE].items():
            if not key.name.startswith("amq."):
                inner = _queue(queue, self._has_exchange(name)) | bindings.get(("queue", key.name), {})
                yield from self._table(("vhosts", name, "queues", key.name), inner)
        for user, inner in self._grants(name):
            depths = {"publish": 1, "bind": 1, "expressions": 3}
            yield from self._table(("vhosts", name, "users", user), inner, depths)
        for kind, word in ((Kind.POLICY, "policies"), (Kind.OPERATOR_POLICY, "operator_policies")):
            for key, policy in objects[kind].items():
                yield from self._table(("vhosts", name, word, key.name), _policy(policy), {"definition": 1})
        for upstream, inner in upstreams.items():
            yield from self._table(("vhosts", name, "upstreams", upstream), inner)

    def _has_exchange(self, vhost: str) -> Callable[[str], bool]:
        there = {key.name for key in self._of_vhost[vhost][Kind.EXCHANGE]}
        return lambda name: name in there or name in names.OWN_EXCHANGES

    def _bindings(self, vhost: str) -> dict[tuple[str, str], _Table]:
        """Destination → its bindings, those that differ in the topic only as one."""
        grouped: dict[tuple[str, str], dict[tuple[str, str], list[str]]] = defaultdict(
            lambda: defaultdict(list)
        )
        for key in self._of_vhost[vhost][Kind.BINDING]:
            source, kind, topic, given = key.more
            grouped[kind, key.name][source, given].append(topic)
        return {
            destination: {
                "bindings": [
                    {"exchange": source, "topics": topics}
                    | ({"arguments": json.loads(given)} if given != "{}" else {})
                    for (source, given), topics in sources.items()
                ]
            }
            for destination, sources in grouped.items()
        }

    def _exchanges(
        self, vhost: str, bindings: Mapping[tuple[str, str], _Table]
    ) -> Iterator[tuple[str, _Table]]:
        for name, kind in names.OWN_EXCHANGES.items():
            if bound := bindings.get(("exchange", name)):
                yield name, {"type": kind} | bound
        for key, exchange in self._of_vhost[vhost][Kind.EXCHANGE].items():
            if not key.name.startswith("amq."):
                table = _exchange(exchange, self._has_exchange(vhost))
                yield key.name, table | bindings.get(("exchange", key.name), {})

    def _grants(self, vhost: str) -> Iterator[tuple[str, _Table]]:
        objects = self._of_vhost[vhost]
        exchanges = {key.name: str(one["type"]) for key, one in objects[Kind.EXCHANGE].items()}
        queues = {key.name for key in objects[Kind.QUEUE]}
        topics: dict[str, dict[str, Properties]] = defaultdict(dict)
        for key, one in objects[Kind.TOPIC_PERMISSION].items():
            topics[key.name][key.more[0]] = one
        for key, permission in objects[Kind.PERMISSION].items():
            yield (
                key.name,
                granted(permission, topics.pop(key.name, {}), exchanges | names.OWN_EXCHANGES, queues),
            )
        for user in topics:
            self.notes.append(
                f"{toml.header('vhosts', vhost, 'users', user)} is left out: "
                "it has topic permissions on the broker, but no permission, so they are without effect"
            )

    # secrets

    def _upstreams(self, vhost: str, parameters: dict[Key, Any]) -> tuple[dict[str, _Table], dict[Key, Any]]:
        upstreams, others = {}, {}
        for key, properties in parameters.items():
            value = properties["value"]
            if key.more != (UPSTREAMS,) or not isinstance(value, dict) or "uri" not in value:
                others[key] = properties
                continue
            left = dict(value)
            table = self._hidden({"uri": left.pop("uri")}, vhost, "upstreams", key.name)
            keys, left = arguments.to_keys(
                left, arguments.UPSTREAM, lambda name, one: arguments.fits(Upstream, name, one)
            )
            upstreams[key.name] = table | keys | ({"arguments": left} if left else {})
        return upstreams, others

    def _parameters(self, vhost: str, parameters: dict[Key, Any]) -> _Table:
        found: dict[str, _Table] = defaultdict(dict)
        for key, properties in parameters.items():
            value = properties["value"]
            if isinstance(value, dict):
                value = self._hidden(value, vhost, "parameters", key.more[0], key.name)
            found[key.more[0]][key.name] = value
        return dict(found)

    def _hidden(self, value: _Table, *path: str) -> _Table:
        """With the name of an environment variable instead of each URI that has a password, or is one of several."""
        result: _Table = {}
        for name, one in value.items():
            several = isinstance(one, list) and name == "uri" and path[1] == "upstreams"
            if name.endswith("uri") and (several or _PASSWORD.search(json.dumps(one))):
                variable = self._variable(*path, name)
                self.secrets[variable] = Secret("\n".join(one) if isinstance(one, list) else one)
                self.notes.append(
                    f"{toml.header('vhosts', *path)}: the environment variable {variable} gives its {name}"
                )
                result[f"{name}_env"] = variable
            else:
                result[name] = one
        return result

    def _variable(self, *path: str) -> str:
        words = re.sub(r"[^A-Z0-9]+", "_", "_".join(path).upper()).strip("_")
        name, number = f"BUS_{words}", 2
        while name in self.secrets:
            name, number = f"BUS_{words}_{number}", number + 1
        return name


# tables of one object


def _user(user: Properties) -> _Table:
    limits = user["limits"]
    algorithm = user["hashing_algorithm"]
    table: _Table = (
        {"certificate": True} if not user["password_hash"] else {"password_hash": user["password_hash"]}
    )
    if algorithm != "rabbit_password_hashing_sha256":
        table["hashing_algorithm"] = algorithm
    if user["tags"]:
        table["tags"] = user["tags"]
    return table | {
        key: limits[name]
        for key, name in (("max_connections", "max-connections"), ("max_channels", "max-channels"))
        if name in limits
    }


def _vhost(vhost: Properties) -> _Table:
    table = {key: vhost[key] for key in ("description", "tags") if vhost[key]}
    kind = vhost["default_queue_type"]
    return table if kind == "classic" else table | {"default_queue_type": kind}


def _limits(parameters: dict[Key, Any]) -> tuple[_Table, dict[Key, Any]]:
    """The limits of a virtual host as keys, and the other parameters; what no key can say stays one."""
    component, name = LIMITS
    words = {"max-connections": "max_connections", "max-queues": "max_queues"}
    for key, properties in parameters.items():
        value = properties["value"]
        plain = (
            isinstance(value, dict) and value and all(type(one) is int and one >= 0 for one in value.values())
        )
        if (key.name, key.more) == (name, (component,)) and plain and value.keys() <= words.keys():
            others = {other: one for other, one in parameters.items() if other != key}
            return {words[one]: value[one] for one in value}, others
    return {}, parameters


def _exchange(exchange: Properties, known: Callable[[str], bool]) -> _Table:
    table: _Table = {"type": exchange["type"]}
    table |= {} if exchange["durable"] else {"durable": False}
    table |= {key: True for key in ("auto_delete", "internal") if exchange[key]}
    left = dict(exchange["arguments"])
    alternate = left.get("alternate-exchange")
    if isinstance(alternate, str) and known(alternate):
        table["alternate_exchange"] = left.pop("alternate-exchange")
    return table | ({"arguments": left} if left else {})


def _queue(queue: Properties, known: Callable[[str], bool]) -> _Table:
    kind = queue["type"]
    table: _Table = {"type": kind}
    table |= {} if queue["durable"] else {"durable": False}
    table |= {"auto_delete": True} if queue["auto_delete"] else {}

    def allowed(key: str, value: Any) -> bool:
        if not rules.suits(key, kind) or not arguments.fits(Queue, key, value):
            return False
        if key == "dead_letter_topic":
            return "x-dead-letter-exchange" in queue["arguments"]
        return key != "dead_letter_exchange" or not value or known(value)

    keys, left = arguments.to_keys(queue["arguments"], arguments.QUEUE, allowed)
    return table | keys | ({"arguments": left} if left else {})


def _policy(policy: Properties) -> _Table:
    table: _Table = {"pattern": policy["pattern"]}
    if policy["apply-to"] != "all":
        table["apply_to"] = policy["apply-to"]
    if policy["priority"]:
        table["priority"] = policy["priority"]
    return table | {"definition": policy["definition"]}
