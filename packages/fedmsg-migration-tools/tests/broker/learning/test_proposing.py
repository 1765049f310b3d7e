# SPDX-License-Identifier: MIT
"""What is proposed: the least that lets all go on, and nothing that the old policy refuses."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from fedmsg_migration_tools.broker import expressions
from fedmsg_migration_tools.broker.learning.messages import Sent
from fedmsg_migration_tools.broker.learning.oldbus import OldBus
from fedmsg_migration_tools.broker.learning.proposing import Rules, not_exact, propose
from fedmsg_migration_tools.broker.learning.publishers import Proof, Publisher
from fedmsg_migration_tools.broker.learning.traffic import Way
from fedora_messaging.topics import matches

from .support import RULES, proposed, sent, topics, traffic

PREFIX = "org.fedoraproject.prod"
COMMENT = f"{PREFIX}.bodhi.update.comment"
ONE, TWO = "bodhi-app01.example.org", "bodhi-app02.example.org"
FEW = replace(RULES, above=3)


def many(application: str, by: str, number: int = 4, proof: Proof = Proof.SIGNED) -> list[Sent]:
    return [sent(f"{PREFIX}.{application}.event{count}", by, proof) for count in range(number)]


def test_who_was_seen_publishing_a_topic_may_publish_it() -> None:
    proposal = proposed([sent(COMMENT, ONE), sent(f"{PREFIX}.git.push", "git", Proof.TOPIC)])
    assert topics(proposal, ONE) == [COMMENT]
    assert topics(proposal, "git") == [f"{PREFIX}.git.push"]
    assert proposal.accounts[ONE].certificates == {ONE}
    assert proposal.accounts["git"].certificates == set()
    assert proposal.accounts["git"].proofs == {Proof.TOPIC}
    assert proposal.refused == []


def test_the_policy_alone() -> None:
    old = OldBus({COMMENT: (ONE, TWO)}, False, {"idle.example.org": None})
    proposal = propose(old, traffic([]), RULES)
    assert topics(proposal, ONE) == topics(proposal, TWO) == [COMMENT]
    assert proposal.shared == {("amq.topic", COMMENT): [ONE, TWO]}
    assert proposal.accounts["idle.example.org"].publish == {}
    assert proposal.unseen == []  # nothing was looked at


def test_what_the_policy_refuses_is_not_proposed_whoever_did_it() -> None:
    old = OldBus({COMMENT: (ONE,)}, False)
    proposal = proposed([sent(COMMENT, TWO), sent(COMMENT, "bodhi", Proof.TOPIC)], old)
    assert topics(proposal, ONE) == [COMMENT]
    assert {one.way.publisher: one.why for one in proposal.refused} == {
        TWO: f"routing_policy lets only {ONE} publish it",
        "bodhi": f"routing_policy lets only {ONE} publish it",
    }
    assert proposal.unseen == [Way(ONE, "amq.topic", COMMENT)]
    assert set(proposal.accounts) == {ONE}


def test_a_nitpicky_policy_is_all_there_is() -> None:
    old = OldBus({COMMENT: (ONE,)}, True)
    proposal = proposed([sent(COMMENT, ONE), *many("bodhi", ONE, 9)], old, FEW)
    assert topics(proposal, ONE) == [COMMENT]
    assert {one.why for one in proposal.refused} == {
        "routing_policy does not have it, and routing_nitpicky is on"
    }
    assert proposal.unseen == []


def test_fedmsgs_policy_is_not_about_the_brokers_users() -> None:
    proposal = proposed([sent(COMMENT, "bodhi", Proof.BROKER)], OldBus({COMMENT: (ONE,)}, True))
    assert topics(proposal, "bodhi") == [COMMENT]


def test_signed_only() -> None:
    rules = replace(RULES, signed_only=True)
    proposal = proposed([sent(COMMENT, ONE), sent(COMMENT, "bodhi", Proof.TOPIC)], rules=rules)
    assert set(proposal.accounts) == {ONE}
    assert [(one.way.publisher, one.why) for one in proposal.refused] == [("bodhi", "nobody signed it")]


# one pattern for many


def test_above_the_threshold_an_application_becomes_one_pattern() -> None:
    assert topics(proposed(many("bodhi", ONE, 3), rules=FEW), ONE) == [
        f"{PREFIX}.bodhi.event{n}" for n in range(3)
    ]
    proposal = proposed(many("bodhi", ONE, 4), rules=FEW)
    assert topics(proposal, ONE) == [f"{PREFIX}.bodhi.#"]
    assert len(proposal.accounts[ONE].publish["amq.topic"][f"{PREFIX}.bodhi.#"].seen) == 4
    assert len(topics(proposed(many("bodhi", ONE, 99), rules=replace(RULES, above=0)), ONE)) == 99


def test_another_environment_is_another_application() -> None:
    staging = [sent(f"org.fedoraproject.stg.bodhi.event{n}", ONE) for n in range(3)]
    assert len(topics(proposed(many("bodhi", ONE, 3) + staging, rules=FEW), ONE)) == 6


def test_where_another_service_publishes_too_there_is_no_pattern() -> None:
    other = sent(f"{PREFIX}.bodhi.other", "badges-app01.example.org")
    assert len(topics(proposed([*many("bodhi", ONE), other], rules=FEW), ONE)) == 4
    hosts = proposed(many("bodhi", ONE) + many("bodhi", TWO), rules=FEW)
    assert topics(hosts, ONE) == topics(hosts, TWO) == [f"{PREFIX}.bodhi.#"]


def test_where_the_policy_has_another_publisher_there_is_no_pattern() -> None:
    old = OldBus({f"{PREFIX}.bodhi.secret": ("badges-app01.example.org",)}, False)
    assert len(topics(proposed(many("bodhi", ONE), old, FEW), ONE)) == 4


def test_where_something_was_refused_there_is_no_pattern() -> None:
    assert len(topics(proposed([*many("bodhi", ONE), sent(f"{PREFIX}.bodhi.*", ONE)], rules=FEW), ONE)) == 4


def test_what_was_not_counted_makes_no_pattern() -> None:
    seen = traffic(many("bodhi", ONE, 20), most=10)
    assert len(topics(propose(OldBus(), seen, FEW), ONE)) == 10


def test_the_policys_topics_are_part_of_the_pattern() -> None:
    old = OldBus({COMMENT: (ONE,)}, False)
    proposal = proposed([*many("bodhi", ONE), sent(COMMENT, ONE)], old, FEW)
    (grant,) = proposal.accounts[ONE].publish["amq.topic"].values()
    assert grant.pattern == f"{PREFIX}.bodhi.#"
    assert grant.listed == {COMMENT}


def test_topics_without_an_application_make_no_pattern() -> None:
    short = [sent(f"short.topic{n}", "app") for n in range(9)] + [sent(f"a...{n}", "app") for n in range(9)]
    assert len(topics(proposed(short, rules=FEW), "app")) == 18


# services


def test_by_service() -> None:
    rules = replace(RULES, by_service=True)
    old = OldBus({COMMENT: (ONE,)}, False, {ONE: 1.0, TWO: None, "a-b-host": None}, {"a-b-host": "a-b"})
    proposal = proposed([sent(f"{PREFIX}.bodhi.x", TWO), sent(f"{PREFIX}.ab.x", "a-b-host")], old, rules)
    assert set(proposal.accounts) == {"bodhi", "a-b"}
    assert proposal.accounts["bodhi"].certificates == {ONE, TWO}
    assert topics(proposal, "bodhi") == [COMMENT, f"{PREFIX}.bodhi.x"]
    assert proposal.shared == {}


# what cannot be said


def test_what_no_pattern_says_exactly_is_not_proposed() -> None:
    odd = ["", "#", "a.b.c.*", "a.b.c.x#y", "a.b.c.\n", "a.b.c.\x7f"]
    proposal = proposed([sent(topic, "app") for topic in odd])
    assert proposal.accounts == {}
    assert [one.way.topic for one in proposal.refused] == odd
    assert all(not_exact(topic) for topic in odd)
    old = OldBus(dict.fromkeys(odd, ("app",)), False)
    assert not any(account.publish for account in propose(old, traffic([]), RULES).accounts.values())


def test_where_rabbitmq_checks_no_topics_nothing_is_proposed() -> None:
    exchanges = ["", "amq.direct", "amq.headers", "a\nb", "zmq.topic"]
    messages = [Sent(COMMENT, Publisher("app", Proof.BROKER), exchange=name) for name in exchanges]
    proposal = proposed(messages)
    assert topics(proposal, "app", "zmq.topic") == [COMMENT]
    assert [one.way.exchange for one in proposal.refused] == exchanges[:-1]


def test_more_topics_than_one_expression_holds_are_left_out_and_said() -> None:
    messages = [sent(f"{PREFIX}.git{number}.push", "git") for number in range(2000)]
    often = [sent(f"{PREFIX}.git1999.push", "git")] * 5
    old = OldBus({f"{PREFIX}.git1998.push": ("git",)}, False)
    seen = traffic(messages + often, most=5000)
    proposal = propose(old, seen, Rules("amq.topic"))
    kept = topics(proposal, "git")
    assert len(kept) + len(proposal.refused) == 2000
    assert {f"{PREFIX}.git1998.push", f"{PREFIX}.git1999.push"} < set(kept)
    assert {one.why for one in proposal.refused} == {
        "its user has more topics than RabbitMQ takes in one permission"
    }
    assert len(expressions.of_topics(kept).encode()) <= expressions.longest()


WORDS = st.sampled_from(["bodhi", "git", "a", "*", "#", ""])
MESSAGES = st.lists(
    st.tuples(st.lists(WORDS, min_size=1, max_size=7).map(".".join), st.sampled_from([ONE, TWO, "git"]))
)


@given(MESSAGES, st.integers(0, 3), st.booleans(), st.booleans(), MESSAGES)
def test_what_was_seen_is_allowed_or_said_and_never_against_the_policy(
    messages: list[tuple[str, str]],
    above: int,
    by_service: bool,
    nitpicky: bool,
    listed: list[tuple[str, str]],
) -> None:
    routing: dict[str, tuple[str, ...]] = {}
    for topic, cn in listed:
        routing[topic] = (*routing.get(topic, ()), cn)
    old = OldBus(routing, nitpicky)
    rules = Rules("amq.topic", by_service, above)
    proposal = proposed([sent(topic, by) for topic, by in messages], old, rules)
    said = {(one.way.publisher, one.way.topic) for one in proposal.refused}

    def user(cn: str) -> str:
        return cn.partition("-")[0] if by_service else cn

    for topic, by in messages:
        account = proposal.accounts.get(user(by))
        patterns = account.publish.get("amq.topic", {}) if account else {}
        allowed = any(matches(pattern, topic) for pattern in patterns)
        assert allowed is ((by, topic) not in said) or (by_service and allowed)
        if not by_service and not old.policy.allows(topic, by):
            assert not allowed
