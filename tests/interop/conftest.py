# SPDX-License-Identifier: MIT
"""Fixtures of the tests beside fedmsg and beside fedora-messaging 3.9.1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.interop import bridging
from tests.interop.sides import Side, peer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.interop.bridging import Lines


@pytest.fixture
def bus(amqp_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[bridging.Bus]:
    """A virtual host for bridges; what they logged is shown when the test fails."""
    made = bridging.Bus(amqp_url, tmp_path)
    yield made
    for number, program in enumerate(made.started):
        request.node.add_report_section("teardown", f"{number} {program.log.name}", str(program))


@pytest.fixture
def channel(bus: bridging.Bus) -> Iterator[Any]:
    """Plain pika on that virtual host."""
    with bus.channel() as opened:
        yield opened


@pytest.fixture(scope="session")
def fedmsg_python() -> Path:
    """The interpreter that has fedmsg 1.1.7."""
    return bridging.fedmsg().python


@pytest.fixture
def fedmsg(fedmsg_python: Path, tmp_path: Path) -> Callable[..., Lines]:
    """``fedmsg("tail", endpoints=...)``: a command of ``programs/fedmsg_bus.py``, with this configuration."""

    def start(command: str, **config: Any) -> Lines:
        return bridging.Lines(fedmsg_python, tmp_path, command, config)

    return start


@pytest.fixture
def old(amqp_url: str, tmp_path: Path) -> Side:
    """fedora-messaging 3.9.1 on that virtual host."""
    (tmp_path / "3.9.1").mkdir()
    side = Side(peer().python, tmp_path / "3.9.1")
    side.configure(amqp_url)
    return side
