# SPDX-License-Identifier: MIT
"""What is said of a broker as a whole: each fault alone makes its line, and a broker without one makes none."""

from typing import Any

import msgspec
import pytest

from fedmsg_migration_tools.broker.bus.file import check
from fedmsg_migration_tools.broker.bus.shape import Bus
from fedmsg_migration_tools.broker.checking import judging, queues
from fedmsg_migration_tools.broker.checking.facts import Facts
from fedmsg_migration_tools.broker.checking.findings import Finding, Status, fail, warn

V = "/pubsub"


def bus(**changes: Any) -> Bus:
    tables: dict[str, Any] = {
        "broker": {"nodes": ["a@x", "b@x"], "minimum_version": "3.10.5", "plugins": ["rabbitmq_stomp"]},
        "users": {"app": {"certificate": True}, "boss": {"certificate": True, "tags": ["administrator"]}},
        "vhosts": {
            V: {
                "exchanges": {"zmq.topic": {}, "dead": {}},
                "queues": {
                    "work": {
                        "type": "quorum",
                        "dead_letter_exchange": "dead",
                        "bindings": [{"exchange": "zmq.topic"}],
                    },
                    "grave": {"bindings": [{"exchange": "dead"}]},
                },
                "users": {"app": {"consume": ["work"]}},
            }
        },
    }
    return check(msgspec.convert({**tables, **changes}, dict[str, Any]))


def node(name: str, **changes: Any) -> dict[str, Any]:
    plugins = ["rabbitmq_stomp", "rabbitmq_auth_mechanism_ssl"]
    applications = [{"name": "rabbit", "version": "3.10.8"}]
    usual = {"running": True, "enabled_plugins": plugins, "applications": applications, "partitions": []}
    return {"name": name, **usual, **changes}


def queue(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "name": name,
        "vhost": V,
        "type": "classic",
        "state": "running",
        "consumers": 1,
        "messages": 0,
        **changes,
    }


def binding(source: str, destination: str) -> dict[str, Any]:
    return {"vhost": V, "source": source, "destination": destination, "destination_type": "queue"}


WORK = queue(
    "work",
    type="quorum",
    members=["a@x", "b@x", "c@x"],
    online=["a@x", "b@x", "c@x"],
    arguments={"x-dead-letter-exchange": "dead"},
)
BINDINGS = [binding("zmq.topic", "work"), binding("dead", "grave")]
EXCHANGES: list[dict[str, Any]] = [
    {"name": name, "vhost": V, "type": "topic", "arguments": {}}
    for name in ("amq.topic", "zmq.topic", "dead")
]
USERS: list[dict[str, Any]] = [{"name": "app", "tags": []}, {"name": "boss", "tags": ["administrator"]}]
PERMISSION = {"user": "app", "vhost": V, "configure": "(?!)", "write": "(?!)", "read": "^work$"}


def facts(**changes: Any) -> Facts:
    usual: dict[str, Any] = {
        "overview": {"rabbitmq_version": "3.10.8"},
        "nodes": [node("a@x"), node("b@x")],
        "users": USERS,
        "permissions": [PERMISSION],
        "vhosts": [{"name": V, "cluster_state": {"a@x": "running"}}],
        "queues": [WORK, queue("grave")],
        "exchanges": EXCHANGES,
        "bindings": BINDINGS,
    }
    return Facts(**{**usual, **changes})


def wrong(told: Facts, file: Bus | None = None) -> list[Finding]:
    file = file or bus()
    found = [*judging.judge(file, told), *queues.judge(file, told)]
    return [finding for finding in found if finding.status is not Status.OK]


def test_all_is_well() -> None:
    assert wrong(facts()) == []
    assert wrong(facts(overview={"rabbitmq_version": "4.0.5"}, deprecated=[])) == []


OLD = node("b@x", applications=[{"name": "rabbit", "version": "3.9.30"}])
CUT_OFF = node("b@x", partitions=["a@x"])
FULL = node("a@x", mem_alarm=True)
HALF = {**WORK, "online": ["a@x"]}
LOST = {**WORK, "arguments": {"x-dead-letter-exchange": "none"}}
GRAVE = queue("grave")
ADMIN = {"name": "admin", "tags": ["administrator"]}
MIRROR = {"vhost": V, "name": "ha", "definition": {"ha-mode": "all"}}


