# SPDX-License-Identifier: MIT
"""What somebody may still need stays on a real broker, unless it is named."""

import time
from collections.abc import Iterator

import pika
import pytest

from fedmsg_migration_tools.broker.changing.applying import apply
from fedmsg_migration_tools.broker.changing.changes import Plan
from fedora_messaging.private_node import PrivateNode

from .brokers import PLUGINS, Dying, compare, empty, lines, make

USERS = """
[users.admin]
password_env = "ADMIN"
tags = ["administrator"]
[users.app]
password_env = "OLD"
[users.owner]
certificate = true
"""
VHOST = """
[vhosts.w]
[vhosts.w.users.app]
expressions = { configure = "^own", write = ".*", read = ".*" }
[vhosts.w.users.owner]
manage = ["own*"]
"""


def with_queue(kind: str, more: str = "") -> str:
    return (
        USERS
        + VHOST
        + f'[vhosts.w.queues.q]\ntype = "{kind}"\nbindings = [{{ exchange = "amq.topic" }}]\n{more}'
    )


WITHOUT = USERS + VHOST


@pytest.fixture(scope="module")
def one_node() -> Iterator[PrivateNode]:
    often = {"collect_statistics_interval": 500}  # ms, instead of 5,000
    advanced = "[{rabbit, [{quorum_tick_interval, 500}, {stream_tick_interval, 500}]}]."
    with PrivateNode(plugins=PLUGINS, config=often, advanced=advanced) as one:
        yield one


@pytest.fixture
def node(one_node: PrivateNode) -> PrivateNode:
    empty(one_node)
    return one_node


def connected(node: PrivateNode) -> pika.BlockingConnection:
    return pika.BlockingConnection(
        pika.ConnectionParameters(
            "127.0.0.1", node.amqp_port, "w", pika.PlainCredentials("app", "old-secret")
        )
    )


def fill(node: PrivateNode) -> None:
    connection = connected(node)
    channel = connection.channel()
    channel.confirm_delivery()
    channel.basic_publish("amq.topic", "a", b"x", pika.BasicProperties(delivery_mode=2))
    connection.close()


