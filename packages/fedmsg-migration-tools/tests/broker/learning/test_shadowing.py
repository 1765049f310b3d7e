# SPDX-License-Identifier: MIT
"""What of a recording a file would refuse: counted, with the line that would allow it."""

from __future__ import annotations

import json
import tomllib
from typing import Any

from fedmsg_migration_tools.broker.bus.file import check
from fedmsg_migration_tools.broker.learning.messages import Sent
from fedmsg_migration_tools.broker.learning.proposing import Rules
from fedmsg_migration_tools.broker.learning.publishers import Proof, Publisher
from fedmsg_migration_tools.broker.learning.shadowing import Shadow, Way
from fedmsg_migration_tools.broker.learning.verdicts import Judge, Verdict

from .support import NOW, real, sent, understood, written
from .test_verdicts import FILE

TOPIC = "org.bodhi.x"


def shadow(text: str = FILE, vhost: str = "/pubsub", **names: str) -> Shadow:
    return Shadow(Judge(understood(text), vhost), "amq.topic", names)


def test_what_was_proposed_from_a_recording_refuses_none_of_it() -> None:
    for above in (20, 3, 0):
        found = shadow(written(real(), rules=Rules("amq.topic", above=above)), "/")
        for one in real():
            assert found.see(one) is Verdict.ALLOWED
        assert found.refused == {}
        assert found.lines([]) == ["0 of 542 messages would be refused"]


