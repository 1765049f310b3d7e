# SPDX-License-Identifier: MIT
"""The bridges under systemd: exit codes, and a watchdog that is fed only while messages move, or none wait."""

from __future__ import annotations

import contextlib
import signal
import socket
import time
from typing import TYPE_CHECKING

import pytest

from fedora_messaging.private_node.ports import free_port

from .bridging import (
    Bridge,
    Publisher,
    Subscriber,
    collect,
    in_order,
    inward,
    lasting,
    outward,
    tap,
    there,
)
from .support import channel, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fedora_messaging.private_node import PrivateNode

WATCHDOG = {"WATCHDOG_USEC": "3000000"}
QUEUE = "amqp_to_zmq"


# exit codes


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("make", [inward, outward], ids=["inward", "outward"])
@pytest.mark.parametrize("wait", ["Connected to", "Bridging from", "Monitoring listens"])
def test_told_to_end_it_ends_with_0_whenever_that_is(
    tmp_path: Path, amqp_url: str, make: type[Bridge], number: signal.Signals, wait: str
) -> None:
    with make(tmp_path, amqp_url, f"tcp://127.0.0.1:{free_port()}") as bridge:
        bridge.says(wait)
        began = time.monotonic()
        assert bridge.stop(number) == 0, bridge.text()
        assert time.monotonic() - began < 5
    assert not bridge.said("Traceback|ERROR"), bridge.text()


@contextlib.contextmanager
def _taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield taken.getsockname()[1]


def _fails(bridge: Bridge, code: int, *words: str) -> None:
    """It ends by itself, with this code, and says in one line why."""
    with bridge:
        assert bridge.ends(20) == code, bridge.text()
    [line] = bridge.said("^Error: ")
    for word in words:
        assert word in line
    assert not bridge.said("Traceback")


def test_a_port_that_is_taken_is_an_error(tmp_path: Path, amqp_url: str) -> None:
    with _taken() as port:
        _fails(outward(tmp_path, amqp_url, f"tcp://127.0.0.1:{port}"), 1, str(port))
        endpoint = f"tcp://127.0.0.1:{free_port()}"
        replay = ["--replay-endpoint", f"tcp://127.0.0.1:{port}"]
        section = f'replay.path = "{tmp_path / "replay.sqlite"}"'
        _fails(outward(tmp_path, amqp_url, endpoint, section=section, options=replay, name="b"), 1, str(port))
        pages = ["--monitoring-port", str(port)]
        _fails(inward(tmp_path, amqp_url, endpoint, options=pages, name="c"), 2, str(port))


def test_a_wrong_configuration_is_an_error(tmp_path: Path, amqp_url: str) -> None:
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    _fails(inward(tmp_path, amqp_url, endpoint, section="durably = true"), 2, "durably", "durable")
    _fails(outward(tmp_path, amqp_url, endpoint, section='prefetch = "many"', name="b"), 2, "prefetch")
    _fails(inward(tmp_path, amqp_url, name="c"), 2, "--zmq-endpoint")
    _fails(inward(tmp_path, amqp_url, str(tmp_path / "none.py"), name="d"), 1, "none.py")


def test_a_spool_that_cannot_be_used_is_an_error(tmp_path: Path, amqp_url: str) -> None:
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    another = tmp_path / "file"
    another.write_text("")
    for name, path in (("a", tmp_path), ("b", another / "spool.sqlite"), ("c", "/proc/spool.sqlite")):
        _fails(inward(tmp_path, amqp_url, endpoint, options=["--spool", str(path)], name=name), 1, "name ")
    with inward(tmp_path, amqp_url, endpoint) as bridge:
        bridge.says("Bridging from")
        spool = ["--spool", str(bridge.spool)]
        _fails(inward(tmp_path, amqp_url, endpoint, options=spool, name="d"), 1, str(bridge.spool))
        assert bridge.stop() == 0


# what systemd is told


