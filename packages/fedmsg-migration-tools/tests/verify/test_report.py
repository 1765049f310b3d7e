# SPDX-License-Identifier: MIT
"""The report: what it says, that it needs nothing else, and that what came over the wire stays text."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmsg_migration_tools.exceptions import ToolsError
from fedmsg_migration_tools.verify.markup import tag
from fedmsg_migration_tools.verify.report import render, write

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_564_513_942.0
HOSTILE = "</td></pre><script>alert(1)</script><img src=x onerror=alert(1)>\"'\u202e\x00\ud800&amp;"
ALLOWED = {
    *("html", "head", "meta", "title", "style", "body", "header", "main", "footer", "section"),
    *("h1", "h2", "p", "strong", "em", "bdi", "span", "br", "ul", "li", "div", "table", "caption", "thead"),
    *(
        "tbody",
        "tr",
        "th",
        "td",
        "details",
        "summary",
        "pre",
        "figure",
        "figcaption",
        "svg",
        "rect",
        "del",
        "ins",
    ),
}
ATTRIBUTES = {
    *("lang", "charset", "http-equiv", "content", "name", "class", "scope", "viewbox", "role", "aria-label"),
    *("preserveaspectratio", "x", "y", "width", "height"),
}


class Seen(HTMLParser):
    """The elements, attributes and text of a page, and whether its elements are closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in {"meta", "br"}:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag != "br":
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] != ["style"]:
            self.text += data + " "


def leg(**more: Any) -> dict[str, Any]:
    books = {
        "in": 10_000, "matched": 9_990, "lost": 0, "unverifiable": 0, "quarantined": 4, "loops": 1, "in_flight": 5,
    }  # fmt: skip
    books |= {name: more.pop(name) for name in list(more) if name in books}
    return {
        "books": books, "late": 0, "duplicated": 2, "changed": 0, "looped": 0, "unwitnessed": 0,
        "delay": {"p50": 0.0042, "p99": 0.25}, "health": "good", "why": "All that was seen has arrived.", **more,
    }  # fmt: skip


def snapshot(**more: Any) -> dict[str, Any]:
    witness = {"seeing": True, "since": NOW - 600, "blind_seconds": 0.0, "detail": {}}
    names = ("publishers", "zmq_topic", "amq_topic", "bridge_socket")
    return {
        "version": 1,
        "now": NOW,
        "since": NOW - 600,
        "window": 2.5,
        "legs": {"zmq_to_amqp": leg(), "amqp_to_zmq": leg(**{"in": 6, "matched": 0, "quarantined": 0})},
        "witnesses": dict.fromkeys(names, witness),
        "history": [],
        "verdicts": [],
        **more,
    }


def verdict(**more: Any) -> dict[str, Any]:
    return {
        "kind": "lost", "leg": "zmq_to_amqp", "id": "2018-1", "topic": "org.example.prod.bodhi.update",
        "application": "bodhi", "seen_at": NOW, "judged_at": NOW + 2, "evidence": {"window": 2.5},
        "taken_back": False, **more,
    }  # fmt: skip


def text(**more: Any) -> str:
    return " ".join(Seen(render(snapshot(**more))).text.split())


def test_it_shows_books_delays_and_the_time_it_holds_for() -> None:
    said = text()
    assert "Nothing was lost of 10,006 messages." in said
    assert "From 2019-07-30 19:02:22 UTC to 2019-07-30 19:12:22 UTC, 10 min." in said
    assert (
        "in 10,000 6 matched 9,990 0 lost 0 0 unverifiable 0 0 quarantined 4 0 dropped as loops 1 1" in said
    )
    assert "in = the sum of the others balances balances" in said
    assert "ZeroMQ to AMQP 0.0042 s 0.25 s" in said
    assert "called missing after 2.5 s" in said
    assert "There is none: all messages matched" in said


@pytest.mark.parametrize(
    ("more", "headline"),
    [
        ({"lost": 3, "matched": 9_987}, "3 lost of 10,000 messages."),
        ({"changed": 2, "looped": 1}, "2 changed, 1 looped of 10,000 messages."),
        (
            {"unverifiable": 7, "matched": 9_983},
            "Nothing was seen to be lost of 10,000 messages; 7 unverifiable.",
        ),
        ({"matched": 1}, "The books do not balance: this is an error of the program."),
        ({"in": 0, "matched": -10}, "No message was seen."),
    ],
)
def test_the_headline_says_what_matters_most(more: dict[str, Any], headline: str) -> None:
    said = text(legs={"zmq_to_amqp": leg(**more)})
    assert said.startswith(f"Verification report Verification report {headline}")


def test_blind_time_is_part_of_it() -> None:
    blind = {"seeing": False, "blind_seconds": 150, "detail": {"tcp://one": True, "tcp://two": False}}
    said = text(witnesses={"publishers": blind})
    assert "the publishers' sockets 2 min 25.00 % is blind now not connected: tcp://two" in said


