# SPDX-License-Identifier: MIT
"""A real node: what it offers, what can be done to it, and that it keeps to itself."""

import contextlib
import dataclasses
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest

import fedora_messaging
from fedora_messaging.private_node import NodeError, PrivateNode
from fedora_messaging.private_node.control import Control

LOOPBACK = {"0100007F", "00000000000000000000000001000000"}


@pytest.fixture(scope="module")
def node() -> Iterator[PrivateNode]:
    """One that stops quickly: without the management plugin."""
    with PrivateNode(
        plugins=(), config={"heartbeat": 7}, advanced="[{rabbit, [{channel_tick_interval, 1234}]}]."
    ) as node:
        yield node


def knows(node: PrivateNode, vhost: str) -> bool:
    return vhost in node.ctl("list_vhosts", "--silent").splitlines()


def test_takes_amqp_connections_on_its_port(node: PrivateNode) -> None:
    with socket.create_connection(("127.0.0.1", node.amqp_port), timeout=5) as client:
        client.sendall(b"AMQP\0\0\x09\x01")
        assert client.recv(1) == b"\x01"  # a method frame: Connection.Start
    assert re.fullmatch("[0-9a-f]{32}", node.password)
    assert node.amqp_url == f"amqp://admin:{node.password}@127.0.0.1:{node.amqp_port}/%2F"


def test_is_wholly_started_when_start_returns(rabbitmq: PrivateNode) -> None:
    assert rabbitmq.evaluate("element(1, init:get_status())") == "started"
    assert rabbitmq.management("GET", "/api/overview")["node"] == "rabbit@localhost"


def test_settings_reach_the_node(node: PrivateNode) -> None:
    assert node.evaluate("application:get_env(rabbit, heartbeat)") == "{ok, 7}"
    assert node.evaluate("application:get_env(rabbit, channel_tick_interval)") == "{ok, 1234}"


def test_evaluates_erlang(node: PrivateNode) -> None:
    assert node.evaluate("lists:sum([1, 2, 3]).") == "6"
    with pytest.raises(NodeError, match="badarith"):
        node.evaluate("1 / 0")


def test_its_password_is_in_no_log_and_nobody_knows_the_default_one(
    node: PrivateNode, rabbitmq: PrivateNode
) -> None:
    assert node.password != rabbitmq.password
    assert node.password not in (node.folder / "node.log").read_text()
    assert node.password not in repr(node._settings)
    assert node.evaluate('rabbit_access_control:check_user_pass_login(<<"guest">>, <<"guest">>)').startswith(
        "{refused"
    )


def test_a_login_of_the_caller_wins() -> None:
    with PrivateNode(plugins=(), config={"default_user": "me", "default_pass": "mine"}) as node:
        assert node.amqp_url == f"amqp://me:mine@127.0.0.1:{node.amqp_port}/%2F"
        assert node.evaluate('rabbit_access_control:check_user_pass_login(<<"me">>, <<"mine">>)').startswith(
            "{ok"
        )


def test_runs_rabbitmqctl(node: PrivateNode) -> None:
    assert node.ctl("list_users", "--silent").split() == ["admin", "[administrator]"]
    with pytest.raises(NodeError, match=r"rabbitmqctl failed with status \d+: .*no_such_command"):
        node.ctl("no_such_command")


def test_the_management_api_answers_or_says_why_not(rabbitmq: PrivateNode, node: PrivateNode) -> None:
    assert rabbitmq.management("PUT", "/api/queues/%2F/test-node", {"durable": True}) is None
    assert rabbitmq.management("GET", "/api/queues/%2F/test-node")["durable"] is True
    assert rabbitmq.management("DELETE", "/api/queues/%2F/test-node") is None
    with pytest.raises(NodeError, match="GET /api/queues/%2F/test-node was answered with 404") as caught:
        rabbitmq.management("GET", "/api/queues/%2F/test-node")
    assert caught.value.status == 404
    assert rabbitmq.management_url == f"http://127.0.0.1:{rabbitmq.ports['management']}/"
    with pytest.raises(NodeError, match="without the plugin rabbitmq_management"):
        node.management("GET", "/api/overview")


@pytest.mark.parametrize("name", ["plain", 'odd "name" / é %2F'])
def test_virtual_hosts_come_and_go(rabbitmq: PrivateNode, name: str) -> None:
    url = rabbitmq.add_vhost(name)
    permissions = [row for row in rabbitmq.management("GET", "/api/permissions") if row["vhost"] == name]
    assert [(row["configure"], row["write"], row["read"]) for row in permissions] == [(".*", ".*", ".*")]
    assert url.startswith(rabbitmq.amqp_url.removesuffix("%2F"))
    assert rabbitmq.add_vhost(name) == url
    rabbitmq.delete_vhost(name)
    assert name not in [row["name"] for row in rabbitmq.management("GET", "/api/vhosts")]