class Systemd:
    """The socket that $NOTIFY_SOCKET names."""

    def __init__(self, folder: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(folder / "notify"))
        self._socket.settimeout(0.1)
        self.environment = {"NOTIFY_SOCKET": str(folder / "notify"), **WATCHDOG}

    def hears(self, seconds: float) -> list[str]:
        """What it is told from now on, for so long."""
        with contextlib.suppress(TimeoutError):
            while True:
                self._socket.recv(4096)
        words: list[str] = []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with contextlib.suppress(TimeoutError):
                words += self._socket.recv(4096).decode().splitlines()
        return words

    def waits_for(self, word: str) -> None:
        """Until it is told so."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            with contextlib.suppress(TimeoutError):
                if word in self._socket.recv(4096).decode().splitlines():
                    return
        raise AssertionError(f"{word} did not come")

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    one = Systemd(tmp_path)
    yield one
    one.close()


def test_the_watchdog_is_fed_while_messages_move_and_not_while_the_broker_is_frozen(
    tmp_path: Path, systemd: Systemd, victim: PrivateNode, victim_url: str
) -> None:
    tap(victim_url)
    section = "progress_timeout = 1.0"
    with (
        Publisher() as publisher,
        inward(
            tmp_path, victim_url, publisher.endpoint, section=section, environment=systemd.environment
        ) as bridge,
    ):
        systemd.waits_for("READY=1")
        publisher.has_subscribers()
        assert "WATCHDOG=1" in systemd.hears(1.5), "idle"
        publisher.flow()
        assert "WATCHDOG=1" in systemd.hears(1.5), "busy"
        victim.freeze()
        time.sleep(2.5)
        assert "WATCHDOG=1" not in systemd.hears(2)
        status, said = bridge.ready()
        assert status == 503
        assert "nothing was confirmed" in said["reason"]
        assert len(bridge.said("nothing has moved")) == 1
        publisher.pause()
        victim.thaw()
        systemd.waits_for("WATCHDOG=1")
        assert in_order(collect(victim_url, publisher.sent))
        assert "WATCHDOG=1" in systemd.hears(1.5)
        eventually(lambda: bridge.ready()[0] == 200, "ready again")
        bridge.send(signal.SIGHUP)
        systemd.waits_for("RELOADING=1")
        systemd.waits_for("READY=1")
        bridge.send(signal.SIGTERM)
        systemd.waits_for("STOPPING=1")
        assert bridge.ends(20) == 0


def test_a_restart_gains_nothing_while_the_broker_is_away_so_the_watchdog_is_fed(
    tmp_path: Path, systemd: Systemd, victim: PrivateNode, victim_url: str
) -> None:
    """What comes in reaches the disk: that is progress. ``/ready`` says all the same that nothing gets on."""
    tap(victim_url)
    lasting(victim)
    victim.kill()
    section = "progress_timeout = 1.0"
    with (
        Publisher() as publisher,
        inward(
            tmp_path, victim_url, publisher.endpoint, section=section, environment=systemd.environment
        ) as bridge,
    ):
        publisher.has_subscribers()
        publisher.flow()
        time.sleep(2)
        assert "WATCHDOG=1" in systemd.hears(1.5)
        assert bridge.ready()[0] == 503
        assert bridge.stop() == 0


def test_the_watchdog_of_the_way_out_is_not_fed_while_messages_wait_for_the_relay(
    tmp_path: Path, systemd: Systemd, amqp_url: str
) -> None:
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    section = "progress_timeout = 1.0"
    with outward(
        tmp_path,
        amqp_url,
        endpoint,
        section=section,
        options=["--remote-publish"],
        environment=systemd.environment,
    ) as bridge:
        systemd.waits_for("READY=1")
        eventually(lambda: there(amqp_url, QUEUE), "the queue of the bridge")
        assert "WATCHDOG=1" in systemd.hears(1.5), "idle"
        with channel(amqp_url) as ch:
            ch.basic_publish("amq.topic", "faults.test", b'{"n": 0}')
        time.sleep(2.5)
        assert "WATCHDOG=1" not in systemd.hears(1.5)
        assert bridge.ready()[0] == 503
        with Subscriber(endpoint, bind=True) as relay:
            systemd.waits_for("WATCHDOG=1")
            relay.has([0])
        assert bridge.stop() == 0
