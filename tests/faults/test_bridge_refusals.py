# SPDX-License-Identifier: MIT
"""What cannot cross, or not now, harms nothing else: full queues, malformed messages, refused topics, lost queues."""

from __future__ import annotations

import json
import secrets
import time
from collections import Counter
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import pytest

from .bridging import (
    EXCHANGE,
    QUARANTINE,
    TAP,
    TOPIC,
    Publisher,
    bodies,
    collect,
    duplicates,
    envelope,
    in_order,
    inward,
    set_aside,
    tap,
)
from .support import channel, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fedora_messaging.private_node import PrivateNode

FRAME = TOPIC.encode()


def test_a_full_queue_holds_up_only_itself(
    tmp_path: Path, amqp_url: str, note: Callable[[str], None]
) -> None:
    tap(amqp_url)
    tap(amqp_url, "full", arguments={"x-max-length": 200, "x-overflow": "reject-publish"})
    with Publisher() as publisher, inward(tmp_path, amqp_url, publisher.endpoint) as bridge:
        publisher.has_subscribers()
        publisher.flow(300)
        publisher.is_done()
        began = time.monotonic()
        numbers = collect(amqp_url, publisher.sent)
        at_once = time.monotonic() - began
        assert at_once < 5
        assert in_order(numbers)
        bridge.says("Put off")
        later = collect(amqp_url, publisher.sent, "full")
        again = [json.loads(body)["n"] for _, body in bodies(amqp_url, TAP, bool)]
        eventually(lambda: bridge.metric("amqp_waiting") == 0, "nothing waits")
        note(f"all in the one in {at_once:.1f} s; {duplicates(numbers + again)} came again")
        assert duplicates(later) == 0
        assert bridge.stop() == 0


def _malformed() -> Iterator[tuple[bytes, ...]]:
    """Messages that cannot cross, of each kind in turn."""
    topic, body = envelope(0)
    number = 0
    while True:
        mark = b"%d" % number
        yield (body + mark,)
        yield topic, body, mark
        yield topic, b"no JSON " + mark
        yield topic, b"" if number == 0 else body[: -1 - number]
        yield topic, b'{"msg": {"text": "\xff\xfe' + mark + b'"}}'
        yield topic, b"[" + mark + b"]"
        yield topic, b'"text ' + mark + b'"'
        yield topic, b'{"topic": "no msg", "i": ' + mark + b"}"
        yield topic, b'{"msg": ["no object", ' + mark + b"]}"
        yield b"\xff\xfe" + mark, body
        yield b"t" * 300 + mark, body
        yield topic, b'{"msg": ' + b"[" * 50_000 + mark + b"]" * 50_000 + b"}"
        yield topic, b'{"msg": {"deep": ' + b"[" * 50_000 + mark
        number += 1


def test_a_thousand_malformed_messages_harm_none_of_those_between(
    tmp_path: Path, amqp_url: str, note: Callable[[str], None]
) -> None:
    tap(amqp_url)
    source = _malformed()
    bad = [next(source) for _ in range(1000)]
    bad.append((FRAME, b"x" * 10_000_000))
    with Publisher() as publisher, inward(tmp_path, amqp_url, publisher.endpoint) as bridge:
        publisher.has_subscribers()
        publisher.flow(1000)
        for frames in bad:
            publisher.put(*frames)
            time.sleep(0.0005)
        publisher.is_done()
        numbers = collect(amqp_url, publisher.sent)
        letters = set_aside(amqp_url, len(bad))
        assert numbers == list(publisher.sent)
        assert Counter(letter.frames for letter in letters) == Counter(bad)
        assert bridge.metric("amqp_quarantined_total") == len(bad)
        note(f"by reason: {dict(Counter(letter.reason for letter in letters))}")
        assert len(bridge.said("Set aside")) <= len({letter.reason for letter in letters}), (
            "not one line each"
        )
        assert bridge.stop() == 0


@pytest.mark.parametrize(
    "value", ["NaN", "-Infinity", "1e999", "9" * 5000, '"\\ud800"', '"' + "x" * 10**7 + '"']
)
def test_what_python_reads_crosses_as_it_is(tmp_path: Path, amqp_url: str, value: str) -> None:
    tap(amqp_url)
    body = f'{{"n":0,"odd":{value}}}'.encode()
    with Publisher() as publisher, inward(tmp_path, amqp_url, publisher.endpoint) as bridge:
        publisher.has_subscribers()
        publisher.put(FRAME, b'{"topic":"%b","msg":%b}' % (FRAME, body))
        [(_, found)] = bodies(amqp_url, TAP, bool)
        assert found == body
        assert bridge.metric("amqp_quarantined_total") == 0


