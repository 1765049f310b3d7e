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

_NOTE = "counted on a cluster"
_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.cluster)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for kind in terminalreporter.stats.values() for report in kind]
    noted = [
        line
        for report in reports
        if getattr(report, "when", "") == "call"
        for name, line in report.user_properties
        if name == _NOTE
    ]
    if noted:
        terminalreporter.section("cluster: what was counted")
        for line in noted:
            terminalreporter.write_line(str(line))


@pytest.fixture
def note(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Say something in the summary of the run, also when the test passes, and in whatever process it runs."""
    noted = request.node.user_properties
    return lambda line: noted.append((_NOTE, f"{request.node.name}: {line}"))


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
