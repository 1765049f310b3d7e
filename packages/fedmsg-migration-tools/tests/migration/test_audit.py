# SPDX-License-Identifier: MIT
"""What the store of the verification service knows arrives at the map and the gate."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fedmsg_migration_tools.exceptions import ToolsError
from fedmsg_migration_tools.migration.audit import Clean, tell, understand
from fedmsg_migration_tools.migration.seen import DAY
from fedmsg_migration_tools.verify.kept import Kept
from fedmsg_migration_tools.verify.store import Store

BEGUN = 30_000_000 * 60.0


class Clock:
    """Time as the store sees it."""

    now = BEGUN

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    one = Store(tmp_path / "store.sqlite", clock=clock)
    yield one
    one.close()


def minute(days: float) -> int:
    """So many days after the beginning."""
    return int((BEGUN + days * DAY) // 60)


def test_it_arrives_whole_also_by_way_of_json(store: Store, clock: Clock) -> None:
    store.count(minute(1), "bodhi", 0, {"in": 5})
    clock.now = BEGUN + 10 * DAY
    store.count(minute(10), "bodhi", 1, {"in": 2})
    store.record(
        [Kept("lost", 0, b"k" * 16, "id", "topic", "bodhi", BEGUN + 4 * DAY, BEGUN + 4 * DAY + 60, 60.0, {})]
    )
    store.blind(0, BEGUN + DAY, BEGUN + 4 * DAY, "tcp://a:1")  # a day of it lies in the last seven
    store.blind(0, BEGUN + 3.5 * DAY, BEGUN + 4.5 * DAY, "tcp://a:1")  # half of which is in the first
    store.blind(1, BEGUN + 9 * DAY, None)
    told = json.loads(json.dumps(tell(store, clock.now, 7, {"publishers": True})))
    seen, audit = understand(told)
    assert seen.now == audit.at == clock.now
    assert seen.since == audit.since == BEGUN
    bodhi = seen.applications["bodhi"]
    assert (bodhi.zmq.day, bodhi.zmq.week, bodhi.zmq.last_seen) == (0, 0, BEGUN + DAY)
    assert (bodhi.amqp.hour, bodhi.amqp.first_seen) == (2, BEGUN + 10 * DAY)
    assert audit.clean["zmq_to_amqp"].since == BEGUN + 4 * DAY + 60
    assert audit.clean["amqp_to_zmq"] == Clean(BEGUN, "the records begin")
    assert audit.blind == {"publishers": {"tcp://a:1": 1.5 * DAY}, "zmq_topic": {"": DAY}}
    assert audit.seeing == {"publishers": True}


def test_a_new_store_knows_nothing_and_says_since_when(store: Store) -> None:
    seen, audit = understand(tell(store, BEGUN + 60, 7))
    assert (seen.since, seen.applications, audit.blind) == (BEGUN, {}, {})


@pytest.mark.parametrize("told", [{}, {"applications": []}, {"applications": {"a": {"zmq": {"hour": "x"}}}}])
def test_what_another_version_says_is_no_crash(told: dict[str, Any]) -> None:
    with pytest.raises(ToolsError, match="the same version"):
        understand(told)
