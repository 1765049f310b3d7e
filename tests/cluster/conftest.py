# SPDX-License-Identifier: MIT
"""Tests on three nodes. All are marked ``cluster``."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fedora_messaging.private_node import PrivateCluster

if TYPE_CHECKING:
    from collections.abc import Iterator

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session")
def _three() -> Iterator[PrivateCluster]:
    with PrivateCluster(plugins=()) as cluster:
        yield cluster


@pytest.fixture
def cluster(_three: PrivateCluster) -> PrivateCluster:
    """Three nodes that are whole, whatever an earlier test left."""
    for node in _three.nodes:
        node.thaw()
        if not node.running:
            node.start()
    _three.heal()
    return _three


@pytest.fixture
def vhost(cluster: PrivateCluster) -> Iterator[str]:
    """A virtual host on it, deleted afterwards."""
    name = f"test-{secrets.token_hex(4)}"
    cluster.add_vhost(name)
    yield name
    cluster.heal()
    cluster.delete_vhost(name)
