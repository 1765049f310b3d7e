# SPDX-License-Identifier: MIT
"""A real broker becomes what a file says: whole, a line at a time, and not where somebody would lose something."""

from collections.abc import Iterator

import pytest

from fedmsg_migration_tools.broker.changing.changes import Action
from fedora_messaging.private_node import PrivateNode

from .brokers import PLUGINS, compare, definitions, empty, lines, make

ADMIN = """
[users.admin]
password_env = "ADMIN"
tags = ["administrator"]
"""

BUS = (
    ADMIN
    + """
[users.bodhi]
password_env = "OLD"
max_connections = 10
[users.koji]
certificate = true
[users.hash]
password_hash = "8yI2dccTAy3hy/ahINRAYdJSRtdzN5QSfPomLDIPe1tIV2jx"
tags = ["monitoring"]

[vhosts."/pubsub"]
description = "The bus"
tags = ["fedora"]
max_queues = 100
max_connections = 50
[vhosts."/pubsub".exchanges."zmq.topic"]
[vhosts."/pubsub".exchanges."amq.topic"]
bindings = [{ exchange = "zmq.topic" }]
[vhosts."/pubsub".exchanges.dead]
type = "fanout"
[vhosts."/pubsub".exchanges.spare]
[vhosts."/pubsub".queues.spare]
bindings = [{ exchange = "zmq.topic" }]
[vhosts."/pubsub".queues.amqp_to_zmq]
type = "quorum"
max_length = 1000
bindings = [{ exchange = "amq.topic", topics = ["org.a.#", "org.b.*"] }]
[vhosts."/pubsub".queues.classic]
dead_letter_exchange = "dead"
message_ttl = 60
[[vhosts."/pubsub".queues.classic.bindings]]
exchange = "zmq.topic"
arguments = { x = 1 }
[vhosts."/pubsub".queues.log]
type = "stream"
max_age = "1D"
[vhosts."/pubsub".users.bodhi]
publish = { "amq.topic" = ["org.fedoraproject.*.bodhi.#"] }
bind = { "amq.topic" = ["org.#"] }
consume = ["classic"]
manage = ["bodhi*"]
[vhosts."/pubsub".users.koji]
consume = ["amqp_to_zmq"]
[vhosts."/pubsub".policies.limit]
pattern = "^bodhi"
definition = { max-length = 100 }
apply_to = "queues"
[vhosts."/pubsub".operator_policies.lid]
pattern = "^x"
definition = { max-length = 100 }
apply_to = "queues"
[vhosts."/pubsub".upstreams.up]
uri_env = "OLD_URI"
exchange = "amq.topic"
[vhosts.other]
"""
)
V = '[vhosts."/pubsub"'

