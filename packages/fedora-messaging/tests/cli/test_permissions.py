# SPDX-License-Identifier: MIT
"""What ``doctor`` finds out of permissions, on a real broker, against what the broker then really allows."""

import asyncio
import re
from typing import Any

import pika
import pytest

from fedora_messaging.cli import permissions
from fedora_messaging.cli.findings import Finding
from fedora_messaging.cli.prober import Prober
from fedora_messaging.config import DEFAULTS, conf
from fedora_messaging.transports.base import Address

KEPT = {"durable": True, "auto_delete": False, "exclusive": False, "arguments": {}}
TOPIC = {"type": "topic", "durable": True, "auto_delete": False, "arguments": {}}
QUEUE: dict[str, Any] = {
    "queues": {"work": KEPT},
    "bindings": [{"queue": "work", "exchange": "amq.topic", "routing_keys": ["a.#"]}],
}


def examine(url: str, topic: str | None = None, **settings: Any) -> list[Finding]:
    conf = {**DEFAULTS, **settings}

    async def collect() -> list[Finding]:
        prober = Prober(Address(url))
        try:
            return [finding async for finding in permissions.examine(conf, prober, topic)]
        finally:
            await prober.close()

    return asyncio.run(collect())


def said(findings: list[Finding]) -> dict[str, str]:
    """How each check went; for a check that occurs twice, the worse."""
    order = ["ok", "note", "FAIL"]
    result: dict[str, str] = {}
    for finding in findings:
        result[finding.check] = max(result.get(finding.check, "ok"), finding.status.value, key=order.index)
    return result


ALL_WELL = dict.fromkeys(("exchange", "queue", "consume", "bind", "publish"), "ok")


@pytest.mark.parametrize("settings", [{}, QUEUE], ids=["server-named", "named"])
@pytest.mark.parametrize("there", [False, True])
def test_all_is_well_and_nothing_is_left_behind(bus: Any, settings: dict[str, Any], there: bool) -> None:
    bus.queue("listening")
    if there:
        bus.channel.queue_declare("work", durable=True)
        bus.send("waiting")
        bus.channel.queue_bind("work", "amq.topic", "waiting")
        bus.send("waiting")
    before = bus.definitions()
    findings = examine(bus.url, **settings)
    assert said(findings) == ALL_WELL, findings
    assert bus.definitions() == before
    assert bus.waiting("listening") == (2 if there else 0)
    if there:
        assert bus.waiting("work") == 1
        assert bus.consumers("work") == 0
        got, *_ = bus.channel.basic_get("work")
        assert got.redelivered is False


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize(
    ("rights", "failed"),
    [
        (("^work$", "", ""), {"consume", "bind", "publish", "exchange"}),
        (("", "^work$", ""), {"exchange", "queue", "consume", "bind", "publish"}),
        (("", "", "^work$"), {"exchange", "queue", "bind", "publish"}),
        (("", "^amq.topic$", ""), {"exchange", "queue", "consume", "bind"}),
        (("^work|amq.topic", "^work", "^work|amq.topic"), {"publish"}),
        (("^work|amq.topic", "^work|amq.topic", "^amq.topic"), {"consume"}),
        (("^work|amq.topic", "^amq.topic", "^work|amq.topic"), {"bind"}),
        (("^work|amq.topic", "^work|amq.topic", "^work"), {"bind"}),
    ],
)
def test_each_permission_is_seen_alone(
    bus: Any, rights: tuple[str, str, str], failed: set[str], there: bool
) -> None:
    if there:
        bus.channel.queue_declare("work", durable=True)
    before = bus.definitions()
    findings = examine(bus.user("limited", *rights), **QUEUE)
    assert {check for check, status in said(findings).items() if status == "FAIL"} == failed, findings
    assert all(finding.advice for finding in findings if finding.status == "FAIL")
    assert bus.definitions() == before


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize(
    ("keys", "status"), [(["a.b", "a.*"], "ok"), (["a.b", "#"], "FAIL"), (["b"], "FAIL")]
)
def test_topics_that_may_be_bound(bus: Any, keys: list[str], status: str, there: bool) -> None:
    if there:
        bus.channel.queue_declare("work", durable=True)
    url = bus.user("limited", ".*", ".*", ".*", {"amq.topic": (".*", "^a\\.")})
    bindings = [{"queue": "work", "exchange": "amq.topic", "routing_keys": keys}]
    findings = examine(url, queues=QUEUE["queues"], bindings=bindings)
    assert said(findings) == {**ALL_WELL, "bind": status}
    if status == "FAIL":
        assert f"for {keys[-1]!r}" in next(finding.text for finding in findings if finding.check == "bind")