def test_verdicts_come_with_their_evidence_and_what_was_changed() -> None:
    difference = [{"path": "msg.text", "from": "a", "to": ["b"]}]
    said = text(
        verdicts=[
            verdict(),
            verdict(taken_back=True),
            verdict(kind="changed", evidence={"difference": difference, "big": "x" * 50_000}),
        ]
    )
    assert (
        'lost ZeroMQ to AMQP 2019-07-30 19:12:22 UTC org.example.prod.bodhi.update 2018-1 evidence { "window"'
        in said
    )
    assert "lost taken back" in said
    assert 'msg.text : "a" ["b"]' in said
    assert "characters in all" in said
    assert len(said) < 10_000


def test_minutes_are_drawn_and_told_in_words() -> None:
    history = [
        {
            "at": NOW + 60 * number,
            "zmq_to_amqp": {"in": number * 100, "lost": int(number == 3)},
            "amqp_to_zmq": {},
        }
        for number in range(2000)
    ]
    page = render(snapshot(history=history[:5]))
    assert page.count('class="in"') == 4
    assert page.count('class="lost"') == 1
    assert "ZeroMQ to AMQP: up to 400 messages a minute, 1 called lost, from 2019-07-30 19:12:22 UTC" in page
    assert render(snapshot(history=history)).count("<rect") == 720


def test_map_and_gate_are_there_if_there_is_one() -> None:
    assert "Who has moved" not in text()
    said = text(
        map=[
            {
                "application": "bodhi",
                "zmq": {"day": 5, "last_seen": NOW},
                "amqp": {"day": 7},
                "warnings": ["one only"],
            }
        ],
        gate={
            "zmq_to_amqp": {"open": False, "because": ["bodhi is on ZeroMQ"]},
            "amqp_to_zmq": {"open": True},
        },
    )
    assert "bodhi 5 7 2019-07-30 19:12:22 UTC one only" in said
    assert "The bridge ZeroMQ to AMQP cannot be turned off yet. bodhi is on ZeroMQ" in said
    assert "The bridge AMQP to ZeroMQ may be turned off." in said


def test_it_needs_no_script_and_nothing_from_elsewhere() -> None:
    page = render(snapshot(verdicts=[verdict()], history=[{"at": NOW, "zmq_to_amqp": {"in": 1, "lost": 1}}]))
    seen = Seen(page)
    assert seen.tags <= ALLOWED
    assert seen.attributes <= ATTRIBUTES
    assert "default-src 'none'; style-src 'unsafe-inline'" in page
    assert "url(" not in page
    assert "@import" not in page
    assert "://" not in page


def everywhere(value: Any, text: str) -> Any:
    """The same with every string, also the names of endpoints, replaced."""
    if isinstance(value, dict):
        return {text if "://" in str(key) else key: everywhere(one, text) for key, one in value.items()}
    if isinstance(value, list):
        return [everywhere(one, text) for one in value]
    return text if isinstance(value, str) else value


FULL = snapshot(
    verdicts=[
        verdict(evidence={"difference": [{"path": "p", "from": "a", "to": "b"}], "x": ["y"]}),
        verdict(),
    ],
    witnesses={"publishers": {"seeing": False, "blind_seconds": 1, "detail": {"tcp://one": False}}},
    map=[{"application": "a", "zmq": {"last_seen": "t"}, "amqp": {"first_seen": "t"}, "warnings": ["w"]}],
    gate={"zmq_to_amqp": {"open": False, "because": ["b"]}},
    history=[{"at": NOW, "zmq_to_amqp": {"in": 1}}],
)


@given(st.one_of(st.just(HOSTILE), st.text(st.characters(), max_size=60)))
def test_whatever_came_over_the_wire_stays_text(hostile: str) -> None:
    page = render(everywhere(FULL, hostile))
    page.encode()
    seen = Seen(page)
    assert seen.tags <= ALLOWED
    assert seen.attributes <= ATTRIBUTES
    assert "\x00" not in page


def test_hostile_text_can_be_read_as_it_was() -> None:
    said = text(verdicts=[verdict(topic=HOSTILE)])
    assert "</td></pre><script>alert(1)</script><img src=x onerror=alert(1)>\"'" in said
    assert "'\\u202e\N{REPLACEMENT CHARACTER}\\ud800&amp;" in said


def test_attributes_are_escaped_too() -> None:
    assert tag("p", "<", title='"><b>') == '<p title="&quot;&gt;&lt;b&gt;">&lt;</p>'


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {
            "legs": {"zmq_to_amqp": {}},
            "witnesses": {"x": {}},
            "verdicts": [{}],
            "map": [{}],
            "gate": {"x": {}},
        },
        {"history": [{}], "now": float("nan"), "since": 1e300, "window": None, "verdicts": [{"evidence": 3}]},
    ],
)
def test_a_snapshot_that_lacks_things_is_rendered(broken: dict[str, Any]) -> None:
    assert "Verification report" in Seen(render(broken)).text


def test_it_is_written_and_what_is_in_the_way_is_said(tmp_path: Path) -> None:
    write(tmp_path / "report.html", snapshot())
    assert (tmp_path / "report.html").read_text().startswith("<!DOCTYPE html>")
    with pytest.raises(ToolsError, match="the report cannot be written: Is a directory"):
        write(str(tmp_path), snapshot())
