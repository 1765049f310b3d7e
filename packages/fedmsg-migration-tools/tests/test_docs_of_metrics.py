# SPDX-License-Identifier: MIT
"""The page of metrics lists what running bridges and the verifier tell, with type and labels, and nothing else."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fedmsg_migration_tools import config
from fedmsg_migration_tools.bridges.amqp_to_zmq import AmqpToZmq
from fedmsg_migration_tools.bridges.service import settings_of_library
from fedmsg_migration_tools.bridges.zmq_to_amqp import ZmqToAmqp
from fedmsg_migration_tools.figures import Counter, Gauge
from fedmsg_migration_tools.verify.repair import Repairer, crossing
from fedmsg_migration_tools.verify.service import Verifier
from fedora_messaging.aio import Session
from tests.pki import Pki

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fedmsg_migration_tools.figures import Metric

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "metrics.md"
ROW = re.compile(r"^\| `([a-z_]+)(?:\{([a-z_,=…]+)\})?` \| (counter|gauge|histogram) \|", re.MULTILINE)

Told = set[tuple[str, str, str]]  # name, labels, type


def listed(prefix: str) -> Told:
    """What the page has."""
    rows = ROW.findall(PAGE.read_text(encoding="utf-8"))
    return {(name, labels, kind) for name, labels, kind in rows if name.startswith(prefix)}


def told(metrics: Iterable[Metric]) -> Told:
    """What a bridge tells, as the page would write it."""
    result = set()
    for metric in metrics:
        kind = type(metric).__name__.lower()
        name = f"{metric.name}_total" if isinstance(metric, Counter) else metric.name
        labels = metric.labels if isinstance(metric, Counter | Gauge) else ()
        result.add((name, ",".join(f"{label}=…" for label in labels), kind))
    return result


@pytest.fixture
def settings(tmp_path: Path) -> config.Config:
    """All is on that has metrics of its own."""
    pki = Pki(tmp_path)
    return config.check(
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
            "verify_missing": {
                "zmq_endpoints": ["tcp://127.0.0.1:9"],
                "bridge_endpoints": ["tcp://127.0.0.1:9"],
                "store": str(tmp_path / "verify.sqlite"),
            },
        }
    )


@pytest.mark.parametrize("made", [ZmqToAmqp, AmqpToZmq])
def test_every_metric_is_explained(made: type[ZmqToAmqp | AmqpToZmq], settings: config.Config) -> None:
    async def scenario() -> Told:
        session = Session(settings_of_library("amqp://127.0.0.1:9", "test"))
        section = getattr(settings, made.title)
        bridge = made(section, settings.quarantine.queue, session)
        try:
            return told(bridge.figures.metrics())
        finally:
            await bridge.stop()
            await session.close()

    found = asyncio.run(scenario())
    assert len(found) >= 12
    assert found == listed(made.title)


def test_every_metric_of_the_verifier_is_explained(settings: config.Config) -> None:
    async def scenario() -> Told:
        session = Session(settings_of_library("amqp://127.0.0.1:9", "test"))
        verifier = Verifier(settings, session, duration=1.0)
        repairer = Repairer(settings.verify_missing, session, crossing(settings))
        try:
            await verifier.work()  # long enough for one look at the whole store
            verifier.tick(0.0)
            return told([*verifier.figures.metrics(), *repairer.metrics()])
        finally:
            await repairer.close()
            await verifier.stop()
            await session.close()

    found = asyncio.run(scenario())
    assert len(found) >= 15
    assert found == listed("verify_")