@pytest.mark.parametrize(
    ("topic", "prefix", "status"),
    [
        ("org.app.event", "", "ok"),
        ("org.other.event", "", "FAIL"),
        ("app.event", "org", "ok"),
        ("event", "org.app", "ok"),
        (None, "", "note"),
        (None, "org.app", "ok"),
    ],
)
def test_topics_that_may_be_published(
    bus: Any, monkeypatch: pytest.MonkeyPatch, topic: str | None, prefix: str, status: str
) -> None:
    conf.load_config()
    monkeypatch.setitem(conf, "topic_prefix", prefix)
    url = bus.user("limited", ".*", ".*", ".*", {"amq.topic": ("^org\\.app\\.", ".*")})
    bus.queue("listening")
    findings = examine(url, topic)
    assert said(findings) == {**ALL_WELL, "publish": status}
    assert bus.waiting("listening") == 0


def test_an_administrator_who_may_impersonate_publishes_nothing_either(bus: Any) -> None:
    url = bus.user("impersonator", ".*", ".*", ".*")
    bus.node.management("PUT", "/api/users/impersonator", {"password": "secret", "tags": "impersonator"})
    bus.queue("listening")
    assert said(examine(url)) == ALL_WELL
    assert bus.waiting("listening") == 0


@pytest.mark.parametrize(
    ("settings", "check", "words"),
    [
        ({"queues": {"work": {**KEPT, "durable": False}}}, "queue", "work exists with other settings: "),
        ({"exchanges": {"own": {**TOPIC, "type": "fanout"}}}, "exchange", "own exists with other settings: "),
        ({"publish_exchange": "none"}, "publish", "there is no exchange none"),
        (
            {"bindings": [{"queue": "work", "exchange": "none", "routing_keys": ["#"]}]},
            "bind",
            "work to none: there is no such exchange",
        ),
        (
            {"queues": {"new": {**KEPT, "arguments": {"x-queue-type": "nonsense"}}}},
            "queue",
            "the broker will not declare new, which does not exist yet: ",
        ),
        # 3.10 ends the connection over such a type, 4.0 the channel.
        (
            {"exchanges": {"new": {**TOPIC, "type": "nonsense"}}},
            "exchange",
            "new: |the broker will not declare new, .*'nonsense'",
        ),
        (
            {"passive_declares": True, "queues": {"new": KEPT}},
            "queue",
            "new does not exist, and passive_declares is set",
        ),
    ],
)
def test_what_cannot_be_declared(bus: Any, settings: dict[str, Any], check: str, words: str) -> None:
    bus.queue("work")
    bus.channel.exchange_declare("own", "topic", durable=True)
    findings = examine(bus.url, **{**QUEUE, **settings})
    (failed,) = (finding for finding in findings if finding.status == "FAIL")
    assert failed.check == check
    assert re.match(words, failed.text)


def test_passive_declares_need_no_permission(bus: Any) -> None:
    bus.queue("work")
    url = bus.user("limited", "^$", ".*", ".*")
    assert said(examine(url, passive_declares=True, **QUEUE)) == ALL_WELL


def test_exchanges_that_the_configuration_would_declare(bus: Any) -> None:
    bindings = [{"queue": "work", "exchange": "own", "routing_keys": ["#"]}]
    settings: dict[str, Any] = {"exchanges": {"own": TOPIC}, "queues": {"work": KEPT}, "bindings": bindings}
    findings = examine(bus.url, publish_exchange="own", **settings)
    assert said(findings) == {**ALL_WELL, "publish": "note"}


def test_a_queue_in_exclusive_use_is_worth_a_note(bus: Any) -> None:
    bus.channel.queue_declare("work", exclusive=True)
    findings = examine(bus.url, **QUEUE)
    assert said(findings) == {**ALL_WELL, "queue": "note", "consume": "note"}


def test_a_binding_of_no_queue_is_worth_a_note(bus: Any) -> None:
    findings = examine(bus.url, queues={"work": KEPT})
    assert said(findings) == {**ALL_WELL, "bind": "note"}


def test_a_broker_that_holds_publishers_back(bus: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fedora_messaging.cli.prober.SECONDS", 1.0)
    usual = bus.node.evaluate("vm_memory_monitor:get_vm_memory_high_watermark()")
    bus.node.evaluate("vm_memory_monitor:set_vm_memory_high_watermark(0.00001)")
    try:
        findings = examine(bus.url)
    finally:
        bus.node.evaluate(f"vm_memory_monitor:set_vm_memory_high_watermark({usual})")
    assert said(findings) == {**ALL_WELL, "publish": "FAIL"}
    assert "low on memory" in findings[-1].text


def test_pika_agrees_that_a_message_taken_back_is_judged_and_not_routed(bus: Any) -> None:
    """What all this rests on, seen from outside."""
    url = bus.user("limited", "^$", "^$", "^$")
    bus.queue("listening")
    answers = {}
    for who, address in (("all", bus.url), ("none", url)):
        connection = pika.BlockingConnection(pika.URLParameters(address))
        channel = connection.channel()
        channel.tx_select()
        channel.basic_publish("amq.topic", "t", b"{}")
        try:
            channel.tx_rollback()
            answers[who] = 0
        except pika.exceptions.ChannelClosedByBroker as closed:
            answers[who] = closed.reply_code
        connection.close()
    assert answers == {"all": 0, "none": 403}
    assert bus.waiting("listening") == 0