def test_a_message_that_the_broker_cannot_even_set_aside_waits_and_the_others_go_on(
    tmp_path: Path, victim: PrivateNode, victim_url: str
) -> None:
    """This node takes 100 kB at most: too little for this message, and for its letter to quarantine."""
    assert victim.running
    tap(victim_url)
    with Publisher() as publisher, inward(tmp_path, victim_url, publisher.endpoint) as bridge:
        publisher.has_subscribers()
        publisher.flow(2000)
        publisher.put(*envelope(10**6, size=120_000))
        publisher.put(FRAME, b"no JSON" * 20_000)
        publisher.is_done()
        numbers = collect(victim_url, publisher.sent)
        assert in_order(numbers)
        bridge.says("Put off")
        eventually(lambda: bridge.metric("amqp_waiting") == 2, "two wait")
        assert bridge.stop() == 0
        bridge.start()
        eventually(lambda: bridge.metric("amqp_spool_messages") == 2, "two wait in the spool")
        assert bridge.stop() == 0


# what is there is taken away


def test_bridging_goes_on_when_the_exchange_is_deleted(tmp_path: Path, amqp_url: str) -> None:
    tap(amqp_url)
    with Publisher() as publisher, inward(tmp_path, amqp_url, publisher.endpoint) as bridge:
        publisher.has_subscribers()
        publisher.flow()
        eventually(lambda: bridge.metric("amqp_bridged_total") > 500, "messages bridged")
        with channel(amqp_url) as ch:
            ch.exchange_delete(EXCHANGE)
        bridge.says("Nothing can be published")
        bridge.says("Publishing goes on")
        tap(amqp_url)
        publisher.pause()
        publisher.flow(1000)
        publisher.is_done()
        numbers = collect(amqp_url, range(publisher.next - 1000, publisher.next))
        assert in_order(numbers)
        eventually(lambda: bridge.metric("amqp_waiting") == 0, "nothing waits")
        assert bridge.stop() == 0


def test_the_quarantine_comes_back_when_it_is_deleted(tmp_path: Path, amqp_url: str) -> None:
    tap(amqp_url)
    with Publisher() as publisher, inward(tmp_path, amqp_url, publisher.endpoint) as bridge:
        publisher.has_subscribers()
        publisher.put(FRAME, b"before")
        assert [letter.frames for letter in set_aside(amqp_url, 1)] == [(FRAME, b"before")]
        with channel(amqp_url) as ch:
            ch.queue_delete(QUARANTINE)
        publisher.flow(1000)
        publisher.put(FRAME, b"after")
        publisher.is_done()
        numbers = collect(amqp_url, publisher.sent)
        assert in_order(numbers)
        assert [letter.frames for letter in set_aside(amqp_url, 1)] == [(FRAME, b"after")]
        assert bridge.stop() == 0


# what is not allowed


def _user(node: PrivateNode, url: str, password: str) -> tuple[str, str, str]:
    """A new user, who may do everything in the virtual host: URL, name, the host's name for the management."""
    name, parts = f"user-{secrets.token_hex(4)}", urlsplit(url)
    vhost = quote(parts.path[1:], safe="%")
    node.management("PUT", f"/api/users/{name}", {"password": password, "tags": ""})
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    node.management("PUT", f"/api/permissions/{vhost}/{name}", everything)
    return parts._replace(netloc=f"{name}:secret@{parts.hostname}:{parts.port}").geturl(), name, vhost


def test_topics_that_the_user_may_not_publish_go_to_quarantine(
    tmp_path: Path, rabbitmq: PrivateNode, amqp_url: str, note: Callable[[str], None]
) -> None:
    tap(amqp_url)
    url, name, vhost = _user(rabbitmq, amqp_url, "secret")
    allowed = {"exchange": EXCHANGE, "write": "^(?!org.example.forbidden)", "read": ".*"}
    with Publisher() as publisher, inward(tmp_path, url, publisher.endpoint) as bridge:
        publisher.has_subscribers()
        publisher.flow(500)
        publisher.is_done()
        rabbitmq.management("PUT", f"/api/topic-permissions/{vhost}/{name}", allowed)
        publisher.flow(2000)
        refused = [envelope(n, "org.example.forbidden.test") for n in range(20)]
        for frames in refused:
            publisher.put(*frames)
            time.sleep(0.02)
        publisher.is_done()
        numbers = collect(amqp_url, publisher.sent)
        letters = set_aside(amqp_url, len(refused))
        assert sorted({letter.frames for letter in letters}) == sorted(refused)
        assert {letter.reason for letter in letters} == {"forbidden"}
        note(f"{duplicates(numbers)} allowed ones came twice, {len(letters) - len(refused)} of the others")
        assert bridge.stop() == 0


def test_messages_wait_until_the_password_is_right(
    tmp_path: Path, rabbitmq: PrivateNode, amqp_url: str
) -> None:
    tap(amqp_url)
    url, name, _ = _user(rabbitmq, amqp_url, "another")
    with Publisher() as publisher, inward(tmp_path, url, publisher.endpoint) as bridge:
        publisher.has_subscribers()
        publisher.flow(3000)
        publisher.is_done()
        bridge.says("Nothing can be published")
        time.sleep(3)
        assert len(bridge.said("Nothing can be published")) == 1
        eventually(lambda: bridge.metric("amqp_spool_messages") == 3000, "all in the spool")
        rabbitmq.management("PUT", f"/api/users/{name}", {"password": "secret", "tags": ""})
        numbers = collect(amqp_url, publisher.sent)
        assert numbers == list(publisher.sent)
        assert bridge.stop() == 0