@pytest.mark.parametrize(
    ("changes", "status", "check", "words"),
    [
        ({"nodes": [node("a@x"), OLD]}, "fail", "version", "b@x (3.9.30) is older than 3.10.5"),
        ({"nodes": [node("a@x")]}, "fail", "nodes", "b@x is not in the cluster"),
        ({"nodes": [node("a@x"), node("b@x", running=False)]}, "fail", "nodes", "b@x does not run"),
        ({"nodes": [node("a@x"), CUT_OFF]}, "fail", "partitions", "b@x is cut off from a@x"),
        ({"nodes": [FULL, node("b@x")]}, "fail", "alarms", "a@x is low on memory"),
        ({"alarmed": True}, "fail", "alarms", "a node is low on memory or disk"),
        (
            {"nodes": [node("a@x", enabled_plugins=["rabbitmq_stomp"]), node("b@x")]},
            "fail",
            "plugins",
            "rabbitmq_auth_mechanism_ssl is not enabled on a@x, and users log in by certificate",
        ),
        (
            {"nodes": [node(n, enabled_plugins=None) for n in ("a@x", "b@x")]},
            "warn",
            "plugins",
            "does not tell yet",
        ),
        (
            {"vhosts": [{"name": V, "cluster_state": {"a@x": "stopped"}}]},
            "fail",
            "vhosts",
            "is stopped on a@x",
        ),
        ({"vhosts": []}, "fail", "vhosts", "there is no virtual host /pubsub"),
        (
            {"deprecated": [{"name": "global_qos", "deprecation_phase": "permitted_by_default"}]},
            "warn",
            "deprecated",
            "global_qos is in use",
        ),
        ({"policies": [MIRROR]}, "warn", "deprecated", "the policy ha in /pubsub mirrors classic queues"),
        ({"users": USERS[:1]}, "fail", "users", "there is no user boss"),
        (
            {"users": [*USERS, {"name": "guest", "tags": ["administrator"]}]},
            "fail",
            "users",
            "default user guest",
        ),
        (
            {"users": [{"name": "app", "tags": ["administrator"]}, USERS[1]]},
            "fail",
            "users",
            "app has the tags",
        ),
        ({"users": [{"name": "app", "tags": ["monitoring"]}, USERS[1]]}, "warn", "users", "app has the tags"),
        ({"users": [*USERS, {"name": "old", "tags": []}]}, "warn", "users", "does not know old"),
        (
            {"permissions": [PERMISSION, {**PERMISSION, "vhost": "/"}]},
            "fail",
            "permissions",
            "app has permissions in /, which",
        ),
        ({"queues": [HALF, GRAVE]}, "fail", "queues", "only 1 of its 3 members are there, no majority"),
        (
            {"queues": [{**WORK, "online": ["a@x", "b@x"]}, GRAVE]},
            "warn",
            "queues",
            "1 of its 3 members are away",
        ),
        ({"queues": [WORK, queue("grave", state="down")]}, "fail", "queues", "grave in /pubsub: is down"),
        (
            {"queues": [WORK, queue("grave", messages=3, consumers=0)]},
            "warn",
            "queues",
            "3 messages wait and nobody consumes",
        ),
        (
            {"queues": [WORK, GRAVE, queue("alone")]},
            "warn",
            "queues",
            "alone in /pubsub: is bound to no exchange",
        ),
        ({"queues": [LOST, GRAVE]}, "fail", "queues", "the exchange 'none', which is not there"),
        (
            {"queues": [WORK, queue("grave", effective_policy_definition={"dead-letter-exchange": "gone"})]},
            "fail",
            "queues",
            "the exchange 'gone', which is not there",
        ),
        (
            {"queues": [{**WORK, "arguments": {"x-delivery-limit": 3}}, GRAVE]},
            "warn",
            "queues",
            "a message that comes back 3 times is dropped",
        ),
        (
            {"queues": [{**WORK, "arguments": {}}, GRAVE], "overview": {"rabbitmq_version": "4.0.5"}},
            "warn",
            "queues",
            "a message that comes back 20 times is dropped",
        ),
    ],
)
def test_each_fault_alone(changes: dict[str, Any], status: str, check: str, words: str) -> None:
    found = wrong(facts(**changes))
    same = [finding for finding in found if words in finding.text]
    assert [(finding.status, finding.check) for finding in same] == [(status, check)], found
    assert same[0].advice
    assert [finding for finding in found if finding.status is Status.FAIL and finding not in same] == []


def test_a_queue_of_one_connection_is_its_own_business() -> None:
    assert wrong(facts(queues=[WORK, GRAVE, queue("own", exclusive=True, messages=3, consumers=0)])) == []


def test_no_limit_on_3_10() -> None:
    assert wrong(facts(queues=[{**WORK, "arguments": {}}, GRAVE])) == []


def test_an_exchange_to_which_nothing_is_bound() -> None:
    (found,) = wrong(facts(bindings=BINDINGS[1:], queues=[GRAVE]))
    assert (found.status, found.check) == (Status.WARN, "exchanges")
    assert found.text.startswith("zmq.topic in /pubsub: nothing is bound to it")
    alternate = [{**one, "arguments": {"alternate-exchange": "amq.topic"}} for one in EXCHANGES]
    assert wrong(facts(bindings=BINDINGS[1:], queues=[GRAVE], exchanges=alternate)) == []


def test_mirrored_queues_are_no_warning_any_more_on_4() -> None:
    told = facts(policies=[MIRROR], overview={"rabbitmq_version": "4.0.5"})
    assert [finding.status for finding in wrong(told)] == [Status.FAIL]


def test_what_is_left_alone() -> None:
    leave = {"users": ["adm*"], "queues": ["alone"], "policies": ["ha"]}
    told = facts(
        users=[*USERS, ADMIN],
        permissions=[PERMISSION, {**PERMISSION, "user": "admin", "vhost": "/"}],
        queues=[WORK, GRAVE, queue("alone", state="down", messages=9, consumers=0)],
        policies=[MIRROR],
    )
    assert len(wrong(told)) > 4
    assert wrong(told, bus(leave=leave)) == []


def test_a_queue_that_does_not_last_is_in_the_file() -> None:
    file = check({"vhosts": {V: {"queues": {"brief": {"durable": False, "auto_delete": True}}}}})
    found = [finding for finding in judging.judge(file, facts()) if finding.check == "deprecated"]
    assert "brief in /pubsub" in found[0].text


@pytest.mark.parametrize(("version", "parts"), [("4.0.5-rc.1", (4, 0, 5)), ("3.13", (3, 13)), ("", ())])
def test_versions(version: str, parts: tuple[int, ...]) -> None:
    assert judging.number(version) == parts


def test_a_line() -> None:
    assert (
        str(fail("users", "evil\x1b[2Jname\nx", "do this"))
        == "fail  users        evil\\x1b[2Jname\\nx: do this"
    )
    assert len(str(warn("users", "x" * 9000))) == 500