def known(node: PrivateNode, text: str, why: str) -> Plan:
    """A plan in which a change is held, as soon as the statistics have heard why."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        found = compare(node, text)
        if [one for one in found.changes if why in one.held]:
            return found
        time.sleep(0.3)
    raise AssertionError(f"never {why}: {lines(found)}")


def queues(node: PrivateNode, vhost: str = "w") -> dict[str, str]:
    return {
        one["name"]: one["type"] for one in node.management("GET", f"/api/queues/{vhost}?columns=name,type")
    }


@pytest.mark.parametrize("kind", ["classic", "quorum", "stream"])
def test_a_queue_that_holds_messages_stays_until_it_is_named(node: PrivateNode, kind: str) -> None:
    make(node, with_queue(kind))
    fill(node)
    known(node, WITHOUT, "holds 1 message")

    result = make(node, WITHOUT)
    assert [(str(one), why) for one, why in result.left] == [
        (
            "- queue q in w: with its 1 binding; it holds 1 message, so it stays unless --allow-delete q is given",
            "it holds 1 message",
        )
    ]
    assert queues(node) == {"q": kind}

    assert make(node, WITHOUT, allow_delete=["w/q"]).left == []
    assert queues(node) == {}


@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_a_message_that_came_after_the_plan_is_seen(node: PrivateNode, kind: str) -> None:
    make(node, with_queue(kind))
    found = compare(node, WITHOUT)
    assert [one.held for one in found.changes] == [""]
    fill(node)

    with Dying(node) as management:
        [(_, why)] = apply(found, management, settling=0.0).left

    assert "not empty" in why or why == "it holds messages"
    assert queues(node) == {"q": kind}


def test_statistics_are_waited_for_where_the_broker_cannot_be_asked(node: PrivateNode) -> None:
    make(node, with_queue("stream"))
    found = compare(node, WITHOUT)
    fill(node)

    with Dying(node) as management:
        [(_, why)] = apply(found, management, settling=3.0).left

    assert why in {"it holds 1 message", "it may hold messages: the broker does not tell"}
    assert queues(node) == {"q": "stream"}


def test_an_empty_stream_goes_when_the_statistics_know_that_it_is_empty(node: PrivateNode) -> None:
    make(node, with_queue("stream"))
    end = time.monotonic() + 60
    while make(node, WITHOUT).left and time.monotonic() < end:
        time.sleep(0.3)
    assert queues(node) == {}


@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_a_queue_with_a_consumer_stays(node: PrivateNode, kind: str) -> None:
    make(node, with_queue(kind))
    connection = connected(node)
    connection.channel().basic_consume("q", lambda *_: None)
    known(node, WITHOUT, "has 1 consumer")

    assert [why for _, why in make(node, WITHOUT).left] == ["it has 1 consumer"]
    assert queues(node) == {"q": kind}
    connection.close()


@pytest.mark.parametrize(("old", "new"), [("classic", "quorum"), ("quorum", "classic")])
def test_a_queue_is_made_again_only_when_it_is_empty_or_named(node: PrivateNode, old: str, new: str) -> None:
    make(node, with_queue(old))
    fill(node)
    [change] = known(node, with_queue(new), "holds 1 message").changes
    assert "--allow-delete q deletes it with what it holds" in str(change)

    assert [why for _, why in make(node, with_queue(new)).left] == ["it holds 1 message"]
    assert queues(node) == {"q": old}

    assert make(node, with_queue(new), allow_delete=["q"]).left == []
    assert queues(node) == {"q": new}
    assert lines(compare(node, with_queue(new))) == []
    fill(node)  # it is bound


def test_a_virtual_host_whose_queues_hold_messages_stays_until_it_is_named(node: PrivateNode) -> None:
    make(node, with_queue("classic", "[vhosts.w.queues.empty]\n"))
    fill(node)
    known(node, USERS, "its queue q holds 1 message")

    assert [why for _, why in make(node, USERS).left] == ["its queue q holds 1 message"]
    assert set(queues(node)) == {"q", "empty"}

    assert make(node, USERS, allow_delete=["w"]).left == []
    assert [one["name"] for one in node.management("GET", "/api/vhosts")] == []


def test_a_virtual_host_whose_queues_are_empty_goes(node: PrivateNode) -> None:
    make(node, with_queue("quorum", "[vhosts.w.queues.empty]\n"))
    assert lines(compare(node, USERS)) == ["- virtual host w: with its 2 queues"]
    assert make(node, USERS).left == []
    assert node.management("GET", "/api/vhosts") == []


def test_an_exchange_from_which_an_application_has_bound_stays_until_it_is_named(node: PrivateNode) -> None:
    bound = WITHOUT + "[vhosts.w.exchanges.e]\n"
    make(node, bound)
    connection = connected(node)
    channel = connection.channel()
    channel.queue_declare("own")
    channel.queue_bind("own", "e", "a")
    for text in (bound + 'type = "direct"\n', WITHOUT):
        result = make(node, text)
        assert [why for _, why in result.left] == ["1 binding leads from it"]

    assert make(node, bound + 'type = "direct"\n', allow_delete=["e"]).left == []
    confirming = connection.channel()
    confirming.confirm_delivery()
    confirming.basic_publish(
        "e", "a", b"x", mandatory=True
    )  # returned, which is an error, if it is not bound again
    connection.close()


def test_what_applications_declare_is_not_touched(node: PrivateNode) -> None:
    make(node, with_queue("classic"))
    connection = connected(node)
    channel = connection.channel()
    channel.queue_declare("own.durable", durable=True)
    channel.queue_bind("own.durable", "amq.topic", "a")
    channel.exchange_declare("own.exchange", "fanout")
    channel.queue_bind("own.durable", "own.exchange")
    channel.queue_declare("own.exclusive", exclusive=True)
    channel.queue_declare("own.auto", auto_delete=True)

    assert lines(compare(node, with_queue("classic"))) == []
    connection.close()


def test_what_is_to_be_left_is_not_touched(node: PrivateNode) -> None:
    make(node, with_queue("classic") + "[vhosts.theirs]\n[users.they]\ncertificate = true\n")
    leave = '[leave]\nvhosts = ["theirs"]\nusers = ["they", "app", "owner"]\nqueues = ["q"]\n'
    file = leave + '[users.admin]\npassword_env = "ADMIN"\ntags = ["administrator"]\n[vhosts.w]\n'

    assert lines(compare(node, file)) == []


def test_the_user_that_applies_is_never_locked_out(node: PrivateNode) -> None:
    make(node, WITHOUT)
    gone = WITHOUT.replace('[users.admin]\npassword_env = "ADMIN"\ntags = ["administrator"]\n', "")
    less = WITHOUT.replace('tags = ["administrator"]\n', "")
    certificate = WITHOUT.replace('password_env = "ADMIN"', "certificate = true")
    for text, why in (
        (gone, "apply runs as it, so it is not deleted"),
        (less, "apply runs as it, so it stays administrator"),
        (certificate, "apply runs as it, by password"),
    ):
        [(change, said)] = make(node, text).left
        assert str(change).startswith("! user admin: apply runs as it")
        assert why in said
        assert "administrator" in node.management("GET", "/api/users/admin")["tags"]


def test_what_gives_is_refused_so_nothing_is_taken_there(node: PrivateNode) -> None:
    """A new queue that RabbitMQ does not take, beside an old one that the file does not list any more."""
    make(node, with_queue("classic"))
    wrong = "[vhosts.w.queues.new]\n[vhosts.w.queues.new.arguments]\nx-max-length = -1\n[vhosts.other]\n"

    result = make(node, WITHOUT + wrong)

    assert queues(node) == {"q": "classic"}
    assert [str(one) for one in result.done] == ["+ virtual host other"]
    assert [str(one.key.name) for one, _ in result.left] == ["new", "q"]
    assert "invalid arg 'x-max-length'" in result.left[0][1]
    assert queues(node) == {"q": "classic"}


def test_what_cannot_be_made_again_is_as_it_was(node: PrivateNode) -> None:
    make(node, with_queue("classic"))
    wrong = with_queue("classic", "[vhosts.w.queues.q.arguments]\nx-max-priority = -1\n")

    [(change, why)] = make(node, wrong).left

    assert str(change).startswith("! queue q in w: max-priority none → -1")
    assert "x-max-priority" in why
    assert lines(compare(node, with_queue("classic"))) == []


def test_secrets_are_in_no_refusal(node: PrivateNode) -> None:
    [(change, why)] = make(node, WITHOUT + '[vhosts.w.upstreams.up]\nuri_env = "OLD"\n').left
    assert "not a valid URI" in why
    assert "old-secret" not in f"{change} {change!r} {why}"