def test_one_topic_less_refuses_exactly_its_messages() -> None:
    messages = real()
    text = written(messages)
    lines = [line for line in text.splitlines() if line.startswith("    ")]
    for line in lines[:: len(lines) // 12]:
        topic = line.split('"')[1]
        found = shadow(text.replace(f"{line}\n", "", 1), "/")
        user = next(iter({one.publisher.name for one in messages if one.topic == topic} - {"bugzilla"}))
        refused = [one for one in messages if found.see(one) is not Verdict.ALLOWED]
        assert refused == [one for one in messages if one.topic == topic and one.publisher.name == user]
        assert refused
        assert set(found.refused) == {Way(user, "amq.topic", topic)}


def test_refusals_are_grouped_and_counted() -> None:
    found = shadow()
    for _ in range(3):
        found.see(sent("org.other", "bodhi"))
    found.see(sent("org.other", "bodhi", at=NOW + 90_000))
    found.see(sent("org.other", "nobody", at=None))
    found.see(sent(TOPIC, "bodhi"))
    assert found.lines(["a note"]) == [
        "",
        "bodhi",
        f"  amq.topic  org.other  4 times, 2023-11-14 to 2023-11-15, such as 2023-an-id: {Verdict.NO_TOPIC}",
        '      vhosts."/pubsub".users."bodhi".publish."amq.topic" = ["org.other"]',
        "",
        "nobody",
        "  amq.topic  org.other  1 time, such as 2023-an-id: the file has no such user",
        '      users."nobody".certificate = true',
        '      vhosts."/pubsub".users."nobody".publish."amq.topic" = ["org.other"]',
        "",
        "5 of 6 messages would be refused: 2 topics of 2 users",
        "not judged: a note",
    ]


def test_publishers_may_be_called_otherwise_in_the_file() -> None:
    found = shadow(bodhi2="bodhi")
    assert found.see(sent(TOPIC, "bodhi2")) is Verdict.ALLOWED
    assert found.see(sent(TOPIC, "bodhi-app01.example.org")) is Verdict.ALLOWED
    assert found.see(sent(TOPIC, "bodhi3")) is Verdict.NO_USER


def test_other_virtual_hosts_and_users_left_alone_are_not_judged() -> None:
    found = shadow()
    assert found.see(Sent(TOPIC, Publisher("x", Proof.BROKER), vhost="/")) is None
    assert found.see(Sent(TOPIC, Publisher("bodhi", Proof.BROKER), vhost="/pubsub")) is Verdict.ALLOWED
    assert found.see(sent(TOPIC, "admin2")) is Verdict.LEFT_ALONE
    (line,) = found.lines([])
    assert line.startswith(
        "0 of 2 messages would be refused; 1 message not judged, of users that the file leaves alone"
    )
    assert line.endswith("; 1 message of other virtual hosts left out")


def added(tables: dict[str, Any], lines: dict[str, Any]) -> None:
    """Put what the lines say into the file: a list is made longer."""
    for key, value in lines.items():
        if isinstance(value, dict):
            added(tables.setdefault(key, {}), value)
        elif isinstance(value, list):
            tables[key] = [*tables.get(key, []), *value]
        else:
            tables[key] = value


def test_the_line_that_would_allow_it_does() -> None:
    cases = {
        ("bodhi", "amq.topic", "org.other"): Verdict.NO_TOPIC,
        ("bodhi", "zmq.topic", 'quo"ted\\x'): Verdict.NO_WRITE,
        ("bodhi", "amq.direct", "key"): Verdict.NO_WRITE,
        ("bodhi", "new.topic", "key"): Verdict.NO_WRITE,
        ("other", "", "queue"): Verdict.NO_PERMISSIONS,
        ("other", "amq.topic", TOPIC): Verdict.NO_PERMISSIONS,
        ('odd "name"', "amq.topic", TOPIC): Verdict.NO_USER,
        ("nobody", "foreign.x", "a.b"): Verdict.NO_USER,
    }
    for (user, exchange, topic), verdict in cases.items():
        found = shadow()
        message = Sent(topic, Publisher(user, Proof.BROKER), exchange=exchange)
        assert found.see(message) is verdict
        tables = tomllib.loads(FILE)
        added(tables, tomllib.loads("\n".join(found.remedy(Way(user, exchange, topic)))))
        again = Shadow(Judge(check(tables), "/pubsub"), "amq.topic")
        assert again.see(message) is Verdict.ALLOWED, (user, exchange, topic)


def test_where_no_line_would_it_says_why() -> None:
    for user, exchange, topic, said in (
        ("bodhi", "amq.topic", "#", "has * or # in it"),
        ("bodhi", "amq.topic", "", "the topic is empty"),
        ("bodhi", "inner", "x", "nobody may publish to an internal one"),
        ("raw", "amq.topic", "x", "written by hand"),
    ):
        found = shadow()
        found.see(Sent(topic, Publisher(user, Proof.BROKER), exchange=exchange))
        (line,) = found.remedy(Way(user, exchange, topic))
        assert line.startswith("# ")
        assert said in line
        assert tomllib.loads(line) == {}
    found = shadow()
    found.see(Sent("x", Publisher("raw", Proof.BROKER), exchange="gone"))
    assert found.remedy(Way("raw", "gone", "x")) == ['vhosts."/pubsub".exchanges."gone".type = "topic"']


def test_memory_is_bounded_and_the_count_right() -> None:
    found = Shadow(Judge(understood(FILE), "/pubsub"), "amq.topic", most=10)
    for number in range(100):
        found.see(sent(f"org.other.{number}", "bodhi"))
    assert len(found.refused) == 10
    assert found.refused_messages == 100
    assert "90 messages of these not listed" in found.summary()


def test_names_that_others_chose_are_shown_on_one_line() -> None:
    found = shadow()
    found.see(sent("a\n\x1b[31mb", "bodhi"))
    assert all(line.isprintable() for line in found.lines([]))


def test_it_is_json_too() -> None:
    found = shadow()
    found.see(sent("org.other", "bodhi"))
    told = json.loads(json.dumps(found.as_dict(["a note"])))
    assert told["refused"] == [
        {
            "user": "bodhi",
            "exchange": "amq.topic",
            "topic": "org.other",
            "verdict": "no_topic",
            "why": "the user may not publish this topic",
            "count": 1,
            "example": "2023-an-id",
            "first": NOW,
            "last": NOW,
            "allow": ['vhosts."/pubsub".users."bodhi".publish."amq.topic" = ["org.other"]'],
        }
    ]
    assert (told["messages"], told["refused_messages"], told["notes"]) == (1, 1, ["a note"])