#: A change of the file (what stands there, and instead of it) and the line that it shows.
SINGLE = [
    pytest.param('"The bus"', '"Bus"', "~ virtual host /pubsub: description The bus → Bus", id="description"),
    pytest.param(
        '["fedora"]', '["a"]', '~ virtual host /pubsub: tags ["fedora"] → ["a"]', id="tags of a vhost"
    ),
    pytest.param("[vhosts.other]", "", "- virtual host other", id="no vhost"),
    pytest.param("[vhosts.other]", "[vhosts.other]\n[vhosts.more]", "+ virtual host more", id="vhost"),
    pytest.param(
        "max_queues = 100",
        "max_queues = 9",
        "~ limits of virtual host /pubsub: max-queues 100 → 9",
        id="limits",
    ),
    pytest.param(
        "max_queues = 100\nmax_connections = 50",
        "",
        "- limits of virtual host /pubsub",
        id="no limits",
    ),
    pytest.param(
        "[vhosts.other]",
        "[vhosts.other]\nmax_queues = 5",
        "+ limits of virtual host other: max-queues 5",
        id="new limits",
    ),
    pytest.param('"OLD"\nmax_c', '"NEW"\nmax_c', "~ user bodhi: password changes", id="password"),
    pytest.param(
        "max_connections = 10",
        "max_connections = 11\nmax_channels = 3",
        "~ user bodhi: max-channels none → 3, max-connections 10 → 11",
        id="limits of a user",
    ),
    pytest.param(
        "max_connections = 10", "", "~ user bodhi: max-connections 10 → none", id="no limits of a user"
    ),
    pytest.param('tags = ["monitoring"]', "", "~ user hash: tags monitoring → none", id="tags of a user"),
    pytest.param(
        'hash = "8yI2dccTAy3hy', 'hash = "8yI2dccTAy3hx', "~ user hash: password changes", id="hash"
    ),
    pytest.param(
        "certificate = true", 'password_env = "NEW"', "~ user koji: gets a password", id="certificate"
    ),
    pytest.param(
        "[users.hash]",
        "[users.new]\ncertificate = true\n[users.hash]",
        "+ user new: with a certificate only",
        id="user",
    ),
    pytest.param(
        '[users.hash]\npassword_hash = "8yI2dccTAy3hy/ahINRAYdJSRtdzN5QSfPomLDIPe1tIV2jx"\ntags = ["monitoring"]',
        "",
        "- user hash",
        id="no user",
    ),
    pytest.param(
        V + ".exchanges.dead]",
        V + '.exchanges.new]\ntype = "headers"\nalternate_exchange = "dead"\n' + V + ".exchanges.dead]",
        "+ exchange new in /pubsub: headers, alternate-exchange dead",
        id="exchange",
    ),
    pytest.param(
        V + ".exchanges.spare]\n",
        "",
        "- exchange spare in /pubsub",
        id="no exchange",
    ),
    pytest.param(
        'type = "fanout"',
        'type = "direct"',
        "! exchange dead in /pubsub: type fanout → direct; cannot be changed in place: it is not used, so it is "
        "deleted and declared again; what is published in between is lost",
        id="exchange's type",
    ),
    pytest.param(
        V + ".queues.log]",
        V + ".queues.new]\nmax_bytes = 5\n" + V + ".queues.log]",
        "+ queue new in /pubsub: classic, max-length-bytes 5",
        id="queue",
    ),
    pytest.param(
        V + '.queues.spare]\nbindings = [{ exchange = "zmq.topic" }]\n',
        "",
        "- queue spare in /pubsub: with its 1 binding",
        id="no queue",
    ),
    pytest.param(
        "message_ttl = 60",
        "message_ttl = 61",
        "! queue classic in /pubsub: message-ttl 60000 → 61000; cannot be changed in place (a policy can set "
        "message-ttl): it is not used, so it is deleted and declared again; what is published in between is lost",
        id="queue's arguments",
    ),
    pytest.param(
        'dead_letter_exchange = "dead"',
        'type = "quorum"\ndead_letter_exchange = "dead"',
        "! queue classic in /pubsub: type classic → quorum; cannot be changed in place: it is not used, so it is "
        "deleted and declared again; what is published in between is lost",
        id="queue's type",
    ),
    pytest.param(
        '"org.a.#", "org.b.*"',
        '"org.a.#", "org.b.*", "c"',
        "+ binding amq.topic → amqp_to_zmq in /pubsub for c",
        id="binding",
    ),
    pytest.param(
        '"org.a.#", "org.b.*"',
        '"org.a.#"',
        "- binding amq.topic → amqp_to_zmq in /pubsub for org.b.*",
        id="no binding",
    ),
    pytest.param(
        '[[vhosts."/pubsub".queues.classic.bindings]]\nexchange = "zmq.topic"\narguments = { x = 1 }',
        "",
        '- binding zmq.topic → classic in /pubsub for # {"x": 1}',
        id="no binding with arguments",
    ),
    pytest.param(
        '.exchanges."amq.topic"]\nbindings = [{ exchange = "zmq.topic" }]',
        '.exchanges."amq.topic"]',
        "- binding zmq.topic → exchange amq.topic in /pubsub for #",
        id="no binding of exchanges",
    ),
    pytest.param(
        '"org.fedoraproject.*.bodhi.#"',
        '"org.fedoraproject.*.bodhi.#", "x"',
        "~ permission of bodhi in /pubsub: write topics of amq.topic +x",
        id="topics",
    ),
    pytest.param(
        'bind = { "amq.topic" = ["org.#"] }',
        'bind = { "amq.topic" = ["com.#"] }',
        "~ permission of bodhi in /pubsub: read topics of amq.topic +com.# -org.#",
        id="topics to bind",
    ),
    pytest.param(
        'publish = { "amq.topic" =',
        'publish = { "zmq.topic" = ["x"], "amq.topic" =',
        "~ permission of bodhi in /pubsub: write bodhi* amq.topic → bodhi* zmq.topic amq.topic, write topics of "
        "zmq.topic all → x, read topics of zmq.topic all → none",
        id="another exchange",
    ),
    pytest.param(
        'consume = ["classic"]',
        "",
        "~ permission of bodhi in /pubsub: read bodhi* classic amq.topic → bodhi* amq.topic",
        id="consume",
    ),
    pytest.param(
        V + '.users.koji]\nconsume = ["amqp_to_zmq"]\n',
        "",
        "- permission of koji in /pubsub",
        id="no permission",
    ),
    pytest.param(
        "[vhosts.other]",
        '[vhosts.other]\n[vhosts.other.users.koji]\npublish = { "amq.topic" = ["a"] }',
        "+ permission of koji in other: configure none, write amq.topic, read none, write topics of amq.topic a, "
        "read topics of amq.topic none",
        id="permission",
    ),
    pytest.param(
        '"^bodhi"\ndefinition = { max-length = 100 }',
        '"^bodhi"\npriority = 3\ndefinition = { max-length = 99 }',
        "~ policy limit in /pubsub: max-length 100 → 99, priority 0 → 3",
        id="policy",
    ),
    pytest.param(
        '"^x"\ndefinition = { max-length = 100 }',
        '"^y"\ndefinition = { max-length = 100 }',
        "~ operator policy lid in /pubsub: pattern ^x → ^y",
        id="operator policy",
    ),
    pytest.param(
        V + '.policies.limit]\npattern = "^bodhi"\ndefinition = { max-length = 100 }\napply_to = "queues"\n',
        "",
        "- policy limit in /pubsub",
        id="no policy",
    ),
    pytest.param(
        'uri_env = "OLD_URI"',
        'uri_env = "NEW_URI"',
        "~ federation-upstream up in /pubsub: uri changes",
        id="upstream",
    ),
    pytest.param(
        V + '.upstreams.up]\nuri_env = "OLD_URI"\nexchange = "amq.topic"\n',
        "",
        "- federation-upstream up in /pubsub",
        id="no upstream",
    ),
]


