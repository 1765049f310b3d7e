# SPDX-License-Identifier: MIT
"""A CA in a folder of its own, whose time can be set."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from fedmsg_migration_tools.pki.authority import Authority, utc_now


class Clock:
    """The time, and ``wait(days)`` without waiting."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def __call__(self) -> datetime:
        return utc_now() + self.ahead

    def wait(self, days: float) -> None:
        self.ahead += timedelta(days=days)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ca(tmp_path: Path, clock: Callable[[], datetime]) -> Authority:
    one = Authority(tmp_path / "pki", clock)
    one.init("Test CA")
    return one
