# SPDX-License-Identifier: MIT
"""By which patterns the two exchanges of the migration reach which queue, also by way of other exchanges. Pure.

The input is what RabbitMQ's management API says, as plain dictionaries. What is wrong with a binding is the business
of :mod:`.linter`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .patterns import ANY, covers, intersect

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["EXCHANGES", "Reach", "reach"]

#: What comes from ZeroMQ, and what is published over AMQP.
EXCHANGES = ("zmq.topic", "amq.topic")

_PLACES = 1000  # exchanges bound to exchanges; more is nobody's

#: Queue → exchange, one of the two → patterns, each once, in their order.
Reach = dict[str, dict[str, list[str]]]


def reach(
    bindings: Iterable[Mapping[str, Any]],
    exchanges: Iterable[Mapping[str, Any]] = (),
    roots: Iterable[str] = EXCHANGES,
) -> Reach:
    """What reaches each queue that is reached.

    Where two topic exchanges lie in a row, both patterns have to match. The narrower one is told; where neither is
    narrower, the one nearer to the queue.

    Arguments:
        bindings: with ``source``, ``destination``, ``destination_type`` and ``routing_key``, of one virtual host.
        exchanges: with ``name`` and ``type``; what is not listed counts as a topic exchange.
        roots: the exchanges from which to go.
    """
    kinds = {one["name"]: one.get("type", "topic") for one in exchanges}
    onward: dict[str, list[Mapping[str, Any]]] = {}
    for binding in bindings:
        onward.setdefault(binding["source"], []).append(binding)
    found: Reach = {}
    for root in roots:
        places = [(root, ANY)]  # exchanges, and what gets there
        for exchange, so_far in places:  # it grows meanwhile
            kind = kinds.get(exchange, "topic")
            for binding in onward.get(exchange, ()):
                own = _pattern(binding, kind)
                if not intersect(so_far, own):
                    continue
                pattern, target = _narrower(so_far, own), binding["destination"]
                if binding.get("destination_type", "queue") != "queue":
                    if (target, pattern) not in places and len(places) < _PLACES:
                        places.append((target, pattern))
                    continue
                patterns = found.setdefault(target, {}).setdefault(root, [])
                if pattern not in patterns:
                    patterns.append(pattern)
    return found


def _pattern(binding: Mapping[str, Any], kind: str) -> str:
    """What a binding lets through; the headers that a headers exchange looks at are not known, so all."""
    return str(binding.get("routing_key", "")) if kind in {"topic", "direct"} else ANY


def _narrower(one: str, other: str) -> str:
    return one if covers([other], one) else other
