# SPDX-License-Identifier: MIT
"""``apply`` is killed after each of its requests, and run again; meanwhile nobody may do more than before or after."""

import itertools
from collections.abc import Iterator

import pytest

from fedora_messaging.private_node import PrivateNode

from .brokers import PLUGINS, Access, Dying, Killed, allowed, compare, definitions, empty, lines, make

V = '[vhosts."/pubsub"'

#: Between the two something of every kind is created, changed, deleted and made again.
OLD = f"""
[users.admin]
password_env = "ADMIN"
tags = ["administrator"]
[users.bodhi]
password_env = "OLD"
tags = ["monitoring"]
max_connections = 5
[users.koji]
certificate = true
[users.leaver]
certificate = true
[users.mover]
certificate = true

[vhosts."/pubsub"]
max_queues = 3
{V}.exchanges."old.topic"]
{V}.exchanges."zmq.topic"]
bindings = [{{ exchange = "amq.topic" }}]
{V}.exchanges.again]
type = "fanout"
{V}.queues.kept]
bindings = [{{ exchange = "amq.topic", topics = ["a.#", "b.#"] }}]
{V}.queues.again]
bindings = [{{ exchange = "amq.topic", topics = ["c"] }}]
{V}.queues.old]
type = "quorum"
bindings = [{{ exchange = "old.topic", topics = ["a"] }}]
{V}.users.bodhi]
publish = {{ "amq.topic" = ["a", "b"], "old.topic" = ["a"] }}
bind = {{ "old.topic" = ["b"] }}
{V}.users.koji]
expressions = {{ configure = "", write = ".*", read = "" }}
{V}.users.leaver]
publish = {{ "amq.topic" = ["a"] }}
{V}.users.mover]
publish = {{ "zmq.topic" = ["a"] }}
bind = {{ "amq.topic" = ["a"] }}
{V}.policies.old]
pattern = "x"
definition = {{ max-length = 5 }}
{V}.policies.kept]
pattern = "x"
definition = {{ max-length = 6 }}
{V}.operator_policies.old]
pattern = "x"
definition = {{ max-length = 7 }}
{V}.upstreams.old]
uri_env = "OLD_URI"
[vhosts.old]
[vhosts.old.queues.q]
[vhosts.old.users.bodhi]
consume = ["q"]
"""
NEW = f"""
[users.admin]
password_env = "ADMIN"
tags = ["administrator"]
[users.bodhi]
password_env = "NEW"
max_channels = 5
[users.koji]
certificate = true
tags = ["policymaker"]
[users.comer]
certificate = true
max_connections = 3
[users.mover]
certificate = true

[vhosts."/pubsub"]
description = "new"
max_queues = 9
max_connections = 9
{V}.exchanges."new.topic"]
{V}.exchanges."zmq.topic"]
bindings = [{{ exchange = "amq.topic", topics = ["x"] }}]
{V}.exchanges.again]
type = "direct"
{V}.queues.kept]
bindings = [{{ exchange = "amq.topic", topics = ["b.#", "c.#"] }}]
{V}.queues.again]
max_length = 5
bindings = [{{ exchange = "amq.topic", topics = ["c"] }}]
{V}.queues.new]
type = "quorum"
bindings = [{{ exchange = "new.topic", topics = ["a"] }}]
{V}.users.admin]
consume = ["new"]
{V}.users.bodhi]
publish = {{ "amq.topic" = ["b", "c"], "new.topic" = ["a"] }}
bind = {{ "new.topic" = ["b"] }}
{V}.users.koji]
publish = {{ "new.topic" = ["b"] }}
{V}.users.comer]
publish = {{ "amq.topic" = ["c"] }}
{V}.users.mover]
publish = {{ "amq.topic" = ["a"] }}
bind = {{ "zmq.topic" = ["a"] }}
{V}.policies.new]
pattern = "x"
definition = {{ max-length = 5 }}
{V}.policies.kept]
pattern = "y"
definition = {{ max-length = 6 }}
{V}.operator_policies.new]
pattern = "x"
definition = {{ max-length = 7 }}
{V}.upstreams.new]
uri_env = "NEW_URI"
[vhosts.new]
max_queues = 4
[vhosts.new.queues.q]
[vhosts.new.users.bodhi]
consume = ["q"]
"""
#: Here the two come from regular expressions, and topics are let through because there is no topic permission.
OLD_EXPRESSIONS = f"""
[users.a]
certificate = true
[users.b]
certificate = true
[vhosts."/pubsub"]
{V}.users.a.expressions]
write = "old|amq"
read = "new|amq"
topics = {{ "old.topic" = {{ write = "^a", read = "^b" }}, "amq.topic" = {{ write = "a|b" }} }}
{V}.users.b.expressions]
write = "amq"
[leave]
users = ["admin"]
"""
NEW_EXPRESSIONS = f"""
[users.a]
certificate = true
[users.b]
certificate = true
[vhosts."/pubsub"]
{V}.users.a.expressions]
write = "new|amq"
read = "old|amq"
[{V[1:]}.users.a.expressions.topics]
"old.topic" = {{ write = "^c", read = "(b|c)" }}
"new.topic" = {{ write = "^c" }}
"amq.topic" = {{ write = "b|c", read = "^a" }}
{V}.users.b.expressions]
write = "new"
topics = {{ "new.topic" = {{ write = "^a$", read = "^a$" }} }}
[leave]
users = ["admin"]
"""


