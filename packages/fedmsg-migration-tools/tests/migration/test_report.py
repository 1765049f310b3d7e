# SPDX-License-Identifier: MIT
"""The text for people."""

from fedmsg_migration_tools.migration import report
from fedmsg_migration_tools.migration.gate import Gate
from fedmsg_migration_tools.migration.linter import lint
from fedmsg_migration_tools.migration.map import build
from fedmsg_migration_tools.migration.overview import Overview
from fedmsg_migration_tools.migration.seen import Application, Seen, Traffic

NOW = 1_800_000_000.0


def test_columns_are_aligned_and_a_long_cell_is_cut() -> None:
    text = report.table(["NAME", "N"], [["a", "5"], ["b" * 70, "12345"]], frozenset({1}))
    lines = text.splitlines()
    assert lines[0].endswith("      N")
    assert lines[1] == "a" + " " * 61 + "    5"
    assert lines[2] == "b" * 59 + "…  12345"


def test_what_came_from_outside_does_not_steer_the_terminal() -> None:
    seen = Seen.of([Application("\x1b[2Jbodhi\n", Traffic(1, 20, 3000, 0.0, NOW))], 0, NOW)
    findings = lint([{"name": "\x1b]0;q\x07", "consumers": 0}], [])
    overview = Overview(build(seen), findings, {"zmq_to_amqp": Gate(("\x1b[31mred",)), "amqp_to_zmq": Gate()})
    text = report.text(overview, ["Broker \x1b[1m"])
    assert "\x1b" not in text
    assert "\\x1b[2Jbodhi\\n" in text
    assert "3,000" in text
    assert "2027-01-15 08:00" in text
    assert "The bridge from AMQP to ZeroMQ (amqp_to_zmq) may be turned off." in text
    assert "The bridge from ZeroMQ to AMQP (zmq_to_amqp) must stay:\n  - \\x1b[31mred." in text
    assert "No consumer:\n  - \\x1b]0;q\\x07 has no consumer" in text