@pytest.fixture(scope="module")
def node() -> Iterator[PrivateNode]:
    with PrivateNode(plugins=PLUGINS) as one:
        yield one


@pytest.fixture
def bus(node: PrivateNode) -> str:
    """The broker is what this file says."""
    make(node, BUS)
    assert lines(compare(node, BUS)) == []
    return BUS


def test_an_empty_broker_becomes_the_bus(node: PrivateNode) -> None:
    empty(node)
    first = compare(node, BUS)
    assert {one.action for one in first.changes} == {Action.CREATE}

    result = make(node, BUS)

    assert result.left == []
    assert sorted(map(str, result.done)) == sorted(lines(first))
    assert lines(compare(node, BUS)) == []
    assert node.management("GET", "/api/permissions") == [
        one for one in node.management("GET", "/api/permissions") if one["user"] in {"bodhi", "koji"}
    ]


@pytest.mark.usefixtures("bus")
@pytest.mark.parametrize(("old", "new", "line"), SINGLE)
def test_each_single_change_is_one_line(node: PrivateNode, old: str, new: str, line: str) -> None:
    assert BUS.count(old) == 1
    changed = BUS.replace(old, new)

    assert lines(compare(node, changed)) == [line]
    result = make(node, changed)

    assert result.left == []
    assert [str(one) for one in result.done] == [line]
    assert lines(compare(node, changed)) == []
    assert make(node, BUS).left == []


@pytest.mark.usefixtures("bus")
def test_a_second_run_asks_for_nothing(node: PrivateNode) -> None:
    before = definitions(node)
    assert make(node, BUS).done == []
    assert definitions(node) == before
