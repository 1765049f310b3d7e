# SPDX-License-Identifier: MIT
"""What systemd hears, on a socket as it has one."""

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedmsg_migration_tools.notify import Notifier


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    """The other end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(tmp_path / "notify"))
        end.settimeout(5)
        yield end


def test_every_word(systemd: socket.socket) -> None:
    environment = {"NOTIFY_SOCKET": systemd.getsockname(), "WATCHDOG_USEC": "600000000", "PATH": "/bin"}
    notifier = Notifier(environment)
    assert environment == {"PATH": "/bin"}
    assert notifier.listening
    assert notifier.watchdog == 600
    notifier.ready("bridging")
    notifier.alive()
    notifier.status("3 in,\n3 out")
    notifier.stopping()
    notifier.extend(2.5)
    assert [systemd.recv(1000) for _ in range(5)] == [
        b"READY=1\nSTATUS=bridging",
        b"WATCHDOG=1",
        b"STATUS=3 in, 3 out",
        b"STOPPING=1",
        b"EXTEND_TIMEOUT_USEC=2500000",
    ]
    notifier.close()
    assert not notifier.listening


def test_a_reload_says_when_it_began(systemd: socket.socket) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": systemd.getsockname()})
    before = time.monotonic_ns() // 1000
    notifier.reloading()
    notifier.ready()
    word, _, moment = systemd.recv(1000).decode().partition("\nMONOTONIC_USEC=")
    assert word == "RELOADING=1"
    assert before <= int(moment) <= time.monotonic_ns() // 1000
    assert systemd.recv(1000) == b"READY=1"
    notifier.close()


def test_the_abstract_namespace() -> None:
    name = f"@fedmsg-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind("\0" + name[1:])
        end.settimeout(5)
        notifier = Notifier({"NOTIFY_SOCKET": name})
        notifier.ready()
        assert end.recv(1000) == b"READY=1"
        notifier.close()


@pytest.mark.parametrize("address", ["", "vsock:2:1234", "/no/such/socket", "nonsense"])
def test_nobody_listens(address: str) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": address} if address else {})
    assert not notifier.listening
    notifier.ready("text")
    notifier.alive()
    notifier.reloading()
    notifier.stopping()
    notifier.close()


def test_who_listened_may_go_away(systemd: socket.socket) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": systemd.getsockname(), "WATCHDOG_USEC": "1000000"})
    systemd.close()
    notifier.alive()
    notifier.stopping("the end")


@pytest.mark.parametrize(
    ("variables", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "1500000"}, 1.5),
        ({"WATCHDOG_USEC": "1500000", "WATCHDOG_PID": str(os.getpid())}, 1.5),
        ({"WATCHDOG_USEC": "1500000", "WATCHDOG_PID": "1"}, None),
    ],
)
def test_the_watchdog(variables: dict[str, str], seconds: float | None) -> None:
    assert Notifier(dict(variables)).watchdog == seconds


def test_without_a_watchdog_it_is_not_fed(systemd: socket.socket) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": systemd.getsockname()})
    notifier.alive()
    notifier.status("after")
    assert systemd.recv(1000) == b"STATUS=after"
    notifier.close()


def test_the_environment_of_the_process(systemd: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", systemd.getsockname())
    notifier = Notifier()
    assert "NOTIFY_SOCKET" not in os.environ
    notifier.ready()
    assert systemd.recv(1000) == b"READY=1"
    notifier.close()