def test_everything_listens_on_this_machine_only(processes: Any) -> None:
    plugins = ("rabbitmq_management", "rabbitmq_prometheus", "rabbitmq_web_stomp", "rabbitmq_stream")
    with PrivateNode(plugins=plugins, ports={"spare": 0}) as node:
        assert node.ports.keys() == {
            *("amqp", "dist", "epmd", "management", "prometheus", "stomp", "web_stomp", "stream", "spare")
        }
        family = processes.family(processes.parent(node.pid))
        listening: set[str] = set().union(*map(processes.listeners, family))
        assert listening <= LOOPBACK
        for name in node.ports.keys() - {"spare"}:
            socket.create_connection(("127.0.0.1", node.ports[name])).close()
        folder, owned = node.folder, family
    assert all(map(processes.gone, owned))
    assert not folder.exists()


def test_killed_and_started_again_it_has_its_data_and_ports(node: PrivateNode) -> None:
    node.add_vhost("kept")
    ports, pid = node.ports, node.pid
    node.kill()
    assert not node.running
    with pytest.raises(NodeError, match="does not run"):
        node.pid  # noqa: B018
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", node.amqp_port))
    node.start()
    assert node.ports == ports
    assert node.pid != pid
    assert knows(node, "kept")


def test_restarted_cleanly_it_has_its_data_and_ports(node: PrivateNode) -> None:
    node.add_vhost("kept too")
    ports = node.ports
    node.stop()
    assert not node.running
    assert "stopped" in node.log(100).lower() or "stopping" in node.log(100).lower()
    node.start()
    assert node.ports == ports
    assert knows(node, "kept too")


def test_frozen_it_takes_connections_and_answers_nothing(node: PrivateNode) -> None:
    node.freeze()
    assert node.running
    with socket.create_connection(("127.0.0.1", node.amqp_port), timeout=0.2) as client:
        client.sendall(b"AMQP\0\0\x09\x01")
        with pytest.raises(TimeoutError):
            client.recv(1)
        with pytest.raises(NodeError, match=r"had no answer from the node within 0\.2 seconds"):
            node.evaluate("1", timeout=0.2)
        node.thaw()
        client.settimeout(10)
        assert client.recv(1) == b"\x01"


def test_what_is_asked_twice_is_done_once(node: PrivateNode) -> None:
    with pytest.raises(NodeError, match="runs already"):
        node.start()
    assert node.running
    node.thaw()
    node.freeze()
    node.freeze()
    node.thaw()
    assert node.evaluate("1") == "1"


def test_its_end_can_be_waited_for_and_even_its_guard_may_be_killed(
    node: PrivateNode, processes: Any
) -> None:
    node.add_vhost("after the guard")
    guard = processes.parent(node.pid)
    family = processes.family(guard)
    assert not node.wait(0.05)
    killer = threading.Timer(0.1, os.kill, (guard, signal.SIGKILL))
    killer.start()
    assert node.wait(10)
    killer.join()
    assert processes.eventually(lambda: all(map(processes.gone, family)))
    assert not node.running
    node.start()
    assert knows(node, "after the guard")


