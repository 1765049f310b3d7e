# SPDX-License-Identifier: MIT
"""What the reference pages list by hand is what there is."""

from __future__ import annotations

import re
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest

from fedora_messaging import config
from fedora_messaging.cli import COMMANDS, failures
from fedora_messaging.monitoring import metrics
from fedora_messaging.statistics import Statistics

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"


def test_every_setting_is_explained() -> None:
    page = (REFERENCE / "configuration.md").read_text()
    for key in config.DEFAULTS:
        assert f"`{key}" in page, key


def test_every_metric_is_explained() -> None:
    page = (REFERENCE / "metrics.md").read_text()

    class Ours:
        def collect(self) -> object:
            return metrics.collect(metrics.Source(Statistics(), unconfirmed=lambda: 0))

    registry = CollectorRegistry()
    registry.register(Ours())  # type: ignore[arg-type] # only collect() is called
    names = {
        line.split()[2]
        for line in generate_latest(registry).decode().splitlines()
        if line.startswith("# TYPE")
    }
    assert len(names) >= 8
    for name in names:
        assert f"`{name}" in page, name
    for outcome in (*metrics.OUTCOMES, "invalid"):
        assert f'outcome="{outcome}"' in page, outcome


def test_every_command_is_listed() -> None:
    page = (REFERENCE / "cli.md").read_text()
    for name in COMMANDS:
        assert f"```{{command-help}} {name}\n" in page, name


def test_every_exit_code_is_explained() -> None:
    page = (REFERENCE / "exit-codes.md").read_text()
    codes = re.findall(r"^ +(\d+)  ", str(failures.__doc__), re.MULTILINE)
    assert {"2", "10", "15", "121"} <= set(codes)
    for code in codes:
        assert f"\n| {code} " in page, code
