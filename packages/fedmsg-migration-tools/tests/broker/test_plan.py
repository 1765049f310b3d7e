# SPDX-License-Identifier: MIT
"""What differs, and in which order it may be changed, without a broker."""

import re
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmsg_migration_tools.broker.bus.desired import Secrets, desired
from fedmsg_migration_tools.broker.bus.file import check
from fedmsg_migration_tools.broker.bus.passwords import hashed
from fedmsg_migration_tools.broker.changing.aside import of_bus
from fedmsg_migration_tools.broker.changing.changes import Action, Plan
from fedmsg_migration_tools.broker.changing.facts import Facts, QueueFacts
from fedmsg_migration_tools.broker.changing.narrowing import both
from fedmsg_migration_tools.broker.changing.order import Phase, steps
from fedmsg_migration_tools.broker.changing.plan import plan
from fedmsg_migration_tools.broker.state import Key, Kind, State
from fedmsg_migration_tools.exceptions import ToolsError

V = "[vhosts.v]\n"


def state(text: str) -> State:
    return desired(check(tomllib.loads(text)), Secrets({"SECRET": "pass-word"}))


def compared(old: str, new: str, facts: Facts | None = None, more: State | None = None) -> Plan:
    """From what one file says, and ``more``, to what another says."""
    return plan(state(new), {**state(old), **(more or {})}, of_bus(check(tomllib.loads(new))), facts)


def lines(found: Plan) -> list[str]:
    return [str(one) for one in found.changes]


def user(name: str, **properties: Any) -> State:
    login = {
        "password_hash": "",
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "limits": {},
        "tags": [],
    }
    return {Key(Kind.USER, "", name): {**login, **properties}}


def queue(name: str, **properties: Any) -> State:
    return {
        Key(Kind.QUEUE, "v", name): {
            "type": "classic",
            "durable": True,
            "auto_delete": False,
            "arguments": {},
            **properties,
        }
    }


def test_a_password_is_the_same_whatever_its_salt() -> None:
    text = '[users.a]\npassword_env = "SECRET"\n'
    for salt in (b"abcd", b"efgh"):
        assert lines(plan(state(text), user("a", password_hash=hashed("pass-word", salt)))) == []
    changed = plan(state(text), user("a", password_hash=hashed("another", b"abcd")))
    assert lines(changed) == ["~ user a: password changes"]
    assert "pass-word" not in repr(changed) + repr(steps(changed))


def test_another_property_changes_and_the_hash_stays() -> None:
    live = user("a", password_hash=hashed("pass-word", b"abcd"))
    [step] = steps(plan(state('[users.a]\npassword_env = "SECRET"\ntags = ["monitoring"]\n'), live))
    assert step.body["password_hash"] == hashed("pass-word", b"abcd")
    assert "password" not in step.body


@pytest.mark.parametrize(
    ("version", "action"), [((3, 10, 8), Action.IMPOSSIBLE), ((4, 0, 5), Action.CHANGE), ((), Action.CHANGE)]
)
def test_a_default_type_of_queues_needs_a_rabbitmq_that_has_it(
    version: tuple[int, ...], action: Action
) -> None:
    found = compared(V, V + 'default_queue_type = "quorum"', Facts(version=version))
    [change] = found.changes
    assert change.action is action
    assert ("needs RabbitMQ 3.11, this is 3.10.8" in str(change)) == (action is Action.IMPOSSIBLE)


def test_a_limit_that_would_lose_messages_on_this_rabbitmq_is_refused() -> None:
    quorum = V + 'queues.q = { type = "quorum", delivery_limit = -1 }'
    for version in ((3, 10, 8), (3, 13, 7)):
        with pytest.raises(
            ToolsError, match=r"Queue q in v: RabbitMQ 3\.1\d\.\d takes delivery_limit -1 for 0"
        ):
            compared(V, quorum, Facts(version=version))
    for facts in (Facts(version=(4, 0, 5)), Facts()):
        assert len(compared(V, quorum, facts).changes) == 1


