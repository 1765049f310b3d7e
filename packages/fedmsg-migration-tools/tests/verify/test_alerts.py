# SPDX-License-Identifier: MIT
"""The alerts, the dashboard and the runbook: promtool accepts them, and they speak of what there is."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fedmsg_migration_tools import config, monitoring
from fedmsg_migration_tools.bridges.amqp_to_zmq import AmqpToZmq
from fedmsg_migration_tools.bridges.service import settings_of_library
from fedmsg_migration_tools.bridges.zmq_to_amqp import ZmqToAmqp
from fedmsg_migration_tools.figures import Counter, Histogram
from fedmsg_migration_tools.reconcile.core import Reconciler
from fedmsg_migration_tools.reconcile.model import Kind
from fedmsg_migration_tools.verify.figures import Standing, VerifierFigures
from fedmsg_migration_tools.verify.repair import Repairer, crossing
from fedmsg_migration_tools.verify.store import Store
from fedora_messaging.aio import Session
from tests.pki import Pki

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fedmsg_migration_tools.figures import Metric

ROOT = Path(__file__).parents[4]
RULES = ROOT / "deploy" / "prometheus" / "alerts.yml"
TRIALS = ROOT / "deploy" / "prometheus" / "alerts.test.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "dashboard.json"
RUNBOOK = ROOT / "docs" / "how-to" / "verification-runbook.md"

NAME = re.compile(r"\b(?:zmq_to_amqp|amqp_to_zmq|verify)_\w+")
ALERT = re.compile(r"^ +- alert: (\w+)$", re.MULTILINE)


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False, timeout=90)


def alerts() -> dict[str, str]:
    """Name → the text of the rule."""
    parts = ALERT.split(RULES.read_text())
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def sections() -> dict[str, str]:
    """Heading of the third level → what is below it."""
    parts = re.split(r"^### (\w+)\n", RUNBOOK.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], (part.partition("\n## ")[0] for part in parts[2::2]), strict=True))


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def queries() -> Iterator[str]:
    for panel in panels():
        for target in panel.get("targets", ()):
            yield target["expr"].replace("$__rate_interval", "5m")


def samples(metrics: Iterable[Metric]) -> set[str]:
    """The names that Prometheus knows them by."""
    names = set()
    for metric in metrics:
        if isinstance(metric, Histogram):
            names |= {f"{metric.name}_{part}" for part in ("bucket", "sum", "count")}
        else:
            names.add(f"{metric.name}_total" if isinstance(metric, Counter) else metric.name)
    return names


def test_promtool_has_nothing_to_say_of_the_verifiers_names(tmp_path: Path) -> None:
    store, figures = Store(tmp_path / "verify.sqlite"), VerifierFigures()
    figures.stands(Standing.of(Reconciler(), store, {0: 1.0}))
    told = subprocess.run(
        ["promtool", "check", "metrics"],
        input=monitoring.pages(figures)["/metrics"]().body,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (told.returncode, told.stdout + told.stderr) == (0, b"")
    store.close()


@pytest.fixture
def known(tmp_path: Path) -> set[str]:
    """All names that bridges and verifier tell, with everything turned on that has metrics of its own."""
    pki = Pki(tmp_path)
    settings = config.check(
        {
            "zmq_to_amqp": {
                "zmq_endpoints": ["tcp://127.0.0.1:9"],
                "spool": {"path": str(tmp_path / "spool.sqlite")},
                "signatures": {"validate": True, "ca": str(pki.ca_file), "crl": str(pki.crl_file)},
            },
            "amqp_to_zmq": {
                "publish_endpoint": "tcp://127.0.0.1:*",
                "replay": {"endpoint": "tcp://127.0.0.1:*", "path": str(tmp_path / "archive.sqlite")},
            },
        }
    )

    async def ask() -> set[str]:
        session = Session(settings_of_library("amqp://127.0.0.1:9", "test"))
        queue = settings.quarantine.queue
        bridges = (
            ZmqToAmqp(settings.zmq_to_amqp, queue, session),
            AmqpToZmq(settings.amqp_to_zmq, queue, session),
        )
        repairer = Repairer(settings.verify_missing, session, crossing(settings))
        store = Store(tmp_path / "verify.sqlite")
        figures = VerifierFigures(repairer.metrics)
        figures.stands(Standing.of(Reconciler(), store, {0: 1.0}))
        try:
            return samples(
                metric for one in (*(b.figures for b in bridges), figures) for metric in one.metrics()
            )
        finally:
            for bridge in bridges:
                await bridge.stop()
            await repairer.close()
            await session.close()
            store.close()

    return asyncio.run(ask())


def test_promtool_accepts_the_rules() -> None:
    told = promtool("check", "rules", RULES)
    assert told.returncode == 0, told.stderr
    assert f"{len(alerts())} rules found" in told.stdout


def test_each_alert_fires_where_it_must_and_nowhere_else() -> None:
    told = promtool("test", "rules", TRIALS)
    assert told.returncode == 0, told.stdout + told.stderr


def test_promtool_would_have_said_so(tmp_path: Path) -> None:
    (tmp_path / RULES.name).write_text(
        RULES.read_text().replace("zmq_to_amqp_full == 1", "zmq_to_amqp_full == 2")
    )
    head, _, trials = TRIALS.read_text().partition("  - name: ")
    trial = next(one for one in trials.split("  - name: ") if one.startswith("'ZmqToAmqpReadingStopped"))
    (tmp_path / TRIALS.name).write_text(f"{head}  - name: {trial}")
    told = promtool("test", "rules", tmp_path / TRIALS.name)
    assert told.returncode != 0
    assert "ZmqToAmqpReadingStopped" in told.stdout + told.stderr


@pytest.mark.parametrize("name", alerts())
def test_each_alert_is_tried_both_ways(name: str) -> None:
    well, _, ill = TRIALS.read_text().partition(f"- name: '{name}: ")
    trial = ill.partition("- name:")[0]
    assert f"alertname: {name}, eval_time: 4h, exp_alerts: []" in well
    assert re.search(rf"alertname: {name}, eval_time: \w+, exp_alerts: \[\]", trial)
    assert re.search(rf"alertname: {name}\n +eval_time: \w+\n +exp_alerts:\n +- exp_labels", trial)


@pytest.mark.parametrize("name", alerts())
def test_each_alert_says_what_it_is_and_where_help_is(name: str) -> None:
    rule = alerts()[name]
    assert re.search(r"labels: \{severity: (critical|warning|info)\}", rule)
    assert re.search(r"^ +summary: .{10}", rule, re.MULTILINE)
    assert re.search(r"^ +description: .{10}", rule, re.MULTILINE)
    assert f"runbook: how-to/{RUNBOOK.stem}.html#{name.lower()}\n" in rule


def test_the_runbook_has_a_section_for_each_alert_and_each_verdict_and_no_other() -> None:
    assert set(sections()) == {*alerts(), *(str(kind) for kind in Kind)}


@pytest.mark.parametrize("name", sections())
def test_each_section_of_the_runbook_answers_the_four_questions(name: str) -> None:
    questions = re.findall(r"^\*\*([\w ]+):\*\* .{6}", sections()[name], re.MULTILINE)
    assert questions == ["Means", "Does not mean", "Look at", "Do"]


def test_alerts_and_dashboard_ask_only_for_what_is_told(known: set[str]) -> None:
    asked = {name for rule in alerts().values() for name in NAME.findall(_expression(rule))}
    shown = {name for query in queries() for name in NAME.findall(query)}
    assert asked - known == set()
    assert shown - known == set()
    assert len(asked) > 25


def test_all_that_is_told_is_shown(known: set[str]) -> None:
    shown = {name for query in queries() for name in NAME.findall(query)}
    silent = {name for name in known - shown if not name.endswith(("_sum", "_count"))}
    assert silent == {"amqp_to_zmq_put_off_total", "amqp_to_zmq_lost_total"}  # of the other direction only


def _expression(rule: str) -> str:
    return re.split(r"^ +(?:for|labels): ", rule, maxsplit=1, flags=re.MULTILINE)[0]


def test_the_queries_of_the_dashboard_are_queries(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{number}", "expr": query} for number, query in enumerate(queries())]
    file = tmp_path / "queries.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))  # JSON is YAML
    told = promtool("check", "rules", file)
    assert told.returncode == 0, told.stderr
    assert f"{len(rules)} rules found" in told.stdout


def test_the_panels_of_the_dashboard_lie_side_by_side() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in panels():
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, (panel["title"], taken[x, y])
                taken[x, y] = panel["title"]
    assert len({panel["id"] for panel in panels()}) == len(panels())
    for panel in panels():
        if panel["type"] != "row":
            assert panel["description"]
            assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}