def test_a_forked_child_does_not_end_it(node: PrivateNode) -> None:
    child = os.fork()
    if child == 0:
        try:
            node.close()
            node.kill()
            node.__exit__(None, None, None)
            os._exit(0 if node.evaluate("1") == "1" else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert node.running


SCRIPT = """
import os, sys
from pathlib import Path
from fedora_messaging.private_node import PrivateNode
with PrivateNode(plugins=()) as node:
    node.add_vhost("other")
    node.freeze()
    guard = Path(f"/proc/{node.pid}/stat").read_text().rpartition(")")[2].split()[1]
    print(guard, node.folder, os.geteuid(), flush=True)
    sys.stdin.read()
"""


NOBODY = {"user": "nobody", "group": pwd.getpwnam("nobody").pw_gid, "extra_groups": [], "cwd": "/"}


def as_ordinary_user() -> dict[str, Any]:
    """Arguments for subprocess: another user, if this one is root."""
    return NOBODY if os.geteuid() == 0 else {}


def usable(python: str) -> bool:
    """Whether an ordinary user may run it, and it is new enough."""
    command = [python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
    with contextlib.suppress(OSError):
        return subprocess.run(command, check=False, **as_ordinary_user()).returncode == 0
    return False


@pytest.fixture
def readable_python() -> Iterator[list[str]]:
    """A Python, and a copy of what the node needs of the library, for a user who may not read this checkout."""
    with tempfile.TemporaryDirectory() as folder:
        package = Path(fedora_messaging.__file__).parent
        for name in ("__init__.py", "exceptions.py"):
            (Path(folder) / "fedora_messaging").mkdir(exist_ok=True)
            shutil.copy(package / name, Path(folder) / "fedora_messaging")
        shutil.copytree(package / "private_node", Path(folder) / "fedora_messaging" / "private_node")
        subprocess.run(["chmod", "-R", "a+rX", folder], check=True)
        pythons = ("/usr/bin/python3", os.path.realpath(sys.executable))
        python = next(filter(usable, pythons), None)
        if python is None:
            pytest.skip("no Python 3.11 or newer that an ordinary user may run")
        yield ["env", f"PYTHONPATH={folder}", "PYTHONDONTWRITEBYTECODE=1", python]


@pytest.fixture(params=["installed", "unpacked"])
def source(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """The RabbitMQ that is used otherwise, and that of a distribution in a folder (this one, as if it were another).

    The one that is installed, if an ordinary user may not look into $RABBITMQ_ROOT.
    """
    root = os.environ.get("RABBITMQ_ROOT", "")
    if subprocess.run(["test", "-r", f"{root}/usr"], check=False, **as_ordinary_user()).returncode != 0:
        root = ""
    if request.param == "installed":
        yield [f"RABBITMQ_ROOT={root}"]
        return
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        (Path(folder) / "usr").symlink_to(f"{root}/usr")
        yield [f"RABBITMQ_ROOT={folder}"]


@pytest.mark.parametrize("victim", ["owner", "guard"])
def test_another_user_runs_one_beside_ours_and_nothing_of_it_outlives_a_killed_owner(
    node: PrivateNode, readable_python: list[str], source: list[str], victim: str, processes: Any
) -> None:
    """As an ordinary user too, if this is run by root; same node name, same machine, and neither knows of the other."""
    environment, program = readable_python[:-1], readable_python[-1]
    process = subprocess.Popen(
        [*environment, *source, program, "-c", SCRIPT],
        stdin=PIPE,
        stdout=PIPE,
        text=True,
        **as_ordinary_user(),
    )
    assert process.stdout is not None
    guard, folder, user = process.stdout.readline().split()
    assert int(user) != 0
    assert Path(folder).stat().st_uid == int(user)
    assert not knows(node, "other")
    family = processes.family(int(guard))
    assert len(family) >= 4  # the guard, epmd, a frozen Erlang, its helper
    os.kill(process.pid if victim == "owner" else int(guard), signal.SIGKILL)
    assert processes.eventually(lambda: all(map(processes.gone, family)))
    process.communicate()
    assert processes.eventually(lambda: not Path(folder).exists())
    assert node.evaluate("1") == "1"


def test_a_given_folder_keeps_its_data_for_the_next(tmp_path: Path) -> None:
    folder = (
        tmp_path / "new" / ("long" * 30)
    )  # too long for the socket on which RabbitMQ says that it is ready
    with PrivateNode(folder, plugins=()) as first:
        first.add_vhost("kept")
        with pytest.raises(NodeError, match="in use by another private node"):
            PrivateNode(folder).start()
        assert first.evaluate("1") == "1"
    (folder / "rabbitmq.conf").chmod(0o644)
    with PrivateNode(folder) as second:
        assert knows(second, "kept")
        assert second.password == first.password
        assert second.management("GET", "/api/whoami")["name"] == "admin"
        assert (folder / "home" / ".erlang.cookie").stat().st_mode & 0o777 == 0o400
        for name in ("password", "rabbitmq.conf", "node.log"):
            assert (folder / name).stat().st_mode & 0o777 == 0o600


def test_a_port_taken_while_it_starts_is_exchanged_for_another() -> None:
    node = PrivateNode(plugins=())
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

        def take() -> None:
            while node._ports is None and starting.is_alive():
                time.sleep(0.001)
            thief.bind(("127.0.0.1", node.ports["dist"]))
            thief.listen()

        starting = threading.Thread(target=node.start)
        starting.start()
        take()
        starting.join()
        with contextlib.closing(node):
            assert node.running
            assert node.ports["dist"] != thief.getsockname()[1]


def test_without_erl_call_rabbitmqctl_does_its_work(node: PrivateNode) -> None:
    """Some distributions have it in a package that RabbitMQ does not need."""
    without = dataclasses.replace(node._found, erl_call=None)
    control = Control(node._settings, without, node._environment)
    assert control.evaluate("{true, element(1, init:get_status())}", 30) == "{true,started}"
