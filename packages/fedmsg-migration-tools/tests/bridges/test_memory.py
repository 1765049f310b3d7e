# SPDX-License-Identifier: MIT
"""Memory goes back to the system when it is not needed any more, and garbage is looked for seldom."""

from __future__ import annotations

import gc
import sys

import pytest

from fedmsg_migration_tools.bridges.memory import Spare, collect_seldom, resident

MESSAGES, SIZE = 60_000, 700


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="proc(5) and malloc_trim(3)")
def test_what_a_burst_needed_goes_back() -> None:
    spare = Spare()
    burst = [bytes(SIZE) for _ in range(MESSAGES)]
    held = resident()
    last = burst.pop()  # above all the others, so that libc does not give them back by itself
    burst.clear()
    spare.give_back()
    assert resident() < held - MESSAGES * SIZE / 2
    assert len(last) == SIZE


def test_garbage_is_looked_for_less_often() -> None:
    before = gc.get_threshold()
    try:
        collect_seldom()
        assert gc.isenabled()
        assert gc.get_threshold() > before
        assert gc.get_freeze_count() > 0
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
