# SPDX-License-Identifier: MIT
"""Memory goes back to the system when it is not needed any more, and garbage is looked for seldom."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from fedmsg_migration_tools.bridges.memory import collect_seldom

#: In a process of its own: one that has run a thousand tests has room to spare for all of this.
BURST = """
from fedmsg_migration_tools.bridges.memory import Spare, resident
spare = Spare()
burst = [bytes(700) for _ in range(60_000)]
held = resident()
last = burst.pop()  # above all the others, so that libc does not give them back by itself
burst.clear()
spare.give_back()
print(held - resident())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="proc(5) and malloc_trim(3)")
def test_what_a_burst_needed_goes_back() -> None:
    told = subprocess.run([sys.executable, "-c", BURST], capture_output=True, text=True, check=True)
    assert int(told.stdout) > 60_000 * 700 / 2


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
