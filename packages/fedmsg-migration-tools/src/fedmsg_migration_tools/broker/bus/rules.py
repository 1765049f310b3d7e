# SPDX-License-Identifier: MIT
"""What one table of the operator's file must agree on with another, and with RabbitMQ. Pure; nothing is read here."""

from __future__ import annotations

import base64
import binascii
import re
import warnings
from typing import TYPE_CHECKING, Any

from .. import expressions, names
from . import arguments
from .passwords import size_of_hash
from .places import at

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from .shape import Binding, Bus, Exchange, Grants, Policy, Queue, Upstream, User, Vhost

__all__ = ["broken", "has_topics", "suits"]

LONGEST = 255  # bytes of a short string, AMQP 0.9.1, 4.2.5.3
_SHORTEST = 0.001  # seconds

#: What PCRE knows and Python does not.
_ONLY_PCRE = re.compile(r"\\[CEGHKNQRXghklopPvV]|\(\?[|'&R+0-9-]|\(\?<[^=!]|\(\*|\[\[:|\^[*+?{]")
_APPLIES_TO = ("all", "classic_queues", "exchanges", "queues", "quorum_queues", "streams")
#: Which arguments a type of queue refuses (https://www.rabbitmq.com/docs/queues#optional-arguments).
_NOT_FOR = {
    "classic": ("max_age", "delivery_limit"),
    "quorum": ("max_age",),
    "stream": (
        "max_length",
        "overflow",
        "message_ttl",
        "expires",
        "dead_letter_exchange",
        "dead_letter_topic",
        "delivery_limit",
        "single_active_consumer",
    ),
}


def broken(bus: Bus) -> Iterator[str]:
    """All that does not agree, one line each, with its place."""
    for name, user in bus.users.items():
        yield from _at(at("users", name), _login(user))
    for name, vhost in bus.vhosts.items():
        place = at("vhosts", name)
        yield from _at(place, _too_long("the virtual host's name", name))
        yield from _of_vhost(place, vhost, bus)


def _at(place: str, problems: Iterable[str]) -> Iterator[str]:
    return (f"{place}: {problem}" for problem in problems)


def _too_long(what: str, text: str) -> Iterator[str]:
    size = len(text.encode(errors="surrogatepass"))
    if size > LONGEST:
        yield f"{what} has {size} bytes; AMQP allows {LONGEST}: {text[:40]!r}..."


# users


def _login(user: User) -> Iterator[str]:
    """One way to log in, and one only."""
    ways = {
        "password_hash": user.password_hash is not None,
        "password_file": user.password_file is not None,
        "password_env": user.password_env is not None,
        "certificate = true": user.certificate,
    }
    given = [way for way, there in ways.items() if there]
    if not given:
        yield f"it says no way to log in: give one of {', '.join(ways)}"
    elif len(given) > 1:
        yield f"it says several ways to log in ({', '.join(given)}): leave one"
    if user.password_hash is not None:
        yield from _hash(user.password_hash, user.hashing_algorithm)
    elif size_of_hash(user.hashing_algorithm) is None and not user.certificate:
        yield f"a password cannot be hashed by {user.hashing_algorithm} here: give password_hash"


