# SPDX-License-Identifier: MIT
"""A cluster of one's own: what it offers, what can be done to it, and that nothing of it is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pika
import pika.exceptions
import pytest

from fedora_messaging.private_node import NodeError, PrivateCluster
from tests.faults.support import channel, depth, eventually

from .support import QUEUE, declare

if TYPE_CHECKING:
    from fedora_messaging.private_node import PrivateNode

RUNNING = """
case erlang:function_exported(rabbit_nodes, list_running, 0) of
    true -> rabbit_nodes:list_running();
    _ -> rabbit_nodes:all_running()
end
"""


def seen_by(node: PrivateNode) -> set[str]:
    """Which nodes run, as this one sees it."""
    return set(
        node.evaluate(RUNNING).replace("'", "").strip("[]").replace(" ", "").replace("\n", "").split(",")
    )


def test_three_nodes_are_one_broker(cluster: PrivateCluster, vhost: str) -> None:
    names = {f"rabbit{number}@localhost" for number in (1, 2, 3)}
    assert {node.name for node in cluster.nodes} == names
    assert all(seen_by(node) == names for node in cluster.nodes)
    assert len({node.password for node in cluster.nodes}) == 1
    assert len({node.ports["epmd"] for node in cluster.nodes}) == 1
    assert len(set(cluster.amqp_urls)) == 3
    urls = cluster.urls_of(vhost)
    declare(urls[0])
    with channel(urls[1]) as ch:
        ch.confirm_delivery()
        ch.basic_publish("amq.topic", "a.b", b"1")
    assert depth(urls[2], QUEUE) == 1


def test_a_queue_has_another_leader_when_its_leader_dies(cluster: PrivateCluster, vhost: str) -> None:
    declare(cluster.urls_of(vhost)[0])
    leader = cluster.leader_of(QUEUE, vhost)
    leader.kill()
    assert leader not in cluster.running
    other = cluster.leader_of(QUEUE, vhost)
    assert other is not leader
    assert other.running
    leader.start()
    cluster.wait_until_whole()
    assert len(seen_by(leader)) == 3


def test_who_leads_is_asked_of_queues_that_are_there(cluster: PrivateCluster, vhost: str) -> None:
    with pytest.raises(NodeError, match=r"There is no queue 'none' in the virtual host 'test-"):
        cluster.leader_of("none", vhost)
    with channel(cluster.urls_of(vhost)[2]) as ch:
        ch.queue_declare("classic", durable=True)
    assert cluster.leader_of("classic", vhost) is cluster.nodes[2]


def test_a_partition_leaves_clients_connected_until_the_minority_pauses(
    cluster: PrivateCluster, vhost: str
) -> None:
    alone, *others = cluster.nodes
    urls = cluster.urls_of(vhost)
    connections = [pika.BlockingConnection(pika.URLParameters(url)) for url in urls]
    channels = [connection.channel() for connection in connections]
    cluster.partition(alone)
    for ch in channels[1:]:
        ch.queue_declare("there", durable=True)
    eventually(lambda: seen_by(others[0]) == {node.name for node in others}, "two nodes")
    assert alone.evaluate("nodes()") == "[]"
    with pytest.raises(pika.exceptions.ConnectionClosedByBroker, match="CONNECTION_FORCED"):
        connections[0].process_data_events(30)
    with pytest.raises(pika.exceptions.AMQPConnectionError):
        pika.BlockingConnection(pika.URLParameters(urls[0]))
    assert all(connection.is_open for connection in connections[1:])
    cluster.heal()
    assert len(seen_by(alone)) == 3
    with channel(urls[0]) as ch:
        ch.queue_declare("there", passive=True)
    for connection in connections[1:]:
        connection.close()


def test_who_is_cut_off_is_refused_by_the_others_as_well(cluster: PrivateCluster) -> None:
    alone, other, _ = cluster.nodes
    cluster.partition(alone)
    alone.evaluate("[erlang:set_cookie(N, erlang:get_cookie()) || N <- ['rabbit2@localhost']]")
    assert alone.evaluate(f"net_kernel:connect_node('{other.name}')") == "false"
    assert other.evaluate(f"net_kernel:connect_node('{alone.name}')") == "false"
    alone.kill()
    cluster.heal()
    alone.start()
    cluster.wait_until_whole()
    assert len(seen_by(other)) == 3


def test_a_frozen_node_is_given_up_and_healed(cluster: PrivateCluster, vhost: str) -> None:
    declare(cluster.urls_of(vhost)[0])
    leader = cluster.leader_of(QUEUE, vhost)
    leader.freeze()
    assert cluster.leader_of(QUEUE, vhost) is not leader
    leader.thaw()
    cluster.heal()
    assert all(len(seen_by(node)) == 3 for node in cluster.nodes)


def test_data_that_is_kept_serves_the_next(tmp_path: Path) -> None:
    with PrivateCluster(2, data=tmp_path, plugins=(), partitions="ignore") as first:
        first.add_vhost("kept")
        password = first.nodes[0].password
        with pytest.raises(NodeError, match="in use"):
            PrivateCluster(2, data=tmp_path).start()
    assert (tmp_path / "password").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "cookie").stat().st_mode & 0o777 == 0o600
    with PrivateCluster(2, data=tmp_path, plugins=(), partitions="ignore") as second:
        assert second.nodes[1].password == password
        assert len(seen_by(second.nodes[1])) == 2
        with channel(second.urls_of("kept")[1]) as ch:
            ch.queue_declare("there")


SCRIPT = """
import sys
from fedora_messaging.private_node import PrivateCluster
with PrivateCluster(2, plugins=("rabbitmq_management",), partitions="ignore") as cluster:
    cluster.nodes[0].freeze()
    print(cluster.nodes[0].folder.parent, *(node.pid for node in cluster.nodes), flush=True)
    sys.stdin.read()
"""


def test_nothing_outlives_a_killed_owner() -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    folder, *pids = owner.stdout.readline().split()
    assert Path(folder).is_dir()
    owner.send_signal(signal.SIGKILL)
    owner.communicate()
    for pid in map(int, pids):
        eventually(partial(gone, pid), f"the end of {pid}", 10)
    eventually(lambda: not Path(folder).exists(), "no folder", 10)


def gone(pid: int) -> bool:
    """Whether there is no such process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_start_that_fails_leaves_nothing(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(NodeError):
        PrivateCluster(2, data=tmp_path, plugins=(), config={"no.such.key": 1}).start()
    assert time.monotonic() - began < 60
    with PrivateCluster(1, data=tmp_path, plugins=()) as one:  # nobody holds the folder
        assert one.running == list(one.nodes)
