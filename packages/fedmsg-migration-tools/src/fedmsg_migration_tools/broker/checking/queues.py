# SPDX-License-Identifier: MIT
"""Queues, exchanges and bindings: would messages arrive, wait for ever, or be lost? Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .findings import Finding, fail, ok, warn
from .judging import number
from .questions import names_match

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..bus.shape import Bus
    from .facts import Facts, Row

__all__ = ["judge"]

_WELL = {"running", "idle", "flow"}
DELIVERIES = 20  # after which RabbitMQ 4 drops or dead-letters what comes back to a quorum queue


def judge(bus: Bus, facts: Facts) -> Iterator[Finding]:
    """The virtual hosts of the file, but for what it leaves alone."""
    for vhost in bus.vhosts:
        place = _Place(bus, facts, vhost)
        found = [
            *(finding for queue in place.queues for finding in _queue(place, queue)),
            *(finding for exchange in place.exchanges.values() for finding in _exchange(place, exchange)),
        ]
        yield from found
        if not found:
            yield ok("queues", f"{len(place.queues)} in {vhost}: all running, bound and read")


class _Place:
    """One virtual host."""

    def __init__(self, bus: Bus, facts: Facts, vhost: str) -> None:
        self.name = vhost
        self.version = number(facts.version)
        self.listed = bus.vhosts[vhost]
        self.exchanges: dict[str, Row] = {
            one["name"]: one for one in facts.exchanges if one["vhost"] == vhost
        }
        self.queues = [
            one
            for one in facts.queues
            if one.get("vhost") == vhost and not names_match(bus.leave.queues, one["name"])
        ]
        self.names = {one["name"] for one in facts.queues if one.get("vhost") == vhost}
        bindings = [one for one in facts.bindings if one["vhost"] == vhost]
        self.bound = {one["destination"] for one in bindings if one["destination_type"] == "queue"}
        self.sources = {one["source"] for one in bindings}
        self.dead = {target for one in self.queues if (target := _dead_letter_queue(one))}


def _queue(place: _Place, queue: Row) -> Iterator[Finding]:
    where = f"{queue['name']} in {place.name}"
    yield from _state(where, queue)
    if queue.get("exclusive"):
        return  # its one connection's, and gone with it
    waiting = queue.get("messages") or 0
    if waiting and queue.get("consumers") == 0:
        yield warn("queues", f"{where}: {waiting} messages wait and nobody consumes", "start its consumer")
    if queue["name"] not in place.bound | place.dead:
        text = f"{where}: is bound to no exchange, so that only what is published to it by name arrives"
        yield warn("queues", text, "bind it, or leave it so if it is meant so")
    yield from _dead_letters(place, where, queue)
    yield from _delivery_limit(place, where, queue)


def _state(where: str, queue: Row) -> Iterator[Finding]:
    state, members, online = queue.get("state"), queue.get("members") or (), queue.get("online") or ()
    if members and online and len(online) * 2 <= len(members):
        text = f"{where}: only {len(online)} of its {len(members)} members are there, no majority"
        yield fail("queues", text, "start the other nodes")
    elif state is not None and state not in _WELL:
        yield fail("queues", f"{where}: is {state}", "start the node where it is, and see the broker's log")
    elif len(online) < len(members):
        text = f"{where}: {len(members) - len(online)} of its {len(members)} members are away"
        yield warn("queues", text, "start the other nodes")


def _setting(queue: Row, name: str) -> Any:
    """What the queue's arguments say, or else a policy."""
    arguments = queue.get("arguments") or {}
    policy = queue.get("effective_policy_definition") or {}
    return arguments.get(f"x-{name}", policy.get(name) if isinstance(policy, dict) else None)


def _dead_letter_queue(queue: Row) -> str | None:
    """The queue to which dead letters go by the default exchange."""
    if _setting(queue, "dead-letter-exchange") == "":
        return str(_setting(queue, "dead-letter-routing-key") or "")
    return None


def _dead_letters(place: _Place, where: str, queue: Row) -> Iterator[Finding]:
    exchange = _setting(queue, "dead-letter-exchange")
    if exchange is None:
        return
    target = _dead_letter_queue(queue)
    if target is not None:
        if target not in place.names:
            yield fail(
                "queues",
                f"{where}: its dead letters go to the queue {target!r}, which is not there",
                "declare it",
            )
    elif exchange not in place.exchanges:
        text = f"{where}: its dead letters go to the exchange {exchange!r}, which is not there: they are lost"
        yield fail("queues", text, "declare the exchange, and bind a queue to it")
    elif exchange not in place.sources:
        text = f"{where}: nothing is bound to the exchange {exchange!r} of its dead letters: they are lost"
        yield warn("queues", text, "bind a queue to it")


def _delivery_limit(place: _Place, where: str, queue: Row) -> Iterator[Finding]:
    """RabbitMQ 4.0, release notes: the limit of quorum queues is 20 unless something else is set.

    A broker with such a limit tells in ``delivery_limit`` what holds for a queue, some seconds after its declaration.
    One without takes -1 as an argument, and drops what comes back once (seen on 3.10.8).
    """
    if queue.get("type") != "quorum" or _setting(queue, "dead-letter-exchange") is not None:
        return
    set_limit, known = _setting(queue, "delivery-limit"), queue.get("delivery_limit")
    limit = set_limit if known is None else known
    modern = known is not None or place.version >= (4,)
    if limit is None and modern:
        limit = DELIVERIES
    if not isinstance(limit, int):
        return
    if limit < 0 and not modern:
        text = f"{where}: this RabbitMQ takes delivery_limit {limit} for 0: a message that comes back once is dropped"
        yield fail("queues", text, "leave it out: there is no limit then")
    elif limit >= 0:
        text = f"{where}: a message that comes back {limit} times is dropped, since no dead-letter exchange is set"
        yield warn("queues", text, f"set dead_letter_exchange{', or delivery_limit = -1' if modern else ''}")


def _exchange(place: _Place, exchange: Mapping[str, Any]) -> Iterator[Finding]:
    name = exchange["name"]
    where = f"{name} in {place.name}"
    alternate = (exchange.get("arguments") or {}).get("alternate-exchange")
    if alternate is not None and alternate not in place.exchanges:
        yield fail("exchanges", f"{where}: its alternate exchange {alternate!r} is not there", "declare it")
    if name in place.listed.exchanges and name not in place.sources and alternate is None:
        text = f"{where}: nothing is bound to it, so that what is published there is lost"
        yield warn("exchanges", text, "bind a queue, or set alternate_exchange")