def _hash(text: str, algorithm: str) -> Iterator[str]:
    size = size_of_hash(algorithm)
    try:
        found = len(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        yield "password_hash is no Base64"
        return
    if not text:
        yield "password_hash is empty; for one who logs in by a certificate only: certificate = true"
    elif size is not None and found != size:
        yield f"password_hash has {found} bytes; {algorithm} makes {size}"


# virtual hosts


def _of_vhost(place: str, vhost: Vhost, bus: Bus) -> Iterator[str]:
    managed = [name for grants in vhost.users.values() for name in grants.manage]
    exchanges = _Known({*vhost.exchanges, *names.OWN_EXCHANGES}, [*managed, *bus.leave.exchanges])
    queues = _Known(set(vhost.queues), [*managed, *bus.leave.queues])
    for name, exchange in vhost.exchanges.items():
        yield from _at(at(place, "exchanges", name), _exchange(name, exchange, exchanges))
    for name, queue in vhost.queues.items():
        yield from _at(at(place, "queues", name), _queue(name, queue, exchanges))
    for name, grants in vhost.users.items():
        where = at(place, "users", name)
        if name not in bus.users and not names.matches(bus.leave.users, name):
            yield f"{where}: there is no user {name!r} in [users]"
        yield from _at(where, _grants(grants, vhost, exchanges, queues))
    for kind, policies in (("policies", vhost.policies), ("operator_policies", vhost.operator_policies)):
        for name, policy in policies.items():
            yield from _at(at(place, kind, name), _policy(policy))
    for name, upstream in vhost.upstreams.items():
        yield from _at(at(place, "upstreams", name), _upstream(upstream))
    yield from _at(at(place, "parameters"), _parameters(vhost))


class _Known:
    """Names that are declared, or that somebody may declare."""

    def __init__(self, declared: set[str], others: Iterable[str]) -> None:
        self._declared = declared
        self._others = tuple(others)

    def __contains__(self, name: str) -> bool:
        return name in self._declared or names.matches(self._others, name)


def _unknown(what: str, name: str, known: _Known) -> Iterator[str]:
    if name not in known:
        yield f"there is no {what} {name!r} here, and no user may manage one"


def _exchange(name: str, exchange: Exchange, exchanges: _Known) -> Iterator[str]:
    yield from _too_long("its name", name)
    own = names.OWN_EXCHANGES.get(name)
    if own is None and name.startswith("amq."):
        yield "names that begin with amq. are RabbitMQ's own"
    if own is not None and (exchange.type != own or not exchange.durable or exchange.auto_delete):
        yield f'RabbitMQ makes it in every virtual host, durable: only type = "{own}" and bindings may be said of it'
    if exchange.alternate_exchange is not None:
        yield from _unknown("exchange", exchange.alternate_exchange, exchanges)
        yield from _twice("alternate_exchange", "alternate-exchange", exchange.arguments)
    yield from _bound(exchange.bindings, exchanges)


def _queue(name: str, queue: Queue, exchanges: _Known) -> Iterator[str]:
    yield from _too_long("its name", name)
    if name.startswith("amq."):
        yield "names that begin with amq. are RabbitMQ's own"
    if queue.type != "classic" and queue.auto_delete:
        yield f"a {queue.type} queue cannot be auto_delete"
    if queue.type != "classic" and not queue.durable:
        yield f"a {queue.type} queue is always durable"
    for key in _NOT_FOR[queue.type]:
        if getattr(queue, key) not in {None, False}:
            yield f"{key} is not for a {queue.type} queue"
    yield from _queue_arguments(queue)
    if queue.dead_letter_exchange:
        yield from _unknown("exchange", queue.dead_letter_exchange, exchanges)
    yield from _bound(queue.bindings, exchanges)


def suits(key: str, kind: str) -> bool:
    """Whether a key may be said of a queue of this type."""
    return key not in _NOT_FOR.get(kind, ())


def _queue_arguments(queue: Queue) -> Iterator[str]:
    if arguments.TYPE in queue.arguments:
        yield f"the argument {arguments.TYPE} is said by the key type"
    for argument in arguments.QUEUE:
        if getattr(queue, argument.key) not in {None, False}:
            yield from _twice(argument.key, argument.name, queue.arguments)
    if queue.expires is not None and queue.expires < _SHORTEST:
        yield f"expires is {queue.expires}; it must be at least {_SHORTEST} (a millisecond)"
    if queue.dead_letter_topic is not None:
        yield from _too_long("dead_letter_topic", queue.dead_letter_topic)
        if queue.dead_letter_exchange is None and "x-dead-letter-exchange" not in queue.arguments:
            yield "dead_letter_topic needs dead_letter_exchange"


def _twice(key: str, name: str, given: Mapping[str, object]) -> Iterator[str]:
    if name in given:
        yield f"{key} and the argument {name} say the same: leave one"


def _bound(bindings: Iterable[Binding], exchanges: _Known) -> Iterator[str]:
    for number, binding in enumerate(bindings):
        where = f"bindings[{number}]"
        yield from _at(where, _unknown("exchange", binding.exchange, exchanges))
        for topic in binding.topics:
            yield from _at(where, _too_long("a topic", topic))


# grants


def _grants(grants: Grants, vhost: Vhost, exchanges: _Known, queues: _Known) -> Iterator[str]:
    if grants.expressions is not None:
        if grants.publish or grants.bind or grants.consume or grants.manage:
            yield "expressions say all: publish, bind, consume and manage cannot stand beside them"
        yield from _expressions(grants)
    for word, topics in (("publish", grants.publish), ("bind", grants.bind)):
        for exchange, patterns in topics.items():
            yield from _at(f"{word}.{exchange}", _topics(exchange, patterns, vhost, exchanges))
    for queue in grants.consume:
        if not names.is_pattern(queue):
            yield from _at("consume", _unknown("queue", queue, queues))


def _expressions(grants: Grants) -> Iterator[str]:
    raw = grants.expressions
    if raw is None:
        return
    texts = {word: getattr(raw, word) for word in ("configure", "write", "read")}
    for exchange, one in raw.topics.items():
        texts |= {f"topics.{exchange}.{word}": getattr(one, word) for word in ("write", "read")}
    for word, text in texts.items():
        yield from _at(f"expressions.{word}", _no_expression(text))


def _topics(exchange: str, patterns: Sequence[str], vhost: Vhost, exchanges: _Known) -> Iterator[str]:
    if exchange != names.DEFAULT_EXCHANGE:
        yield from _unknown("exchange", exchange, exchanges)
    if not has_topics(exchange, vhost) and tuple(patterns) != ("#",):
        yield 'RabbitMQ checks topics for exchanges of type topic only: here ["#"] is all that can be said'
        return
    size = len(expressions.of_bindings(patterns).encode())
    if size > expressions.longest():
        yield f"so many topics that RabbitMQ cannot compile them ({size} bytes): say them with fewer, by * and #"
    for pattern in patterns:
        yield from _too_long("a topic", pattern)
        word = names.words_misused(pattern)
        if word is not None:
            yield f"{pattern!r} cannot be expressed: * and # stand for whole words, not for a part, as in {word!r}"


def has_topics(exchange: str, vhost: Vhost) -> bool:
    """Whether RabbitMQ checks the topics of what is published to it; an exchange of somebody's own may be one."""
    if exchange == names.DEFAULT_EXCHANGE:
        return False
    if exchange in vhost.exchanges:
        return vhost.exchanges[exchange].type == "topic"
    return names.OWN_EXCHANGES.get(exchange, "topic") == "topic"


# policies, upstreams, parameters


def _policy(policy: Policy) -> Iterator[str]:
    yield from _at("pattern", _no_expression(policy.pattern))
    if policy.apply_to not in _APPLIES_TO:
        yield f"apply_to is {policy.apply_to!r}; it must be one of {', '.join(_APPLIES_TO)}"
    if not policy.definition:
        yield "definition is empty: it says what the policy sets"


def _no_expression(text: str) -> Iterator[str]:
    """Why it does not compile; what only PCRE knows is let through, for the broker to judge."""
    try:
        with warnings.catch_warnings(action="ignore"):  # of what Python may read in another way one day
            re.compile(expressions.for_python(text))
    except re.error as exc:
        taken_by_pcre = ("multiple repeat", "global flags not at the start", "bad escape \\")
        if not _ONLY_PCRE.search(text) and not exc.msg.startswith(taken_by_pcre):
            yield f"{text!r} is no regular expression: {exc}"


def _upstream(upstream: Upstream) -> Iterator[str]:
    places = {"uri": upstream.uri, "uri_file": upstream.uri_file, "uri_env": upstream.uri_env}
    given = [name for name, value in places.items() if value is not None]
    if len(given) != 1:
        yield f"it needs one of {', '.join(places)}; it has {', '.join(given) or 'none'}"
    if upstream.uri is not None and re.search(r"://[^/@]*:[^/@]*@", upstream.uri):
        yield "its uri has a password: put the uri into a file or the environment, and say where by uri_file or uri_env"
    for argument in arguments.UPSTREAM:
        if getattr(upstream, argument.key) is not None:
            yield from _twice(argument.key, argument.name, upstream.arguments)


def _parameters(vhost: Vhost) -> Iterator[str]:
    """What has a table of its own may not be said a second time, and so with URIs."""
    for component, entries in vhost.parameters.items():
        for name, value in entries.items():
            if isinstance(value, dict):
                yield from _at(at(component, name), _pointers(value))
    for name in vhost.parameters.get("federation-upstream", {}):
        if name in vhost.upstreams:
            yield f"the upstream {name!r} stands in upstreams already: leave one"
    if "operator_policy" in vhost.parameters:
        yield "operator policies are said in operator_policies"
    if vhost.parameters.get("vhost-limits") and not (
        vhost.max_connections is None and vhost.max_queues is None
    ):
        yield "vhost-limits are said by max_connections and max_queues already: leave one"


def _pointers(value: Mapping[str, Any]) -> Iterator[str]:
    said = [key for key in value if not arguments.pointer(key)]
    for key, one in value.items():
        if (found := arguments.pointer(key)) is None:
            continue
        if not isinstance(one, str) or not one:
            yield f"{key} is {one!r}; it must be {'a path' if found[1] == 'file' else 'the name of a variable'}"
        if found[0] in said:
            yield f"{found[0]} is said twice, by {key} too: leave one"
        said.append(found[0])