def test_the_last_administrator_stays_when_another_directory_knows_who_applies() -> None:
    live = user("boss", tags=["administrator"])
    [change] = plan({}, live, None, Facts("of-ldap")).changes
    assert (change.action, change.why[:31]) == (Action.IMPOSSIBLE, "it is the last administrator: g")
    [_, gone] = plan(user("next", tags=["administrator"]), live, None, Facts("of-ldap")).changes
    assert gone.action is Action.DELETE


def test_the_user_guest_goes_when_the_file_does_not_list_it() -> None:
    admin = '[users.admin]\ncertificate = true\ntags = ["administrator"]\n'
    guest = user("guest", tags=["administrator"])
    assert lines(compared(admin, admin, Facts("admin"), guest)) == ["- user guest"]


def test_what_goes_with_something_else_has_no_line_of_its_own() -> None:
    old = V + '[vhosts.v.queues.q]\nbindings = [{ exchange = "amq.topic", topics = ["a", "b"] }]\n'
    assert lines(compared(old, V)) == ["- queue q in v: with its 2 bindings"]
    assert lines(compared(old, "")) == ["- virtual host v: with its 1 queue"]
    users = '[users.a]\ncertificate = true\n[vhosts.v.users.a]\npublish = { "amq.topic" = ["a"] }\n'
    assert lines(compared(V + users, V)) == ["- user a: with its permissions in v"]


@pytest.mark.parametrize(
    "name", ["amq.gen-x", "federation: amq.topic -> rabbit@host:v:amq.topic", "mine.a", "left"]
)
def test_queues_that_are_not_the_files_business(name: str) -> None:
    new = (
        V
        + '[users.a]\ncertificate = true\n[vhosts.v.users.a]\nmanage = ["mine.*"]\n[leave]\nqueues = ["left"]'
    )
    binding: State = {Key(Kind.BINDING, "v", name, ("amq.topic", "queue", "#", "{}")): {}}
    assert lines(compared(new, new, more={**queue(name), **binding})) == []
    assert lines(compared(new, new, more=queue("other"))) == ["- queue other in v"]
    assert lines(compared(new, new, more=queue("other", auto_delete=True))) == []


def test_facts_hold_a_deletion() -> None:
    for known, held in (
        (QueueFacts("classic", 2, 0), "holds 2 messages"),
        (QueueFacts("classic", 0, 1), "has 1 consumer"),
        (QueueFacts("classic", 0, 0), ""),
        (QueueFacts("quorum", None, 0), ""),
    ):
        [change] = compared(V, V, Facts(queues={("v", "q"): known}), queue("q")).changes
        assert change.held == held


def test_a_line_is_one_line_and_gives_the_terminal_no_orders() -> None:
    name = "a\n\x1b[31mb"
    [line] = lines(compared(V, V, more=queue(name)))
    assert line == '- queue "a\\n\\u001b[31mb" in v'


def test_what_gives_comes_before_what_takes() -> None:
    old = (
        V + '[users.a]\ncertificate = true\n[vhosts.v.queues.old]\nbindings = [{ exchange = "amq.topic" }]\n'
    )
    new = (
        V + '[users.b]\ncertificate = true\n[vhosts.v.queues.new]\nbindings = [{ exchange = "amq.topic" }]\n'
    )
    order = [(step.method, step.key.kind, step.key.name) for step in steps(compared(old, new))]
    assert order == [
        ("PUT", Kind.USER, "b"),
        ("PUT", Kind.QUEUE, "new"),
        ("POST", Kind.BINDING, "new"),
        ("DELETE", Kind.QUEUE, "old"),
        ("DELETE", Kind.USER, "a"),
    ]


def test_limits_are_widened_first_and_narrowed_last() -> None:
    found = steps(
        compared(V + "max_queues = 3\nmax_connections = 9", V + "max_queues = 9\nmax_connections = 3")
    )
    assert [(step.phase, step.body["value"]) for step in found] == [
        (Phase.LESS_LIMITED, {"max-queues": 9, "max-connections": 9}),
        (Phase.MORE_LIMITED, {"max-queues": 9, "max-connections": 3}),
    ]


