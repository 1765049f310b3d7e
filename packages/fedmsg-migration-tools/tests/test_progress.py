# SPDX-License-Identifier: MIT
"""Healthy is who moves, or has nothing to move."""

from __future__ import annotations

from fedmsg_migration_tools.progress import Progress


def test_who_has_nothing_to_do_may_stand_still() -> None:
    progress = Progress(60.0, 0.0)
    progress.wait(1000.0, 0)
    assert progress.stalled(1000.0) is None


def test_messages_that_wait_while_nothing_moves_are_a_stall() -> None:
    progress = Progress(60.0, 0.0)
    progress.wait(100.0, 5)
    assert progress.stalled(160.0) is None
    assert progress.stalled(161.0) == 61.0


def test_what_has_just_begun_to_wait_has_not_waited_for_long() -> None:
    progress = Progress(60.0, 0.0)
    progress.wait(1000.0, 1)
    assert progress.stalled(1001.0) is None
    progress.wait(1059.0, 9)
    assert progress.stalled(1061.0) == 61.0


def test_any_movement_ends_a_stall() -> None:
    progress = Progress(60.0, 0.0)
    progress.wait(0.0, 5)
    assert progress.stalled(100.0) == 100.0
    progress.moved(100.0)
    assert progress.stalled(130.0) is None
    assert progress.stalled(161.0) == 61.0
