# SPDX-License-Identifier: MIT
"""The page in a browser: it lives, shows what happened, runs nothing foreign, and can be used by everybody."""

from __future__ import annotations

import re
import time
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from fedmsg_migration_tools.web import page as web_page
from fedmsg_migration_tools.web import server

from .bus import lively
from .serving import Serving

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser, Locator, Page

    from .bus import Bus

HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(2)</script>",
    "<svg/onload=alert(3)>",
    "javascript:alert(4)",
    "\"'><b>bold</b>{{7*7}}${7*7}",
    "x" * 10_000,
    "safe\u202eexe.txt\u2066\u200b\u0000\ud800",
]


@pytest.fixture
def bus() -> Bus:
    return lively()


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five snapshots a second: tests wait for the next one all the time."""
    monkeypatch.setattr(server, "PERIOD", 0.2)
    monkeypatch.setattr(web_page, "PERIOD", 0.2)


def verdicts(page: Page) -> Locator:
    return page.locator("#list > li")


def test_the_figures_move_without_a_reload(bus: Bus, look: Callable[..., Page]) -> None:
    page = look()
    book = page.locator("#books article").first
    rate = page.locator("svg.wide text.rate").first
    expect(page.locator("#connection")).to_have_text("Live")
    expect(rate).to_have_text("42.7/s")
    before = bus.books["zmq_to_amqp"]["in"]
    expect(book.locator("tr.in td")).to_have_text(f"{before:,}")
    bus.pass_on("zmq_to_amqp", 1000, rate=123.4)
    expect(book.locator("tr.in td")).to_have_text(f"{before + 1000:,}")
    expect(book.locator("tfoot td")).to_have_text(f"{before + 1000:,}")
    expect(book.locator("tfoot")).to_contain_text("✓ balances")
    expect(rate).to_have_text("123/s")


def test_books_that_do_not_balance_are_called_an_error(bus: Bus, look: Callable[..., Page]) -> None:
    bus.books["amqp_to_zmq"]["in"] += 3
    expect(look().locator("#books")).to_contain_text("off by 3: an error of this program")


def test_a_lost_message_appears_with_its_evidence(bus: Bus, look: Callable[..., Page]) -> None:
    page = look()
    expect(verdicts(page)).to_have_count(5)
    expect(page.locator("#tally")).to_contain_text("1 lost")
    lost = bus.judge(
        "lost",
        "amqp_to_zmq",
        topic="org.fedoraproject.prod.copr.lost.one",
        evidence={"reason": "seen all the time"},
    )
    bus.known[lost["id"]] = {
        "path": [{"at": lost["seen_at"], "where": "amq_topic", "what": "seen", "carrier": "queue 7"}],
        "message": {"body": {"answer": 42}},
    }
    expect(verdicts(page)).to_have_count(6)
    expect(page.locator("#tally")).to_contain_text("2 lost")
    expect(page).to_have_title("(2 lost) Verification of the bridges")
    first = verdicts(page).first
    expect(first).to_contain_text("lost")
    expect(first).to_contain_text("org.fedoraproject.prod.copr.lost.one")
    first.locator("summary").first.click()
    expect(first.locator(".path")).to_contain_text("seen at amq.topic carrier queue 7")
    expect(first.locator(".facts")).to_contain_text(["Application", "seen all the time"])
    first.get_by_text("The whole message").click()
    expect(first.locator("pre")).to_contain_text('"answer": 42')


def test_a_changed_message_shows_what_changed_as_it_was(bus: Bus, look: Callable[..., Page]) -> None:
    page = look()
    verdict = bus.judge(
        "changed",
        evidence={
            "difference": [
                {"path": "body.n", "from": "1.0", "to": "9223372036854775809"},
                {"path": "body.text", "from": '"a"', "to": '"a "'},
                {"path": "body.gone", "from": '[1, {"b": null}]', "to": None},
            ]
        },
    )
    bus.known[verdict["id"]] = {"seen": {"zmq_topic": {"body": {"n": 2**63 + 1, "x": 1.0}}}}
    expect(verdicts(page)).to_have_count(6)
    verdicts(page).first.locator("summary").first.click()
    rows = verdicts(page).first.locator(".diff tbody tr")
    expect(rows).to_have_count(3)
    expect(rows.nth(0).locator("del")).to_have_text("1.0")
    expect(rows.nth(0).locator("ins")).to_have_text("9223372036854775809")
    assert rows.nth(1).locator("ins").text_content() == '"a "'
    expect(rows.nth(2).locator("ins")).to_have_text("(not there)")
    verdicts(page).first.get_by_text("As seen at zmq.topic").click()
    whole = verdicts(page).first.locator("pre").text_content() or ""
    assert '"n": 9223372036854775809,' in whole, "more digits than a number in JavaScript has"
    assert '"x": 1.0' in whole


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("changed", ["seen at the fedmsg publishers", "called changed"]),
        (
            "lost",
            [
                "seen at the fedmsg publishers from tcp://app03.example.org:3003, number 4711",
                "+4 s expected at zmq.topic by now, and not seen there",
                "called lost",
            ],
        ),
        (
            "late",
            [
                "seen at the fedmsg publishers",
                "+5.31 s seen at zmq.topic brought by zmq_to_amqp@bridge01",
                "called late it had been called lost, which is taken back",
            ],
        ),
        (
            "unverifiable",
            [
                "the verifier does not see the bridge's socket not connected, tcp://127.0.0.1:9940",
                "seen at amq.topic",
                "it sees the bridge's socket again",
                "expected at the bridge's socket by now, and not seen there",
                "called unverifiable",
            ],
        ),
        (
            "duplicated",
            [
                "seen at the fedmsg publishers",
                "seen at zmq.topic once more brought by zmq_to_amqp@bridge01",
            ],
        ),
    ],
)
def test_each_verdict_tells_the_path(kind: str, path: list[str], bus: Bus, look: Callable[..., Page]) -> None:
    page = look()
    row = verdicts(page).nth([one["kind"] for one in bus.judged].index(kind))
    row.locator("summary").first.click()
    expect(row.get_by_text("Looking for more")).to_have_count(0)
    shown = [re.sub(r"\s+", " ", text) for text in row.locator(".path li").all_text_contents()]
    rest = iter(shown)
    assert all(any(step in line for line in rest) for step in path), shown


def test_what_is_open_and_focused_stays_so_while_figures_move(bus: Bus, look: Callable[..., Page]) -> None:
    page = look()
    summary = verdicts(page).nth(1).locator("summary").first
    summary.focus()
    summary.press("Enter")
    page.locator("#seeing summary").first.click()
    page.locator("#seeing summary").first.focus()
    opened = verdicts(page).nth(1).get_by_text("Path")
    expect(opened).to_be_visible()
    bus.judge("late")
    bus.blind.add("bridge_socket")
    expect(verdicts(page)).to_have_count(6)
    expect(page.locator("#seeing")).to_contain_text("1 min 23 s")
    expect(verdicts(page).nth(2).get_by_text("Path")).to_be_visible()
    assert page.evaluate("document.activeElement.textContent") == "1 of 12 connections away"
    expect(page.locator("#seeing details").first).to_have_attribute("open", "")


def test_verdicts_are_filtered_and_found_by_id(bus: Bus, look: Callable[..., Page]) -> None:
    page = look()
    expect(verdicts(page)).to_have_count(5)
    page.get_by_role("combobox", name="Kind").select_option("lost")
    expect(verdicts(page)).to_have_count(1)
    bus.judge("lost")
    bus.judge("late")
    expect(verdicts(page)).to_have_count(2)
    page.get_by_role("combobox", name="Leg").select_option("amqp_to_zmq")
    expect(verdicts(page)).to_have_count(0)
    expect(page.get_by_text("None of this kind.")).to_be_visible()
    known = next(iter(bus.known))
    page.get_by_label("Find a message by its id").fill(f" {known} ")
    page.get_by_label("Find a message by its id").press("Enter")
    expect(page.locator("#found")).to_contain_text("tcp://app03.example.org:3003")
    page.get_by_label("Find a message by its id").fill("not/this?one#")
    page.get_by_role("button", name="Find").click()
    expect(page.locator("#found")).to_contain_text("Nothing more is known")


def test_hostile_content_stays_text_and_runs_nothing(bus: Bus, look: Callable[..., Page]) -> None:
    for text in HOSTILE:
        verdict = bus.judge(
            "changed",
            id=text,
            topic=text,
            application=text,
            evidence={
                text: text,
                "difference": [{"path": text, "from": {text: text}, "to": text}],
                "blind": [text],
            },
        )
        bus.known[text.replace("\ud800", "\ufffd")] = {
            "path": [{"at": verdict["seen_at"], "where": text, "what": text, text: text}],
            "message": {text: text},
            text: text,
        }
        bus.map.append(
            {
                "application": text,
                "state": text,
                "zmq": {},
                "amqp": {},
                "consumers": [text],
                "warnings": [text],
            }
        )
    bus.health["zmq_to_amqp"] = ("bad", HOSTILE[0])
    bus.judged.insert(0, {**bus.judged[0], "kind": "<b>", "topic": HOSTILE[1]})
    page = look(width=360)
    expect(verdicts(page)).to_have_count(5 + len(HOSTILE) + 1)
    for i in range(len(HOSTILE) + 1):
        verdicts(page).nth(i).locator("summary").first.click()
    for text in HOSTILE[:5]:
        page.get_by_label("Find a message by its id").fill(text)
        page.get_by_role("button", name="Find").click()
        expect(page.locator("#found h3").first).to_contain_text(text)
    expect(page.locator("#list pre")).to_have_count(len(HOSTILE) + 1)
    made = page.evaluate(
        "[...document.querySelectorAll('main img, main script, main b, main svg[onload], [onerror]')].length"
    )
    assert made == 0
    shown = page.locator("body").text_content() or ""
    assert "safe⟨U+202E⟩exe.txt⟨U+2066⟩⟨U+200B⟩⟨U+0000⟩" in shown
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b\x00]", shown)
    assert "<img src=x onerror=alert(1)>" in shown
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_it_says_that_the_service_is_away_and_comes_back(
    bus: Bus, serving: Serving, look: Callable[..., Page]
) -> None:
    page = look()
    connection = page.locator("#connection")
    expect(connection).to_have_text("Live")
    serving.stop()
    expect(connection).to_have_text(re.compile(r"No connection since \d\d:\d\d:\d\d\. Trying again"))
    bus.judge("lost", topic="while.nobody.looked")
    serving.start()
    expect(connection).to_have_text("Live")
    expect(verdicts(page).first).to_contain_text("while.nobody.looked")


def test_a_connection_over_which_nothing_comes_is_none(
    look: Callable[..., Page], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = look()
    page.clock.install()
    monkeypatch.setattr(server, "PERIOD", 60.0)
    page.reload()
    connection = page.locator("#connection")
    expect(connection).to_have_text("Live")
    page.clock.fast_forward(7000)
    expect(connection).to_have_text("Live")
    page.clock.fast_forward(2000)
    expect(connection).to_contain_text("No connection since")
    page.clock.fast_forward(2000)
    expect(connection).to_have_text("Live")


def test_who_opens_the_page_with_its_token_stays_in(browser: Browser, bus: Bus) -> None:
    token = "correct-horse-battery"
    serving = Serving(bus, token).start()
    page = browser.new_page()
    try:
        page.goto(serving.url)
        expect(page.locator("body")).to_contain_text("needs its token")
        page.goto(f"{serving.url}?token={token}")
        expect(page.locator("#connection")).to_have_text("Live")
        assert page.url == serving.url
        assert page.evaluate("document.cookie") == ""
        serving.stop()
        expect(page.locator("#connection")).to_contain_text("No connection since")
        serving.start()
        expect(page.locator("#connection")).to_have_text("Live")
    finally:
        page.context.close()
        serving.close()


def test_trouble_of_the_service_is_shown(bus: Bus, look: Callable[..., Page]) -> None:
    page = look()
    expect(page.locator("#headline")).to_have_text("1 message lost, 1 message changed.")
    bus.failing = RuntimeError("the disk is gone")
    expect(page.get_by_role("alert")).to_contain_text("the disk is gone")
    bus.failing = None
    expect(page.locator("#trouble")).to_be_hidden()


def test_what_is_not_known_is_said(bus: Bus, look: Callable[..., Page]) -> None:
    page = look()
    expect(page.locator("#notes")).to_be_empty()
    bus.findings = [{"kind": "unread", "text": "Queue old has no consumer."}]
    bus.unknown = {"broker": "The management API does not listen."}
    expect(page.locator("#notes li")).to_have_text(
        ["Queue old has no consumer.", "broker: The management API does not listen."]
    )


def test_before_anything_was_measured_the_page_says_so(bus: Bus, look: Callable[..., Page]) -> None:
    nothing = {"in": 5, "lost": 0, "p50": None, "p99": None}
    bus.history = [{"at": time.time() // 60 * 60, "zmq_to_amqp": nothing, "amqp_to_zmq": nothing}]
    page = look()
    expect(page.get_by_text("Nothing measured yet.").locator("visible=true")).to_have_count(2)
    bus.minutes(3)
    expect(page.get_by_text("Nothing measured yet.").locator("visible=true")).to_have_count(0)


def test_health_is_a_word_and_a_sign_not_only_a_colour(bus: Bus, look: Callable[..., Page]) -> None:
    bus.health["amqp_to_zmq"] = ("blind", "The bridge's socket is not seen.")
    bus.blind.add("bridge_socket")
    page = look()
    expect(page.locator("svg.wide .health")).to_have_text(["✗ bad", "? blind"])
    expect(page.locator("svg.wide .eye[data-seeing=false]")).to_have_text("○ not seen")
    expect(page.locator("figcaption")).to_contain_text("AMQP to ZeroMQ: blind, 11.3/s in, 11.3/s out.")


def test_delays_are_drawn_and_are_a_table_too(bus: Bus, look: Callable[..., Page]) -> None:
    page = look()
    expect(page.locator("#charts canvas")).to_have_count(2)
    ink = """() => [...document.querySelectorAll("#charts canvas")].map((canvas) => {
      const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      return data.filter((value, i) => i % 4 === 3 && value > 0).length / canvas.width / canvas.height;
    })"""
    page.wait_for_function(f"() => ({ink})().every((share) => share > 0.01)")
    expect(page.get_by_text("minutes in which messages were lost")).to_have_count(2)
    expect(page.locator(".legend:visible")).to_have_count(1)
    page.get_by_text("The last hour as a table").click()
    expect(page.locator("#minutes tbody tr")).to_have_count(60)
    assert len(bus.history) == 360


@pytest.mark.parametrize("width", [320, 360, 700, 1000, 1280])
def test_nothing_has_to_be_scrolled_sideways(width: int, look: Callable[..., Page]) -> None:
    page = look(width=width)
    expect(verdicts(page)).to_have_count(5)
    for summary in page.locator("summary:visible").all():
        summary.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator(".picture svg:visible").count() == 1


def test_the_keyboard_reaches_everything(look: Callable[..., Page]) -> None:
    page = look(reduced_motion="reduce")  # else it is still on its way when we look where it is
    expect(verdicts(page)).to_have_count(5)
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    page.wait_for_timeout(300)
    wanted = page.evaluate(
        "[...document.querySelectorAll('a[href], button, input, select, summary, [tabindex=\"0\"]')]"
        ".filter((one) => one.checkVisibility()).length"
    )
    reached: list[Any] = []
    for _ in range(wanted):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                """() => {
                  const one = document.activeElement, style = getComputedStyle(one), box = one.getBoundingClientRect();
                  window.seen ??= new Set(); window.seen.add(one);
                  return [style.outlineStyle, parseFloat(style.outlineWidth), box.top < innerHeight && box.bottom > 0];
                }"""
            )
        )
    assert page.evaluate("window.seen.size") == wanted
    assert [one for one in reached if one[0] == "none" or one[1] < 2 or not one[2]] == []


@pytest.mark.parametrize(("scheme", "width"), [("dark", 360), ("light", 1280)])
def test_axe_finds_nothing_serious(scheme: str, width: int, bus: Bus, look: Callable[..., Page]) -> None:
    bus.blind.add("publishers")
    bus.health["amqp_to_zmq"] = ("warn", "Slower than an hour ago.")
    bus.minutes(5, lost_at=(2,))  # cells enough: axe looks at each
    page = look(width=width, scheme=scheme, reduced_motion="reduce")
    expect(verdicts(page)).to_have_count(5)
    for summary in page.locator("summary:visible").all():
        summary.click()
    expect(page.locator("#list pre")).to_have_count(1)
    page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text())
    found = page.evaluate("axe.run()")
    serious = [
        (one["id"], one["help"], [node["html"][:200] for node in one["nodes"]][:3])
        for one in found["violations"]
        if one["impact"] in ("moderate", "serious", "critical")
    ]
    assert serious == []
    assert len(found["passes"]) > 20


def test_who_wants_no_motion_gets_none(look: Callable[..., Page]) -> None:
    moving = "document.getAnimations().filter((one) => one.playState === 'running').length"
    still = look(reduced_motion="reduce")
    expect(verdicts(still)).to_have_count(5)
    assert still.evaluate(moving) == 0
    lively = look()
    expect(verdicts(lively)).to_have_count(5)
    assert lively.evaluate(moving) > 0


def test_nothing_is_loaded_from_elsewhere(browser: Browser, serving: Serving) -> None:
    asked: list[str] = []
    context = browser.new_context()
    page = context.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.goto(serving.url)
    expect(page.locator("#connection")).to_have_text("Live")
    context.close()
    assert asked
    assert [url for url in asked if not url.startswith(serving.url)] == []


def test_a_day_left_open_does_not_grow(bus: Bus, look: Callable[..., Page]) -> None:
    page = look()
    expect(verdicts(page)).to_have_count(5)
    for _ in range(60):
        bus.judge("late")
    expect(verdicts(page)).to_have_count(50)
    nodes = "document.querySelectorAll('*').length"
    before = page.evaluate(nodes)
    for _ in range(3):
        bus.judge("late")
        bus.minutes(360)
        time.sleep(0.4)
    assert abs(page.evaluate(nodes) - before) < 20
