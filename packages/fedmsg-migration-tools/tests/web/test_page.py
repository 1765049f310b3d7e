# SPDX-License-Identifier: MIT
"""What is answered to which request."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import pytest

from fedmsg_migration_tools.web import Filters, Page
from fedmsg_migration_tools.web.wire import Answer, Request, Stream

from .bus import Bus, lively

if TYPE_CHECKING:
    from collections.abc import Mapping


class Clock:
    """Stands until it is moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def made(bus: Bus | None = None, clock: Clock | None = None) -> Page:
    bus = bus or Bus()
    return Page(bus.snapshot, bus.message, bus.verdicts, clock=clock or Clock())


def get(page: Page, target: str, method: str = "GET", **headers: str) -> Answer:
    answer = page.answer(Request(method, target, {"host": "localhost", **headers}))
    assert isinstance(answer, Answer)
    return answer


@pytest.mark.parametrize(
    ("path", "content_type", "within"),
    [
        ("/", "text/html", b"<!DOCTYPE html>"),
        ("/page.js", "text/javascript", b"EventSource"),
        ("/style.css", "text/css", b"prefers-color-scheme"),
        ("/uplot.js", "text/javascript", b"uPlot (v1.6.32)"),
        ("/uplot.css", "text/css", b".uplot"),
        ("/uplot.LICENSE.txt", "text/plain", b"The MIT License"),
        ("/icon.svg", "image/svg+xml", b"<svg"),
    ],
)
def test_the_files_of_the_page(path: str, content_type: str, within: bytes) -> None:
    answer = get(made(), path)
    assert answer.status == 200
    assert answer.content_type.startswith(content_type)
    assert within in answer.body


def test_a_file_that_the_browser_has_is_not_sent_again() -> None:
    page = made()
    first = get(page, "/page.js")
    again = get(page, "/page.js", **{"if-none-match": first.headers["ETag"]})
    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize(
    "path",
    ["/nothing", "/../page.py", "/%2e%2e/page.py", "/static/page.js", "//etc/passwd", "/index.html/", "*"],
)
def test_nothing_else_is_there(path: str) -> None:
    assert get(made(), path).status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get"])
def test_nothing_is_changed_from_outside(method: str) -> None:
    answer = get(made(), "/", method)
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")


def test_the_snapshot_is_taken_once_a_second_however_many_ask() -> None:
    bus, clock = Bus(), Clock()
    page = made(bus, clock)
    bus.pass_on("zmq_to_amqp", 1)
    first = json.loads(get(page, "/api/snapshot").body)
    bus.pass_on("zmq_to_amqp", 1)
    same = json.loads(get(page, "/api/snapshot").body)
    clock.now += 1
    later = json.loads(get(page, "/api/snapshot").body)
    seen = [one["legs"]["zmq_to_amqp"]["books"]["in"] for one in (first, same, later)]
    assert seen == [1, 1, 2]


def test_a_snapshot_that_fails_is_said_and_the_last_one_stays(caplog: pytest.LogCaptureFixture) -> None:
    bus, clock = Bus(), Clock()
    page = made(bus, clock)
    assert page.latest()["trouble"] == b"null"
    clock.now, bus.failing = 1.0, RuntimeError("the disk is gone")
    with caplog.at_level(logging.ERROR):
        said = json.loads(get(page, "/api/snapshot").body)
    assert "the disk is gone" in said["trouble"]
    assert said["version"] == 1
    assert "The snapshot for the page failed" in caplog.text
    clock.now, bus.failing = 2.0, None
    assert page.latest()["trouble"] == b"null"


def test_verdicts_are_asked_for_by_kind_leg_and_number() -> None:
    bus = lively()
    page = made(bus)

    def ids(query: str) -> list[str]:
        return [one["id"] for one in json.loads(get(page, f"/api/verdicts{query}").body)]

    assert ids("") == [one["id"] for one in bus.judged]
    assert ids("?kind=lost") == [one["id"] for one in bus.judged if one["kind"] == "lost"]
    assert ids("?leg=amqp_to_zmq&kind=") == [one["id"] for one in bus.judged if one["leg"] == "amqp_to_zmq"]
    assert ids("?limit=2") == [one["id"] for one in bus.judged[:2]]


@pytest.mark.parametrize(
    "query",
    [
        "leg=sideways",
        "limit=0",
        "limit=501",
        "limit=-1",
        "limit=x",
        "limit=٣",
        f"limit={'9' * 5000}",
        f"kind={'k' * 101}",
    ],
)
def test_what_makes_no_sense_is_refused_and_not_asked_for(query: str) -> None:
    def never(filters: Filters) -> list[Mapping[str, object]]:
        raise AssertionError(filters)

    bus = Bus()
    answer = get(Page(bus.snapshot, bus.message, never), f"/api/verdicts?{query}")
    assert answer.status == 400


def test_a_message_is_found_by_its_id_whatever_that_is() -> None:
    bus = Bus()
    strange = "a/b c?d#e%20\u202e" + "x" * 10_000
    bus.known[strange] = {"message": {"found": True}}
    from urllib.parse import quote  # noqa: PLC0415 - here only

    assert json.loads(get(made(bus), f"/api/message/{quote(strange, safe='')}").body) == {
        "message": {"found": True}
    }
    assert get(made(bus), "/api/message/none").status == 404


def test_an_error_of_the_service_is_an_answer(caplog: pytest.LogCaptureFixture) -> None:
    def broken(name: str) -> None:
        raise OSError(name)

    bus = Bus()
    answer = get(Page(bus.snapshot, broken, bus.verdicts), "/api/message/secret")
    assert answer.status == 500
    assert b"secret" not in answer.body
    assert "could not answer" in caplog.text


def test_figures_are_never_kept_by_browsers() -> None:
    page = made()
    for path in ("/api/snapshot", "/api/verdicts"):
        assert get(page, path).headers["Cache-Control"] == "no-store"


def test_events_are_a_stream() -> None:
    assert isinstance(made().answer(Request("GET", "/events", {"host": "localhost"})), Stream)
    assert isinstance(
        made().answer(Request("GET", "http://localhost:8071/events?x", {"host": "localhost"})), Stream
    )
