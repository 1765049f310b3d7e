# SPDX-License-Identifier: MIT
"""No room for what waits: reading stops, loudly; nothing that was taken is lost, and memory has a bound."""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from .bridging import Publisher, collect, duplicates, in_order, inward, lasting, missing, tap
from .support import eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fedora_messaging.private_node import PrivateNode

    from .bridging import Bridge

MANY = 20_000  # messages


@pytest.fixture
def small_disk(tmp_path: Path) -> tuple[str, ...]:
    """What to put before a command so that it alone sees a file system of 4 MB at ``disk``."""
    (tmp_path / "disk").mkdir()
    alone = ("unshare", "--mount") if os.geteuid() == 0 else ("unshare", "--map-root-user", "--mount")
    mounting = 'mount -t tmpfs -o size=4m none "$0" && exec "$@"'
    command = (*alone, "sh", "-c", mounting, str(tmp_path / "disk"))
    if subprocess.run([*command, "true"], check=False).returncode:
        pytest.skip("a file system cannot be mounted here")
    return command


def _fill(bridge: Bridge, publisher: Publisher, count: int = MANY) -> None:
    """Send so many messages, more than there is room for; the bridge says so."""
    publisher.has_subscribers()
    publisher.burst(count)
    bridge.says("No room for what comes in")
    eventually(lambda: bridge.ready()[0] == 503, "503")
    reason = bridge.ready()[1]["reason"]
    assert "full" in reason or "no space left" in reason
    assert bridge.metric("amqp_full") == 1
    time.sleep(1.5)  # it tries again each second
    assert len(bridge.said("CRITICAL.*No room")) == 1, "once"
    assert not bridge.said("There is room again")


def _drained(bridge: Bridge, publisher: Publisher, url: str) -> list[int]:
    """All arrives, and reading goes on."""
    publisher.flow(500)
    publisher.is_done()
    numbers = collect(url, publisher.sent)
    bridge.says("There is room again")
    assert in_order(numbers)
    eventually(lambda: bridge.ready()[0] == 200, "ready again")
    assert bridge.metric("amqp_lost_total") == 0
    assert bridge.metric("amqp_full") == 0
    return numbers


@pytest.mark.parametrize("unconfirmed", [500, 10_000], ids=["most on disk", "most in memory"])
def test_a_full_disk_stops_reading_until_the_broker_is_back(
    tmp_path: Path,
    small_disk: tuple[str, ...],
    victim: PrivateNode,
    victim_url: str,
    note: Callable[[str], None],
    unconfirmed: int,
) -> None:
    tap(victim_url)
    lasting(victim)
    victim.kill()
    section = f"max_unconfirmed = {unconfirmed}"
    options = ["--spool", str(tmp_path / "disk" / "spool.sqlite")]
    with (
        Publisher() as publisher,
        inward(
            tmp_path, victim_url, publisher.endpoint, section=section, options=options, before=small_disk
        ) as bridge,
    ):
        _fill(bridge, publisher)
        read = bridge.metric("amqp_received_total")
        resident = bridge.resident()
        victim.start()
        numbers = _drained(bridge, publisher, victim_url)
        note(f"read {read:.0f} of {MANY}; {resident:.0f} MB resident; {duplicates(numbers)} came twice")
        assert bridge.stop() == 0


def test_a_full_spool_stops_reading_until_the_broker_is_back(
    tmp_path: Path, victim: PrivateNode, victim_url: str
) -> None:
    tap(victim_url)
    lasting(victim)
    victim.kill()
    section = "max_unconfirmed = 500\nspool.max_bytes = 1000000"
    with (
        Publisher() as publisher,
        inward(tmp_path, victim_url, publisher.endpoint, section=section) as bridge,
    ):
        _fill(bridge, publisher)
        assert bridge.metric("amqp_spool_bytes") <= 1_000_000
        victim.start()
        _drained(bridge, publisher, victim_url)
        assert bridge.stop() == 0


def test_memory_has_a_bound_when_nothing_can_be_stored_and_what_is_given_up_is_counted(
    tmp_path: Path, victim: PrivateNode, victim_url: str, note: Callable[[str], None]
) -> None:
    tap(victim_url)
    lasting(victim)
    victim.kill()
    bound = 8_000_000
    section = f"max_unconfirmed = 500\nspool.max_bytes = 200000\nreceive_max_bytes = {bound}"
    with (
        Publisher() as publisher,
        inward(tmp_path, victim_url, publisher.endpoint, section=section) as bridge,
    ):
        publisher.has_subscribers()
        eventually(lambda: bridge.ready()[0], "pages")
        before = bridge.resident()
        publisher.burst(MANY * 2)  # 40 to 80 MB, as libzmq keeps them
        bridge.says("are lost: no room in memory")
        eventually(lambda: _settled(bridge), "no more loss")
        resident = bridge.resident()
        victim.start()
        publisher.flow(500)
        publisher.is_done()
        numbers = collect(victim_url, range(publisher.next - 500, publisher.next))
        lost = bridge.metric("amqp_lost_total")
        assert bridge.stop() == 0
    assert in_order(numbers)
    gone = set(publisher.sent).difference(numbers)
    note(f"{lost:.0f} given up; resident {before:.0f} MB at first, {resident:.0f} MB when full")
    assert len(gone) == lost, missing(gone, ())
    assert 0 < lost < MANY * 2 - bound // 10_000, "it keeps what there is room for"
    assert resident - before < 4 * bound / 1e6


def _settled(bridge: Bridge) -> bool:
    """Whether nothing has been given up for two seconds."""
    lost = bridge.metric("amqp_lost_total")
    time.sleep(2)
    return lost == bridge.metric("amqp_lost_total")


def test_a_stop_without_room_says_how_many_messages_it_loses(
    tmp_path: Path, victim: PrivateNode, victim_url: str
) -> None:
    tap(victim_url)
    lasting(victim)
    victim.kill()
    section = "max_unconfirmed = 500\nspool.max_bytes = 1000000"
    with (
        Publisher() as publisher,
        inward(tmp_path, victim_url, publisher.endpoint, section=section) as bridge,
    ):
        _fill(bridge, publisher)
        assert bridge.stop() == 1
        [line] = bridge.said("messages are lost with this process")
        said = int(line.partition(" messages are lost")[0].split()[-1])
        victim.start()
        bridge.start()
        eventually(lambda: publisher.subscribers == 1, "a subscriber")
        publisher.pause()
        publisher.flow(100)
        publisher.is_done()
        numbers = collect(victim_url, range(publisher.next - 100, publisher.next))
    gone = set(publisher.sent).difference(numbers)
    assert len(gone) == said, missing(gone, ())