@pytest.fixture(scope="module")
def node() -> Iterator[PrivateNode]:
    with PrivateNode(plugins=PLUGINS) as one:
        yield one


@pytest.mark.parametrize(
    ("old", "new"),
    [(OLD, NEW), (NEW, OLD), (OLD_EXPRESSIONS, NEW_EXPRESSIONS), (NEW_EXPRESSIONS, OLD_EXPRESSIONS)],
    ids=["there", "back", "expressions there", "expressions back"],
)
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_killed_after_any_request_and_run_again(node: PrivateNode, old: str, new: str) -> None:
    empty(node)
    make(node, old)
    whole = Dying(node)
    assert make(node, new, whole).left == []
    wanted = definitions(node)
    assert lines(compare(node, new)) == []

    for lives in range(len(whole.changes)):
        assert make(node, old).left == []
        with pytest.raises(Killed):
            make(node, new, Dying(node, lives))
        result = make(node, new)
        assert result.left == [], f"killed after {lives}: {whole.changes[:lives][-1:]}"
        assert definitions(node) == wanted, f"killed after {lives}: {whole.changes[:lives][-1:]}"


PROBES: list[Access] = [
    (user, what, exchange, topic)
    for user, what, exchange, topic in itertools.product(
        ("bodhi", "koji", "leaver", "comer", "mover", "a", "b"),
        ("write", "read"),
        ("amq.topic", "old.topic", "new.topic", "zmq.topic"),
        ("a", "b", "c"),
    )
]


@pytest.mark.parametrize(
    ("old", "new"),
    [(OLD, NEW), (NEW, OLD), (OLD_EXPRESSIONS, NEW_EXPRESSIONS), (NEW_EXPRESSIONS, OLD_EXPRESSIONS)],
    ids=["there", "back", "expressions there", "expressions back"],
)
def test_nobody_may_do_more_meanwhile_nor_less(node: PrivateNode, old: str, new: str) -> None:
    empty(node)
    make(node, new)
    after = allowed(node, "/pubsub", PROBES)
    make(node, old)
    before = allowed(node, "/pubsub", PROBES)
    assert before - after
    assert after - before
    seen: list[set[Access]] = []

    watched = Dying(node, watching=lambda: seen.append(allowed(node, "/pubsub", PROBES)))
    make(node, new, watched)

    for (method, path), now in zip(watched.changes, seen, strict=True):
        assert now <= before | after, f"more after {method} {path}"
        assert now >= before & after, f"interrupted after {method} {path}"
    assert seen[-1] == after


def test_no_message_is_unroutable_meanwhile(node: PrivateNode) -> None:
    """What is bound before and after, be it by other bindings, is bound after every request."""
    text = (
        f'[users.admin]\npassword_env = "ADMIN"\ntags = ["administrator"]\n{V}]\n{V}.queues.q]\nbindings = '
    )
    old, new = (
        '[{ exchange = "amq.topic", topics = ["a.b"] }]',
        '[{ exchange = "amq.topic", topics = ["a.*"] }]',
    )
    empty(node)
    make(node, text + old)

    def routed() -> None:
        found = node.management("GET", "/api/bindings/%2Fpubsub/e/amq.topic/q/q")
        assert [one for one in found if one["routing_key"] in {"a.b", "a.*"}]

    watched = Dying(node, watching=routed)
    make(node, text + new, watched)
    assert len(watched.changes) >= 2
