# SPDX-License-Identifier: MIT
"""What is asked about a user, and which answer is right: from the words of the file, against a table by hand."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmsg_migration_tools.broker.bus.file import check
from fedmsg_migration_tools.broker.bus.shape import Bus
from fedmsg_migration_tools.broker.checking import misses
from fedmsg_migration_tools.broker.checking.questions import Action, Question, decide, names_match, questions
from fedora_messaging.topics import matches

VHOST = "/pubsub"
GRANTS: dict[str, Any] = {
    "publish": {"amq.topic": ["org.app.#", "org.*.tag"], "direct": ["#"]},
    "bind": {"amq.topic": ["org.#"]},
    "consume": ["archive"],
    "manage": ["own.*", "{uuid}"],
}


def bus(**grants: Any) -> Bus:
    tables: dict[str, Any] = {
        "users": {name: {"certificate": True} for name in ("app", "other", "nobody")},
        "vhosts": {
            VHOST: {
                "exchanges": {"direct": {"type": "direct"}, "zmq.topic": {}, "inner": {"internal": True}},
                "queues": {"archive": {}, "other": {}},
                "users": {"app": grants or GRANTS, "other": {"publish": {"amq.topic": ["org.other.tag.#"]}}},
            }
        },
    }
    return check(tables)


def asked(**wanted: Any) -> Question:
    return Question("app", VHOST, **wanted)


@pytest.mark.parametrize(
    ("action", "name", "topic", "answer"),
    [
        (Action.PUBLISH, "amq.topic", "org.app", True),
        (Action.PUBLISH, "amq.topic", "org.app.x.y", True),
        (Action.PUBLISH, "amq.topic", "org.x.tag", True),
        (Action.PUBLISH, "amq.topic", "org.x.tag.y", False),
        (Action.PUBLISH, "amq.topic", "org.appx", False),
        (Action.PUBLISH, "amq.topic", "", False),
        (Action.PUBLISH, "direct", "anything", True),
        (Action.PUBLISH, "zmq.topic", "org.app", False),
        (Action.PUBLISH, "amq.default", "own.x", False),
        (Action.PUBLISH, "own.exchange", "anything", True),
        (Action.CONSUME, "archive", "", True),
        (Action.CONSUME, "other", "", False),
        (Action.CONSUME, "own.q", "", True),
        (Action.CONSUME, "owny", "", False),
        (Action.CONSUME, "c4ec6c4e-b40e-4a4e-9c4e-0123456789ab", "", True),
        (Action.CONSUME, "c4ec6c4e-b40e-4a4e-9c4e-0123456789abc", "", False),
        (Action.DECLARE, "own.q", "", True),
        (Action.DECLARE, "archive", "", False),
        (Action.BIND, "amq.topic", "org.#", True),
        (Action.BIND, "amq.topic", "org.app.x", True),
        (Action.BIND, "amq.topic", "#", False),
        (Action.BIND, "amq.topic", "*.#", False),
        (Action.BIND, "amq.topic", "org.*", None),
        (Action.BIND, "zmq.topic", "org.#", False),
    ],
)
def test_the_right_answer(action: Action, name: str, topic: str, answer: bool | None) -> None:
    vhost = bus().vhosts[VHOST]
    one = asked(action=action, name=name, topic=topic, queue="own.q" if action is Action.BIND else "")
    assert decide(one, vhost, vhost.users["app"]) is answer


def test_a_queue_of_others_cannot_be_bound() -> None:
    vhost = bus().vhosts[VHOST]
    one = asked(action=Action.BIND, name="amq.topic", topic="org.#", queue="archive")
    assert decide(one, vhost, vhost.users["app"]) is False


def test_expressions_are_taken_at_their_word() -> None:
    words = {"configure": "^a$", "write": "^amq", "read": "", "topics": {"amq.topic": {"write": r"^org\."}}}
    vhost = bus(expressions=words).vhosts[VHOST]
    grants = vhost.users["app"]
    answers = {
        asked(action=Action.DECLARE, name="a"): True,
        asked(action=Action.DECLARE, name="ab"): False,
        asked(action=Action.PUBLISH, name="amq.topic", topic="org.x"): True,
        asked(action=Action.PUBLISH, name="amq.topic", topic="orgx"): False,
        asked(action=Action.PUBLISH, name="amq.direct", topic="orgx"): True,
        asked(action=Action.CONSUME, name="archive"): False,
    }
    assert {one: decide(one, vhost, grants) for one in answers} == answers


def test_who_is_not_listed_is_only_asked_whether_he_gets_in() -> None:
    assert [one for one in questions(bus()) if one.user == "nobody"] == [
        Question("nobody", VHOST, Action.LOGIN)
    ]


def test_each_right_is_asked_about_with_a_near_miss() -> None:
    found = {(one.action, one.name, one.allowed) for one in questions(bus()) if one.user == "app"}
    for action, name in (
        (Action.PUBLISH, "amq.topic"),
        (Action.BIND, "amq.topic"),
    ):
        assert {(action, name, True), (action, name, False)} <= found
    assert {(Action.CONSUME, "archive", True), (Action.CONSUME, "other", False)} <= found
    assert {(Action.DECLARE, "own.check-broker", True), (Action.DECLARE, "archive", False)} <= found
    assert (Action.PUBLISH, "amq.default", False) in found
    assert (Action.PUBLISH, "inner", False) not in found  # refused to everybody, so that it proves nothing


def test_names_that_rabbitmq_keeps_to_itself_are_not_asked_for() -> None:
    found = {one.name for one in questions(bus(manage=["amq.gen*", "amq.*"])) if one.action is Action.DECLARE}
    reserved = {name for name in found if name.startswith("amq.")}
    assert reserved == {"amq.gencheck-broker"}
    assert found - reserved


def test_what_others_publish_is_a_near_miss() -> None:
    assert Question("app", VHOST, Action.PUBLISH, "amq.topic", "org.other.tag.check") in list(
        questions(bus())
    )


MISTAKES = {
    "no anchor at the end": r"^org\.app\.tag",
    "no anchor at the beginning": r"org\.app\.tag$",
    "dots that are not escaped": r"^org.app.tag\z",
    "an end that a newline passes": r"^org\.app\.tag$",
    "case that does not matter": r"(?i)^org\.app\.tag\z",
    "another application": r"^org\.[a-z]+\.tag\z",
    "everything": ".*",
    "one word more": r"^org\.app\.tag(\.[^.]*)?\z",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_an_expression_shows(mistake: str) -> None:
    expression = MISTAKES[mistake].replace(r"\z", r"\Z")
    assert re.search(expression, "org.app.tag")
    let_through = [topic for topic in misses.near("org.app.tag") if re.search(expression, topic)]
    assert [topic for topic in let_through if not matches("org.app.tag", topic)]


WORDS = st.lists(st.sampled_from(["a", "bc", "*", "#", "prod", ""]), min_size=1, max_size=5).map(".".join)


@given(WORDS)
def test_examples_of_a_pattern_match_it(pattern: str) -> None:
    found = misses.topics(pattern)
    assert found
    assert all(matches(pattern, topic) for topic in found)


@given(st.text("ab*.{uid}", max_size=8), st.text("ab.", max_size=8))
def test_names_match_as_a_shell_does(glob: str, name: str) -> None:
    if misses.UUID in glob:
        return
    expected = re.fullmatch(".*".join(re.escape(part) for part in glob.split("*")), name) is not None
    assert names_match([glob], name) is expected
    assert names_match([glob], misses.instance(glob))


def test_long_lists_are_asked_about_from_end_to_end() -> None:
    spread = misses.spread(list(range(200)), 12)
    assert (len(spread), spread[0], spread[-1]) == (12, 0, 199)


def test_topics_that_amqp_cannot_hold_are_not_asked_about() -> None:
    pattern = ".".join(["x" * 50] * 5)
    assert len(pattern) == 254
    assert misses.topics(pattern) == [pattern]
    assert all(len(topic.encode()) <= 255 for topic in (*misses.near(pattern), *misses.wider(pattern)))
