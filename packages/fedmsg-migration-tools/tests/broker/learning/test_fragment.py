# SPDX-License-Identifier: MIT
"""The proposal as text: what is written is what is read again, whatever others have put into it."""

from __future__ import annotations

import json
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmsg_migration_tools.broker.bus.shape import User
from fedmsg_migration_tools.broker.learning import fragment
from fedmsg_migration_tools.broker.learning.messages import Sent
from fedmsg_migration_tools.broker.learning.oldbus import OldBus
from fedmsg_migration_tools.broker.learning.proposing import Rules
from fedmsg_migration_tools.broker.learning.publishers import Proof, Publisher
from fedmsg_migration_tools.broker.learning.wording import day

from .support import NOW, RULES, proposed, real, sent, traffic, understood, written

TOPIC = "org.fedoraproject.prod.bodhi.update.comment"
HOST = "bodhi-app01.example.org"
DAY = 86400


def test_it_is_a_part_of_a_file_that_plan_accepts() -> None:
    bus = understood(written(real(), vhost="/pubsub"))
    assert set(bus.users.values()) == {User(certificate=True)}
    assert set(bus.vhosts) == {"/pubsub"}
    assert set(bus.vhosts["/pubsub"].users) == set(bus.users)
    assert sum(len(grants.publish["amq.topic"]) for grants in bus.vhosts["/pubsub"].users.values()) == 275


def test_it_stands_beside_the_operators_own_tables() -> None:
    own = '[vhosts."/".queues.q]\ntype = "quorum"\n[leave]\nusers = ["admin"]\n'
    bus = understood(own + written([sent(TOPIC, HOST)]))
    assert bus.vhosts["/"].users[HOST].publish == {"amq.topic": (TOPIC,)}
    assert "q" in bus.vhosts["/"].queues


def test_the_comments_say_why_and_how_often() -> None:
    messages = [
        sent(TOPIC, HOST, at=NOW - 3 * DAY),
        sent(TOPIC, HOST),
        sent("a.b.c.git.x", "git", Proof.TOPIC),
    ]
    text = written(messages, OldBus({TOPIC: (HOST,)}, False, {HOST: NOW - 1}))
    line = next(line for line in text.splitlines() if line.startswith(f'    "{TOPIC}"'))
    assert line.endswith('",  # 2 times, 2023-11-11 to 2023-11-14, such as 2023-an-id; in routing_policy')
    assert f"# {HOST}: its certificate expired on 2023-11-14" in text
    assert "# signed, signature not checked\n" in text
    assert "# not signed: the topic's application\n# It needs a certificate with the CN git.\n" in text
    assert (
        "# 2 users may publish 2 topics\n# of 1 user only the messages' own word says who sent them\n" in text
    )


def test_what_is_not_allowed_shared_or_unseen_stands_at_its_head() -> None:
    old = OldBus({TOPIC: (HOST,), "a.b.c.d": ("x", "y")}, False, {"idle-host": NOW + 9 * DAY})
    text = written([sent(TOPIC, "bodhi", Proof.TOPIC)], old)
    assert "# Not allowed by what follows (1):\n#   bodhi → amq.topic " + TOPIC in text
    assert f"routing_policy lets only {HOST} publish it; 1 time, on 2023-11-14, such as 2023-an-id" in text
    assert "# In routing_policy, allowed, and never seen (3):" in text
    assert "# Topics that several users may publish (1):\n#   a.b.c.d: x, y" in text
    assert text.endswith(
        "# These have a certificate, but no topic is known of them: they may do nothing.\n\n"
        "# idle-host: its certificate is valid until 2023-11-23, renew it soon\n"
        '[users."idle-host"]\ncertificate = true\n'
    )
    assert understood(text).vhosts["/"].users.keys() == {HOST, "x", "y"}


def test_a_user_for_a_service_says_for_which_hosts() -> None:
    text = written([sent(TOPIC, HOST), sent(TOPIC, "bodhi-b.org")], rules=Rules("amq.topic", by_service=True))
    assert (
        "# One user for: bodhi-app01.example.org, bodhi-b.org\n# Each needs a new certificate, with the CN bodhi.\n"
        in text
    )


def test_without_a_nitpicky_policy_it_says_what_the_broker_will_not_let_through() -> None:
    assert "fedmsg let everyone publish the topics that are not listed" in written([], OldBus({}, False))
    assert "fedmsg let everyone" not in written([], OldBus({}, True))


ODD = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


@given(ODD, ODD, ODD, ODD)
def test_nothing_that_others_wrote_breaks_out(name: str, topic: str, example: str, vhost: str) -> None:
    message = Sent(f"a.b.c.{topic}", Publisher(name, Proof.BROKER), example, NOW)
    text = written(
        [message, sent(f"a.b.c.{topic}", "another")],
        OldBus({topic: (name,)}, False, {name: 1.0}),
        vhost=vhost,
    )
    tables = tomllib.loads(text)
    assert set(tables) <= {"users", "vhosts"}
    assert set(tables["users"]) == {name, "another"} or not topic.isprintable() or {"*", "#"} & set(topic)
    assert set(tables.get("vhosts", {vhost: 0})) == {vhost}


@pytest.mark.parametrize("moment", [float("inf"), float("nan"), 1e300, -1e300])
def test_no_date_is_no_problem(moment: float) -> None:
    assert day(moment) == ""
    assert understood(written([sent(TOPIC, HOST, at=moment)])).users


def test_it_is_json_too() -> None:
    messages = [sent(TOPIC, HOST), sent("#", HOST)]
    proposal = proposed(messages, OldBus({"a.b.c.d": ("x", "y")}, False), RULES)
    told = json.loads(json.dumps(fragment.as_dict(proposal, ["a note"], {"seen": 2})))
    assert told["users"][HOST] == {
        "certificates": [HOST],
        "proofs": ["signed, signature not checked"],
        "publish": {"amq.topic": [TOPIC]},
    }
    assert told["shared"] == [{"exchange": "amq.topic", "topic": "a.b.c.d", "users": ["x", "y"]}]
    assert [one["publisher"] for one in told["unseen"]] == ["x", "y"]
    assert [(one["topic"], one["count"]) for one in told["refused"]] == [("#", 1)]
    assert told["notes"] == ["a note"]
    assert told["messages"] == {"seen": 2}


def test_what_was_left_out_is_said() -> None:
    seen = traffic([sent(f"a.b.c.d.{n}", "x") for n in range(5)], most=2)
    said = list(fragment.summary(proposed(), OldBus(), seen))
    assert "3 messages left out, after 2 different ways" in said