def test_one_who_applies_gets_rights_for_the_time_and_gives_them_back() -> None:
    login = 'password_hash = "8yI2dccTAy3hy/ahINRAYdJSRtdzN5QSfPomLDIPe1tIV2jx"'
    admin = f'[users.me]\n{login}\ntags = ["administrator"]\n'
    old = admin + V + '[vhosts.v.users.me]\npublish = { "amq.topic" = ["a"] }\n'
    found = steps(compared(old, old + "[vhosts.v.queues.q]\n", Facts("me")))
    assert [(step.phase.name, step.method, step.path) for step in found] == [
        ("OWN_RIGHTS", "PUT", ("permissions", "v", "me")),
        ("OWN_RIGHTS", "DELETE", ("topic-permissions", "v", "me", "amq.topic")),
        ("QUEUE", "PUT", ("queues", "v", "q")),
        ("OWN_RIGHTS_BACK", "PUT", ("topic-permissions", "v", "me")),
        ("OWN_RIGHTS_BACK", "PUT", ("permissions", "v", "me")),
    ]


# permissions, by a model of how RabbitMQ judges

EXCHANGES, TOPICS = ("x", "y"), ("a", "b", "c")
names = st.sampled_from(["", "x", "y", "x|y", ".*"])
topics = st.sampled_from(["", "a", "^a$", "a|b", "[bc]", ".*", "(?!)", r"(?i)B", r"\Ac\Z"])
row = st.fixed_dictionaries({"write": topics, "read": topics})
grants = st.fixed_dictionaries(
    {
        "whole": st.none() | st.fixed_dictionaries({"configure": names, "write": names, "read": names}),
        "topics": st.dictionaries(st.sampled_from(EXCHANGES), row),
    }
)


def as_state(found: dict[str, Any]) -> dict[Key, Any]:
    made: dict[Key, Any] = {**user("u")}
    if found["whole"] is not None:
        made[Key(Kind.PERMISSION, "v", "u")] = found["whole"]
    for exchange, one in found["topics"].items():
        made[Key(Kind.TOPIC_PERMISSION, "v", "u", (exchange,))] = one
    return made


def matches(expression: str, text: str) -> bool:
    flags = re.IGNORECASE if "(?i)" in expression else re.NOFLAG  # Python knows them only for the whole
    return re.search(expression.replace("(?i)", "") or "^$", text, flags) is not None


def judged(there: State) -> set[tuple[str, str, str]]:
    whole = there.get(Key(Kind.PERMISSION, "v", "u"))
    if whole is None:
        return set()
    return {
        (what, exchange, topic)
        for what in ("write", "read")
        for exchange in EXCHANGES
        for topic in TOPICS
        if matches(whole[what], exchange)
        and matches(there.get(Key(Kind.TOPIC_PERMISSION, "v", "u", (exchange,)), {what: ".*"})[what], topic)
    }


@given(grants, grants)
def test_at_no_step_may_a_user_do_more_than_before_or_afterwards_nor_less(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    there, wanted = as_state(old), as_state(new)
    before, after = judged(there), judged(wanted)
    for step in steps(plan(wanted, there)):
        if step.method == "DELETE":
            del there[step.key]
        else:
            there[step.key] = {name: one for name, one in step.body.items() if name != "exchange"}
        now = judged(there)
        assert now <= before | after
        assert now >= before & after
    assert there == wanted


@pytest.mark.parametrize("odd", [r"(a)\1", "(?R)", "(*COMMIT)a", r"\Qa", "(?x) a # b"])
def test_what_cannot_be_a_part_of_an_expression_lets_nothing_through_meanwhile(odd: str) -> None:
    assert both(odd, "a") == both("a", odd) == "(?!)"
    assert both(odd, odd) == odd
