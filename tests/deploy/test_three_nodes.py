# SPDX-License-Identifier: MIT
"""``deploy/rabbitmq`` on three machines: they find each other, over TLS, and who is cut off stops."""

from __future__ import annotations

import json
import re
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .conftest import HOSTS
from .machines import RABBITMQ, Machines, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Pki

FILES = (
    "rabbitmq.conf",
    "advanced.config",
    "enabled_plugins",
    "definitions.json",
    "cluster/rabbitmq-env.conf",
    "cluster/inter_node_tls.config",
    "conf.d/50-open-amqp.conf",
    "conf.d/60-cluster.conf",
)
ADMIN = {"user": "admin", "password": "correct horse battery staple"}
API = "https://localhost:15671/api"


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory, pki: Pki) -> Iterator[Machines]:
    with Machines(tmp_path_factory.mktemp("three"), *HOSTS) as machines:
        new = ["conf.d/70-rabbitmq4.conf"] if machines.version >= (4,) else []
        machines.install(*FILES, *new, cookie="the same on all three")
        pki.bring(machines)
        for host in HOSTS:
            machines.start(host)
        for host in HOSTS:
            machines.await_start(host)
        machines.ctl(HOSTS[0], "add_user", ADMIN["user"], text=ADMIN["password"])
        machines.ctl(HOSTS[0], "set_user_tags", ADMIN["user"], "administrator")
        machines.ctl(HOSTS[0], "add_vhost", "/")
        machines.ctl(HOSTS[0], "set_permissions", ADMIN["user"], ".*", ".*", ".*")
        yield machines


def get(three: Machines, pki: Pki, host: str, path: str) -> object:
    status, answer = three.request(host, "GET", f"{API}/{path}", ca=pki.ca, **ADMIN)
    assert status == 200, answer
    return json.loads(answer)


def test_they_are_one_cluster(three: Machines, pki: Pki) -> None:
    for host in HOSTS:
        nodes = get(three, pki, host, "nodes")
        assert isinstance(nodes, list)
        assert {node["name"] for node in nodes if node["running"]} == {f"rabbit@{host}" for host in HOSTS}
    assert get(three, pki, HOSTS[1], "cluster-name") == {"name": "bus.example.org"}


@pytest.mark.parametrize("host", HOSTS)
def test_what_is_open(three: Machines, host: str) -> None:
    every = {("::", 5671), ("0.0.0.0", 25672), ("0.0.0.0", 4369), ("::", 4369)}
    assert three.listeners(host) == every | {("127.0.0.1", 15671), ("127.0.0.1", 15692)}


def test_between_nodes_all_is_encrypted(three: Machines, pki: Pki) -> None:
    tls = pki.of(HOSTS[1])
    ours = ["-cert", f"{tls}/cert.pem", "-key", f"{tls}/key.pem", "-verify_hostname", HOSTS[0]]
    said = three.handshake(HOSTS[1], f"{HOSTS[0]}:25672", "-CAfile", str(pki.ca), *ours)
    assert "Verify return code: 0 (ok)" in said
    refused = three.handshake(HOSTS[1], f"{HOSTS[0]}:25672", "-CAfile", str(pki.ca), "-tls1_2")
    assert "handshake failure" in refused  # without a certificate


def test_a_certificate_is_a_login_at_each(three: Machines, pki: Pki) -> None:
    nobody = {"password_hash": "", "tags": ""}
    assert three.request(HOSTS[0], "PUT", f"{API}/users/alice", ca=pki.ca, body=nobody, **ADMIN)[0] == 201
    three.ctl(HOSTS[0], "set_permissions", "alice", ".*", ".*", ".*")
    for host in HOSTS:
        assert three.doctor(None, f"{host}:5671", pki.of("alice")) == []


def test_a_quorum_queue_is_on_all_three(three: Machines, pki: Pki) -> None:
    wanted = {"durable": True, "arguments": {"x-queue-type": "quorum"}}
    made = three.request(HOSTS[0], "PUT", f"{API}/queues/%2F/work", ca=pki.ca, body=wanted, **ADMIN)
    assert made[0] == 201, made
    queue = get(three, pki, HOSTS[2], "queues/%2F/work")
    assert isinstance(queue, dict)
    assert sorted(queue["members"]) == [f"rabbit@{host}" for host in HOSTS]


