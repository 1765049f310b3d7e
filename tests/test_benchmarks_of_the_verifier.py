# SPDX-License-Identifier: MIT
"""The benchmark of the verifier: what it makes up, what it measures, and that it looks at the books."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import report, verification_core, verification_plot
from benchmarks.plan import SCENARIOS
from benchmarks.terms import Role
from benchmarks.verification_plan import IN_FLIGHT, core
from benchmarks.verification_service import FROM_AMQP, encoded
from benchmarks.verification_terms import Verification, Work
from fedmsg_migration_tools.reconcile.core import Reconciler


def test_every_kind_of_work_is_planned_and_the_cores_tasks_exist() -> None:
    planned = {scenario.contestants[Role.OURS] for scenario in SCENARIOS if scenario.of_verifier}
    assert {one.work for one in planned if isinstance(one, Verification)} == set(Work)
    assert set(verification_core.TASKS) == {work.value for work in Work} - {"service"}


def test_as_many_are_in_flight_as_before_while_messages_flow() -> None:
    reconciler = Reconciler()
    flow = verification_core.Flow(reconciler)
    for part in (flow.depart(300), flow.flow(2 * verification_core.TOGETHER)):
        for _ in part:
            pass
    books = next(iter(reconciler.books.values()))
    assert (books.in_flight, books.matched) == (300, 2 * verification_core.TOGETHER)
    assert all(one.balanced for one in reconciler.books.values())


def test_all_that_do_not_arrive_are_judged() -> None:
    found = verification_core.pause(1_000)
    assert found["verdicts"] == 900
    assert 0 < found["pause_ms"] < 1_000


def test_memory_is_measured_for_each_message() -> None:
    # In a process of its own, as in the benchmark: one that has done much else has memory to spare.
    task = [sys.executable, "-m", "benchmarks.verification_core", "hold", '{"count": 100000}']
    found = json.loads(subprocess.check_output(task, cwd=Path(__file__).parents[1]))
    assert 50 < found["held_bytes"] < 1_000


def test_books_that_do_not_say_what_was_done_stop_the_measurement() -> None:
    with pytest.raises(ValueError, match="1 sent and 0 arrived"):
        verification_core.close(Reconciler(), 1, 0)


def test_messages_from_both_sides_have_ids_of_their_own() -> None:
    frames = encoded(0, 2)
    assert len(set(frames)) == 2
    assert all(f"{FROM_AMQP + number:012x}".encode() in frame for number, frame in enumerate(frames))


@pytest.mark.parametrize("names", [[], [core(IN_FLIGHT[0])], [core(in_flight) for in_flight in IN_FLIGHT]])
def test_the_plot_is_drawn_of_whatever_was_measured(names: list[str], tmp_path: Path) -> None:
    rows = report.rows({name: {Role.OURS: [{"cpu_us": 2.0, "rate": 5e5}]} for name in names}, names)
    verification_plot.draw(rows, tmp_path / "verifier.png", "a subtitle")
    assert (tmp_path / "verifier.png").read_bytes().startswith(b"\x89PNG")
