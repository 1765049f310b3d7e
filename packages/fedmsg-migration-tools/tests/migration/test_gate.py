# SPDX-License-Identifier: MIT
"""A gate opens only when nothing stands in the way; each thing that does is one sentence."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmsg_migration_tools.migration.audit import Audit, Clean
from fedmsg_migration_tools.migration.gate import Facts, amqp_to_zmq, judge, zmq_to_amqp
from fedmsg_migration_tools.migration.seen import DAY, Application, Seen, Traffic

NOW = 1_800_000_000.0
BEGUN = NOW - 30 * DAY
QUIET = Application("bodhi", Traffic(first_seen=BEGUN, last_seen=NOW - 8 * DAY), Traffic(1, 1, 1, BEGUN, NOW))
AUDIT = Audit(
    NOW,
    BEGUN,
    7,
    {"zmq_to_amqp": Clean(BEGUN, "the records begin")},
    {"publishers": {"": 30.0}},
    {"bridge_socket": True},
)
OPEN = Facts(NOW, Seen.of([QUIET], BEGUN, NOW), AUDIT, 0, {}, 0)


def test_it_opens_when_all_is_quiet_and_clean() -> None:
    assert zmq_to_amqp(OPEN).open
    assert judge("zmq_to_amqp", OPEN).as_dict() == {"open": True, "because": []}


def test_nothing_known_is_each_thing_that_is_not_known() -> None:
    because = zmq_to_amqp(Facts(NOW)).because
    assert [one.split(" is not known")[0] for one in because] == [
        "What originates on ZeroMQ",
        "Whether the bridge loses messages",
        "How many messages wait in quarantine",
    ]
    assert "--bridge-url" in amqp_to_zmq(Facts(NOW)).because[0]


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (
            replace(
                OPEN, seen=Seen.of([Application("koji", Traffic(1, 9, 1234, BEGUN, NOW - 7200))], BEGUN, NOW)
            ),
            "koji published over ZeroMQ 2 hours ago (1,234 messages in a week): move it to AMQP",
        ),
        (
            replace(OPEN, seen=Seen.of([replace(QUIET, zmq=Traffic(0, 0, 1, BEGUN, NOW - DAY))], BEGUN, NOW)),
            "bodhi published over ZeroMQ 1 day ago (1 message in a week): find what of it still publishes there",
        ),
        (
            replace(OPEN, seen=Seen.of([QUIET], NOW - 2 * DAY, NOW)),
            "It has been watched for 2 days only: wait until it is 7 days, on 2027-01-20 08:00 UTC",
        ),
        (
            replace(OPEN, audit=replace(AUDIT, clean={"zmq_to_amqp": Clean(NOW - 3 * DAY, "a verdict")})),
            "The audit is clean for 3 days only (2027-01-12 08:00 UTC, a verdict)",
        ),
        (replace(OPEN, audit=replace(AUDIT, clean={})), "Whether the bridge loses messages is not known"),
        (
            replace(OPEN, audit=replace(AUDIT, at=NOW - 3600)),
            "The verification service has not run since 2027-01-15 07:00 UTC: start it",
        ),
        (
            replace(OPEN, audit=replace(AUDIT, blind={"publishers": {"tcp://a:1": 3600.0}})),
            "was blind to the fedmsg publishers at tcp://a:1 for 1 hour of the last 7 days (10 minutes are allowed)",
        ),
        (
            replace(OPEN, audit=replace(AUDIT, blind={"zmq_topic": {"": 7 * DAY}})),
            "was blind to zmq.topic for 7 days",
        ),
        (replace(OPEN, audit=replace(AUDIT, days=1)), "tells its blind time of 1 day only"),
        (
            replace(OPEN, topics=("org.a", "org.b")),
            "listens only to topics that begin with 'org.a', 'org.b': let it listen to all",
        ),
        (replace(OPEN, quarantined=3), "3 messages in quarantine: replay or drop"),
    ],
)
def test_each_thing_alone_keeps_it_shut(facts: Facts, said: str) -> None:
    (only,) = zmq_to_amqp(facts).because
    assert said in only


@pytest.mark.parametrize("witness", ["amq_topic", "bridge_socket"])
def test_being_blind_to_the_other_bridge_does_not_matter(witness: str) -> None:
    assert zmq_to_amqp(replace(OPEN, audit=replace(AUDIT, blind={witness: {"": DAY}}))).open


def test_an_endpoint_that_was_away_all_the_time_is_nobodys_any_more() -> None:
    assert zmq_to_amqp(
        replace(OPEN, audit=replace(AUDIT, blind={"publishers": {"tcp://gone:1": 7 * DAY}}))
    ).open


def test_many_applications_are_summed_up() -> None:
    many = [Application(f"app{number:02}", Traffic(1, 1, 1, BEGUN, NOW)) for number in range(30)]
    because = zmq_to_amqp(replace(OPEN, seen=Seen.of(many, BEGUN, NOW))).because
    assert len(because) == 21
    assert because[-1] == "10 more applications published over ZeroMQ: move them to AMQP"


def test_each_subscriber_keeps_the_bridge_to_zeromq() -> None:
    assert amqp_to_zmq(OPEN).open
    (because,) = amqp_to_zmq(replace(OPEN, subscribers=2, subscriptions={"": 1, "org.a": 1})).because
    assert because == "2 subscribers listen to the bridge to '', 'org.a': move them to AMQP"
    (because,) = amqp_to_zmq(replace(OPEN, subscribers=1)).because
    assert because == "1 subscriber listens to the bridge: move it to AMQP"


@given(
    last=st.none() | st.floats(0, 30),
    clean=st.floats(0, 30),
    blind=st.floats(0, 2000),
    quarantined=st.none() | st.integers(0, 3),
)
def test_it_is_open_exactly_when_every_condition_holds(
    last: float | None, clean: float, blind: float, quarantined: int | None
) -> None:
    traffic = Traffic() if last is None else Traffic(1, 1, 1, BEGUN, NOW - last * DAY)
    facts = replace(
        OPEN,
        seen=Seen.of([Application("bodhi", traffic)], BEGUN, NOW),
        audit=replace(
            AUDIT, clean={"zmq_to_amqp": Clean(NOW - clean * DAY)}, blind={"zmq_topic": {"": blind}}
        ),
        quarantined=quarantined,
    )
    meant = (last is None or last >= 7) and clean >= 7 and blind <= 600 and quarantined == 0
    assert zmq_to_amqp(facts).open is meant