@pytest.mark.slow
def test_who_is_cut_off_stops_until_it_is_back(three: Machines, pki: Pki) -> None:
    assert ("::", 5671) in three.listeners(HOSTS[0])
    cut = three.run(None, "ip", "link", "set", "port1", "down")
    assert cut.returncode == 0, cut.stderr
    wait_for(lambda: ("::", 5671) not in three.listeners(HOSTS[0]), "the minority's stop", 90)
    assert three.doctor(None, f"{HOSTS[1]}:5671", pki.of("alice")) == []  # the others go on
    time.sleep(10)  # its database stops last: met while it still runs, it would stay "cut off" for the others
    three.run(None, "ip", "link", "set", "port1", "up")
    wait_for(lambda: ("::", 5671) in three.listeners(HOSTS[0]), "its return", 90)
    wait_for(lambda: three.doctor(None, f"{HOSTS[0]}:5671", pki.of("alice")) == [], "a login there", 60)

    def whole() -> bool:
        nodes = get(three, pki, HOSTS[1], "nodes")
        assert isinstance(nodes, list)
        return all(node["running"] and node.get("partitions") == [] for node in nodes)

    wait_for(whole, "one cluster", 60)


def federated(three: Machines, pki: Pki) -> bool:
    """Whether both exchanges of the public virtual host take from the bus."""
    links = get(three, pki, HOSTS[0], "federation-links/%2Fpublic_pubsub")
    assert isinstance(links, list)
    return sorted(link["exchange"] for link in links if link["status"] == "running") == [
        "amq.topic",
        "zmq.topic",
    ]


def test_the_example_is_applied_as_the_page_says(
    three: Machines, pki: Pki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``deploy/bus.toml``, on one of the nodes; then a bridge's certificate lets it do at each what the file says."""
    bus, password = tmp_path / "bus.toml", tmp_path / "password"
    text = (RABBITMQ.parent / "bus.toml").read_text()
    text = re.sub(r"rabbitmq0(\d)\.example\.org", r"bus\1.example.org", text)
    bus.write_text(re.sub(r"^ca_cert = .*$", f'ca_cert = "{pki.ca}"', text, flags=re.MULTILINE))
    password.write_text(ADMIN["password"])
    password.chmod(0o600)
    monkeypatch.setenv("BUS_ADMIN_PASSWORD", ADMIN["password"])
    monkeypatch.setenv("BUS_PUBSUB_URI", "amqp:///%2Fpubsub")
    for name in ("BUS_MONITORING_PASSWORD", "BUS_FEDERATION_PASSWORD"):
        monkeypatch.setenv(name, f"of {name}")
    options = ["--management-url", "https://localhost:15671", "--user", "admin"]
    options += ["--password-file", str(password)]

    def broker(command: str) -> int:
        tools = str(Path(sys.executable).with_name("fedmsg-migration-tools"))
        done = three.run(HOSTS[0], tools, "broker", command, *options, str(bus))
        sys.stdout.write(done.stdout + done.stderr)  # shown when it fails
        return done.returncode

    assert broker("plan") == 2
    assert broker("apply") == 0
    assert broker("plan") == 0
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "management-password").write_text("no user's")
    for name in ("admin", "monitoring", "federation"):
        pki.issue(name)
        for kind, suffix in (("cert", "crt"), ("key", "key")):
            shutil.copy(pki.of(name) / f"{kind}.pem", credentials / f"{name}.{suffix}")
    options += ["--credentials", str(credentials)]
    assert broker("check") == 0
    wait_for(lambda: federated(three, pki), "the public virtual host's copy of the bus", 60)
    pki.issue("zmq-to-amqp")
    for host in HOSTS:
        three.doctor(None, f"{host}:5671", pki.of("zmq-to-amqp"), "/pubsub")
        assert "user 'zmq-to-amqp' authenticated and granted access to vhost '/pubsub'" in three.log(host)
