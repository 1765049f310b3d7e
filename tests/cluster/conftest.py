# SPDX-License-Identifier: MIT
"""Tests on three nodes. All are marked ``cluster``; what they counted is printed at the end of the run."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fedora_messaging.private_node import PrivateCluster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_notes = pytest.StashKey[list[str]]()
_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.cluster)


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_notes] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.stash.get(_notes, []):
        terminalreporter.section("cluster: what was counted")
        for line in config.stash[_notes]:
            terminalreporter.write_line(line)


@pytest.fixture
def note(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Say something in the summary of the run, also when the test passes."""
    lines = request.config.stash.setdefault(_notes, [])
    return lambda line: lines.append(f"{request.node.name}: {line}")


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
