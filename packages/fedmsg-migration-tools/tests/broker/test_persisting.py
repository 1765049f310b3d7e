# SPDX-License-Identifier: MIT
"""A broker that is started again while it is changed."""

import threading
from collections.abc import Iterator

import pytest

from fedmsg_migration_tools.broker.changing.applying import apply
from fedmsg_migration_tools.exceptions import ToolsError
from fedora_messaging.private_node import PrivateNode

from .brokers import PLUGINS, Dying, compare, lines, make

FILE = """
[users.admin]
password_env = "ADMIN"
tags = ["administrator"]
[users.a]
certificate = true
[users.b]
certificate = true
[vhosts.v]
[vhosts.v.queues.q]
[vhosts.v.queues.p]
"""


@pytest.fixture
def node() -> Iterator[PrivateNode]:
    with PrivateNode(plugins=PLUGINS) as one:
        yield one


def test_it_waits_for_a_broker_that_is_started_again(node: PrivateNode) -> None:
    starting: list[threading.Thread] = []

    def kill_it_once() -> None:
        if len(dying.changes) == 3:
            node.kill()
            starting.append(threading.Timer(1.0, node.start))
            starting[0].start()

    dying = Dying(node, watching=kill_it_once)
    found = compare(node, FILE)
    with dying:
        result = apply(found, dying, settling=0.0)

    starting[0].join()
    assert result.left == []
    assert lines(compare(node, FILE)) == []


def test_it_says_that_it_may_be_run_again_when_the_broker_does_not_come_back(node: PrivateNode) -> None:
    def kill_it() -> None:
        if len(dying.changes) == 3:
            node.kill()

    dying = Dying(node, watching=kill_it)
    found = compare(node, FILE)
    with dying, pytest.raises(ToolsError) as caught:
        apply(found, dying, settling=0.0, patience=0.5)

    assert "does not listen" in str(caught.value)
    assert str(caught.value).endswith("changes are made: run it again, it goes on from there")
    node.start()
    found = compare(node, FILE)
    assert found.changes
    with Dying(node) as management:
        assert apply(found, management, settling=0.0).left == []
    assert lines(compare(node, FILE)) == []


def test_a_virtual_host_that_does_not_run_is_not_touched(node: PrivateNode) -> None:
    make(node, FILE)
    node.evaluate('rabbit_vhost_sup_sup:stop_and_delete_vhost(<<"v">>).')
    found = compare(
        node, FILE + "[vhosts.v.queues.new]\n[users.c]\ncertificate = true\n"
    )  # 4.0 soon starts it again
    with Dying(node) as management, pytest.raises(ToolsError) as caught:
        apply(found, management, settling=0.0)

    assert "The virtual host v does not run on any node" in str(caught.value)
    assert management.changes == []
    node.evaluate('rabbit_vhost_sup_sup:start_vhost(<<"v">>).')
    assert make(node, FILE + "[vhosts.v.queues.new]\n").left == []
