# SPDX-License-Identifier: MIT
"""Tests that hurt real brokers. All are marked ``faults``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fedora_messaging.private_node import PrivateNode

if TYPE_CHECKING:
    from collections.abc import Iterator

_HERE = Path(__file__).parent

# 3 s for a callback, looked at each second; messages of 100 kB at most: what no test should have to wait for
ADVANCED = (
    "[{rabbit, [{consumer_timeout, 3000}, {channel_tick_interval, 1000}, {max_message_size, 100000}]}]."
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.faults)


@pytest.fixture(scope="session")
def victim_node() -> Iterator[PrivateNode]:
    with PrivateNode(advanced=ADVANCED) as node:
        yield node


@pytest.fixture
def victim(victim_node: PrivateNode) -> Iterator[PrivateNode]:
    """A node to kill, freeze and starve, which has short limits (see ``ADVANCED``); well again afterwards."""
    yield victim_node
    victim_node.thaw()
    if not victim_node.running:
        victim_node.start()
    victim_node.evaluate("vm_memory_monitor:set_vm_memory_high_watermark(0.4)")


@pytest.fixture
def victim_url(victim: PrivateNode, request: pytest.FixtureRequest) -> Iterator[str]:
    """A virtual host on it, deleted afterwards."""
    vhost = request.node.name
    yield victim.add_vhost(vhost)
    victim.thaw()
    if not victim.running:
        victim.start()
    victim.delete_vhost(vhost)
