# SPDX-License-Identifier: MIT
"""What tests counted is printed at the end of the run, whichever process ran them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

_NOTE = "counted"


@pytest.fixture
def note(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Say something in the summary of the run, also when the test passes."""
    # A report travels with the properties of its test, from whatever process.
    noted = request.node.user_properties
    return lambda line: noted.append((_NOTE, f"{request.node.name}: {line}"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A line for each note, before pytest's closing line."""
    reports = [report for kind in terminalreporter.stats.values() for report in kind]
    calls = [report for report in reports if getattr(report, "when", "") == "call"]
    noted = [line for report in calls for name, line in report.user_properties if name == _NOTE]
    if noted:
        terminalreporter.section("what was counted")
        for line in noted:
            terminalreporter.write_line(str(line))
