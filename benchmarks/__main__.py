# SPDX-License-Identifier: MIT
"""``python -m benchmarks``: run it all, print the table, write the plot and the JSON file.

Ends with 0 also when bounds are missed: a benchmark says how things are, on a machine that may be busy; tests
are elsewhere.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from fedora_messaging.private_node import PrivateNode

from . import limit, machine, peer, plot, plot_bridges, report, table, verification_plot
from .course import ROOT, Course
from .measure import Sample, measure
from .plan import FIGURES, SCENARIOS
from .processes import MeasureError
from .terms import Contestant, Probe, Role, Scenario

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

OUTPUT = ROOT / "build" / "bench"
ROUNDS = 5
QUICK_ROUNDS = 3
QUICK_DIVISOR = 10

Collected = dict[str, dict[Role, list[Sample]]]


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    names = [scenario.name for scenario in SCENARIOS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the messages, three rounds")
    parser.add_argument("--only", action="append", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--rounds", type=int, help=f"how often everything is measured (default {ROUNDS})")
    parser.add_argument("--output", type=Path, default=OUTPUT, metavar="FOLDER")
    return parser.parse_args(argv)


def scenarios(only: Sequence[str] | None, quick: bool) -> list[Scenario]:
    """Those asked for, and those that these are compared with; with fewer messages when ``quick``."""
    wanted = {scenario.name for scenario in SCENARIOS} if only is None else set(only)
    wanted |= {figure.first for figure in FIGURES if figure.first and figure.scenario in wanted}
    chosen = [scenario for scenario in SCENARIOS if scenario.name in wanted]
    return [_shortened(scenario) for scenario in chosen] if quick else chosen


def _shortened(scenario: Scenario) -> Scenario:
    contestants: Mapping[Role, Contestant] = {
        role: one if isinstance(one, Probe) else one.shortened(QUICK_DIVISOR)
        for role, one in scenario.contestants.items()
    }
    return replace(scenario, contestants=contestants)


class Run:
    """Collects samples, in turns, and the errors of those that failed."""

    def __init__(self, course: Course, console: Console) -> None:
        self.samples: Collected = {}
        self.errors: list[str] = []
        self._course = course
        self._console = console

    def warm_up(self, chosen: Sequence[Scenario]) -> None:
        """Compile all bytecode and load it once, and let the broker run a little; nothing is kept."""
        for scenario in chosen:
            for role, contestant in scenario.contestants.items():
                if role is not Role.RSA and (isinstance(contestant, Probe) or role is Role.LIMIT):
                    self._sample(scenario, role)

    def round(self, chosen: Sequence[Scenario]) -> None:
        """Every contestant of every scenario once: the limit, the peer and ours side by side in time."""
        for scenario in chosen:
            for role in scenario.contestants:
                taken = self.samples.setdefault(scenario.name, {}).setdefault(role, [])
                taken.append(self._sample(scenario, role))

    def _sample(self, scenario: Scenario, role: Role) -> Sample:
        """What was measured: nothing when it failed, so that rounds stay aligned."""
        try:
            return measure(self._course, scenario, role)
        except MeasureError as error:
            said = f"{scenario.name}, {role.value}: {error}"
            if said not in self.errors:
                self.errors.append(said)
                self._console.print(said, style="red", highlight=False, markup=False)
            return {}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    asked = arguments(argv)
    console = Console()
    chosen = scenarios(asked.only, asked.quick)
    rounds = asked.rounds or (QUICK_ROUNDS if asked.quick else ROUNDS)
    peer_python, old_python = peer.python(), peer.old_tools()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, PrivateNode(plugins=()) as node:
        course = Course(node, peer_python, old_python, Path(folder))
        with limit.Bare(node.amqp_url) as bare:
            facts = machine.facts(bare.version, peer_python, old_python)
        run = Run(course, console)
        with console.status("warming up") as status:
            run.warm_up(chosen)
            for number in range(1, rounds + 1):
                status.update(f"round {number} of {rounds}")
                run.round([one for one in chosen if number <= (one.rounds or rounds)])
    facts |= {"rounds": rounds, "quick": asked.quick, "seconds": round(time.monotonic() - begun)}
    rows = report.rows(run.samples, [scenario.name for scenario in chosen])
    write(run, rows, facts, asked.output)
    show(console, rows)
    folder = asked.output
    console.print(f"{facts['seconds']} s; see {folder}", highlight=False)
    return 0


def write(run: Run, rows: Sequence[report.Row], facts: Mapping[str, object], folder: Path) -> None:
    """Leave ``bench.json``, and ``bench.png``, ``bridges.png`` and ``verifier.png``, in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    data = report.as_json(run.samples, rows, facts, run.errors)
    (folder / "bench.json").write_text(json.dumps(data, indent=1))
    subtitle = f"RabbitMQ {facts['rabbitmq']}, Python {facts['python']}, {facts['cores']} cores for broker and client"
    if library := report.of_libraries(rows):
        plot.draw(library, folder / "bench.png", subtitle)
    if bridges := report.of_bridges(rows):
        plot_bridges.draw(bridges, folder / "bridges.png", subtitle)
    if verifier := report.of_verifier(rows):
        verification_plot.draw(verifier, folder / "verifier.png", subtitle)


def show(console: Console, rows: Sequence[report.Row]) -> None:
    """Print the tables, and what to know of them."""
    parts = (("3.9.1", report.of_libraries), ("0.1.2", report.of_bridges), ("", report.of_verifier))
    for peers, some in ((peers, of(rows)) for peers, of in parts):
        if some:
            console.print(table.table(some, peers))
            console.print()
    for note in table.notes(rows):
        console.print(note, highlight=False, markup=False)
    console.print(f"[bold]{report.closing(rows)}", highlight=False)


if __name__ == "__main__":
    sys.exit(main())
