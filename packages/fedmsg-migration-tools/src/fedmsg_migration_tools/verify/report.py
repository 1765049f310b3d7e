# SPDX-License-Identifier: MIT
"""The report of ``verify_missing --report``: one HTML file, without scripts, that shows what a snapshot says.

What is in a snapshot is :mod:`.snapshot`'s business. All text in it may have come over the wire, and is escaped.
"""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..exceptions import ToolsError
from .markup import Markup, foreign, join, tag
from .report_style import STYLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

__all__ = ["render", "write"]

_LEGS = {"zmq_to_amqp": "ZeroMQ to AMQP", "amqp_to_zmq": "AMQP to ZeroMQ"}
_WITNESSES = {
    "publishers": "the publishers' sockets",
    "zmq_topic": "the exchange zmq.topic",
    "amq_topic": "the exchange amq.topic",
    "bridge_socket": "the bridge's socket",
}
_ENTRIES = {
    "matched": "matched",
    "lost": "lost",
    "unverifiable": "unverifiable",
    "quarantined": "quarantined",
    "loops": "dropped as loops",
    "in_flight": "in flight",
}
_BESIDE = {
    "late": "late: called missing, and came after all",
    "duplicated": "duplicated",
    "changed": "changed",
    "looped": "came round by another way",
    "unwitnessed": "numbered by a publisher, and seen by nobody",
}
_HEALTH = {"good": "good", "warn": "look at it", "bad": "bad", "blind": "blind"}
_EVIDENCE = 4000  # characters of a verdict's evidence
_VALUE = 300  # characters of a value that was changed
_MINUTES = 720  # bars in a chart
_WIDTH, _HEIGHT = 720, 120  # of a chart, in its own units


def write(path: str | Path, snapshot: Mapping[str, Any]) -> None:
    """Write the report.

    Arguments:
        path: the file, which is replaced.
        snapshot: what went on, in the page's terms.

    Raises ``ToolsError`` when it cannot be written.
    """
    try:
        Path(path).write_text(render(snapshot), encoding="utf-8")
    except OSError as error:
        raise ToolsError(f"{path}: the report cannot be written: {error.strerror or error}") from error


def render(snapshot: Mapping[str, Any]) -> str:
    """The report as HTML. What is missing in the snapshot is left out."""
    legs: Mapping[str, Any] = snapshot.get("legs", {})
    body = join(
        _head(snapshot, legs),
        tag("main",
            _section("Balance sheet", _balance(legs), _beside(legs)),
            _section("Delays", _delays(legs, snapshot)),
            _section("Blind time", _witnesses(snapshot)),
            _section("Minute by minute", _history(snapshot.get("history", []))),
            _section("Verdicts", _verdicts(snapshot.get("verdicts", []))),
            _section("Who has moved", _map(snapshot.get("map", []))),
            _section("What stands in the way", _gate(snapshot.get("gate", {})))),
        tag("footer", "Each figure holds for what was seen, and blind time is part of it: what passed meanwhile is "
            "unverifiable, and neither lost nor arrived. The runbook says what each word means."),
    )  # fmt: skip
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer"><title>Verification report</title>'
        f"<style>{STYLE}</style></head><body>{body}</body></html>\n"
    )


# The top


def _head(snapshot: Mapping[str, Any], legs: Mapping[str, Any]) -> Markup:
    since, now = _number(snapshot.get("since")), _number(snapshot.get("now"))
    health, words = _headline(legs)
    return tag(
        "header",
        tag("h1", "Verification report"),
        tag("p", words, class_=f"headline {health}"),
        tag("p", f"From {_time(since)} to {_time(now)}, {_span(now - since)}."),
        *(
            tag(
                "p",
                tag("strong", _LEGS.get(name, name)), ": ",
                _badge(str(leg.get("health", ""))), " ", foreign(leg.get("why", "")),
            )
            for name, leg in legs.items()
        ),
    )  # fmt: skip


def _headline(legs: Mapping[str, Any]) -> tuple[str, str]:
    found = {
        kind: sum(_count(leg.get("books", {}).get(kind, leg.get(kind))) for leg in legs.values())
        for kind in ("in", "lost", "changed", "looped", "unverifiable", "unwitnessed")
    }
    if not all(_balances(leg.get("books", {})) for leg in legs.values()):
        return "bad", "The books do not balance: this is an error of the program."
    bad = [f"{found[kind]:,} {kind}" for kind in ("lost", "changed", "looped") if found[kind]]
    if bad:
        return "bad", f"{', '.join(bad)} of {found['in']:,} messages."
    doubtful = [f"{found[kind]:,} {kind}" for kind in ("unverifiable", "unwitnessed") if found[kind]]
    if doubtful:
        return "warn", f"Nothing was seen to be lost of {found['in']:,} messages; {', '.join(doubtful)}."
    if not found["in"]:
        return "warn", "No message was seen."
    return "good", f"Nothing was lost of {found['in']:,} messages."


# Books and delays


def _balance(legs: Mapping[str, Any]) -> Markup:
    def row(name: str, words: str) -> Markup:
        figures = [_count(leg.get("books", {}).get(name)) for leg in legs.values()]
        style = "bad" if name == "lost" and any(figures) else ""
        return _row(
            tag("th", words, scope="row"), *(tag("td", f"{n:,}", class_="n") for n in figures), class_=style
        )

    verdicts = [
        "balances" if _balances(leg.get("books", {})) else "does not balance" for leg in legs.values()
    ]
    return _table(
        ["", *(_LEGS.get(name, name) for name in legs)],
        [row("in", "in"), *(row(name, words) for name, words in _ENTRIES.items()),
         _row(tag("th", "in = the sum of the others", scope="row"), *(tag("td", words) for words in verdicts))],
        "Each message that came in is in exactly one place.",
        class_="figures",
    )  # fmt: skip


def _beside(legs: Mapping[str, Any]) -> Markup:
    rows = [
        _row(
            tag("th", words, scope="row"),
            *(tag("td", f"{_count(leg.get(name)):,}", class_="n") for leg in legs.values()),
        )
        for name, words in _BESIDE.items()
    ]
    return _table(
        ["", *(_LEGS.get(name, name) for name in legs)], rows, "Beside the balance.", class_="figures"
    )


def _balances(books: Mapping[str, Any]) -> bool:
    return _count(books.get("in")) == sum(_count(books.get(name)) for name in _ENTRIES)


def _delays(legs: Mapping[str, Any], snapshot: Mapping[str, Any]) -> Markup:
    rows = [
        _row(tag("th", _LEGS.get(name, name), scope="row"),
             *(tag("td", _seconds(leg.get("delay", {}).get(share)), class_="n") for share in ("p50", "p99")))
        for name, leg in legs.items()
    ]  # fmt: skip
    about = (
        f"From the first sighting to that at the far end. A message is called missing after "
        f"{_seconds(snapshot.get('window'))}."
    )
    return _table(["", "half were faster than", "99 of 100 were faster than"], rows, about, class_="figures")


def _witnesses(snapshot: Mapping[str, Any]) -> Markup:
    whole = _number(snapshot.get("now")) - _number(snapshot.get("since"))
    rows = []
    for name, state in snapshot.get("witnesses", {}).items():
        blind = _number(state.get("blind_seconds"))
        away = [source for source, sees in state.get("detail", {}).items() if not sees]
        share = f"{100 * min(1.0, blind / whole):.2f} %" if whole > 0 else ""
        sees = "sees" if state.get("seeing") else "is blind now"
        rows.append(
            _row(tag("th", _WITNESSES.get(name, name), scope="row"), tag("td", _span(blind), class_="n"),
                 tag("td", share, class_="n"),
                 tag("td", sees, *(join(tag("br"), "not connected: ", foreign(one)) for one in away)),
                 class_="" if state.get("seeing") else "blind")
        )  # fmt: skip
    return _table(["witness", "could not see for", "of the time", "at the end"], rows)


# Minute by minute


def _history(history: Sequence[Mapping[str, Any]]) -> Markup:
    minutes = list(history)[-_MINUTES:]
    if not minutes:
        return Markup("")
    return join(*(_chart(name, words, minutes) for name, words in _LEGS.items()))


def _chart(leg: str, words: str, minutes: Sequence[Mapping[str, Any]]) -> Markup:
    """Bars for what came in; a red one from the top where messages were lost."""
    counts = [_count(minute.get(leg, {}).get("in")) for minute in minutes]
    lost = [_count(minute.get(leg, {}).get("lost")) for minute in minutes]
    most, width = max(*counts, 1), _WIDTH / len(minutes)
    bars = [
        _bar(at * width, _HEIGHT * (1 - count / most), width, _HEIGHT * count / most, "in")
        for at, count in enumerate(counts)
        if count
    ]
    bars += [_bar(at * width, 0, max(width, 2.0), _HEIGHT, "lost") for at, count in enumerate(lost) if count]
    began, ended = (_time(_number(minutes[at].get("at"))) for at in (0, -1))
    text = f"{words}: up to {most:,} messages a minute, {sum(lost):,} called lost, from {began} to {ended}."
    picture = tag(
        "svg", *bars, viewBox=f"0 0 {_WIDTH} {_HEIGHT}", role="img", aria_label=text,
        preserveAspectRatio="none",
    )  # fmt: skip
    return tag("figure", picture, tag("figcaption", text))


def _bar(x: float, y: float, width: float, height: float, kind: str) -> Markup:
    return tag(
        "rect", x=f"{x:.2f}", y=f"{y:.2f}", width=f"{width:.2f}", height=f"{max(height, 1):.2f}", class_=kind
    )


# Verdicts, map and gate


def _verdicts(verdicts: Iterable[Mapping[str, Any]]) -> Markup:
    rows = [_verdict(verdict) for verdict in verdicts]
    if not rows:
        return tag("p", "There is none: all messages matched, or are in flight.")
    return _table(
        ["verdict", "leg", "seen", "message", "evidence"], rows, "The latest; all are in the store."
    )


def _verdict(verdict: Mapping[str, Any]) -> Markup:
    kind = str(verdict.get("kind", ""))
    found = verdict.get("evidence", {})
    evidence = json.dumps(found, indent=2, ensure_ascii=False, default=str)
    if len(evidence) > _EVIDENCE:
        evidence = f"{evidence[:_EVIDENCE]}\n… {len(evidence):,} characters in all"
    differences = found.get("difference") if isinstance(found, dict) else None
    return _row(
        tag("th", kind, *([" ", tag("em", "taken back")] if verdict.get("taken_back") else []), scope="row"),
        tag("td", _LEGS.get(str(verdict.get("leg")), str(verdict.get("leg", "")))),
        tag("td", _time(_number(verdict.get("seen_at")))),
        tag("td", foreign(verdict.get("topic", "")), tag("br"), foreign(verdict.get("id", ""))),
        tag(
            "td",
            *(_difference(one) for one in differences or ()),
            tag("details", tag("summary", "evidence"), tag("pre", foreign(evidence))),
        ),
        class_="bad" if kind in {"lost", "changed", "looped"} and not verdict.get("taken_back") else "",
    )


def _difference(one: Any) -> Markup:
    """What was changed, from what to what."""
    if not isinstance(one, dict):
        return Markup("")
    before, after = (json.dumps(one.get(name), ensure_ascii=False)[:_VALUE] for name in ("from", "to"))
    return tag(
        "p",
        tag("strong", foreign(str(one.get("path", ""))[:_VALUE])), ": ",
        tag("del", foreign(before)), " ", tag("ins", foreign(after)),
    )  # fmt: skip


def _map(applications: Iterable[Mapping[str, Any]]) -> Markup:
    rows = []
    for one in applications:
        zmq, amqp = one.get("zmq", {}), one.get("amqp", {})
        rows.append(
            _row(
                tag("th", foreign(one.get("application", "")), scope="row"),
                *(tag("td", f"{_count(origin.get('day')):,}", class_="n") for origin in (zmq, amqp)),
                tag("td", _when(zmq.get("last_seen"))),
                tag("td", _when(amqp.get("first_seen"))),
                tag("td", *(join(foreign(warning), tag("br")) for warning in one.get("warnings", ()))),
            )
        )
    if not rows:
        return Markup("")
    columns = ["application", "ZeroMQ, a day", "AMQP, a day", "last on ZeroMQ", "first on AMQP", "warnings"]
    return _table(columns, rows)


def _gate(gate: Mapping[str, Mapping[str, Any]]) -> Markup:
    parts = []
    for name, one in gate.items():
        words = "may be turned off." if one.get("open") else "cannot be turned off yet."
        reasons = [tag("li", foreign(reason)) for reason in one.get("because", ())]
        parts.append(join(tag("p", f"The bridge {_LEGS.get(name, name)} {words}"), tag("ul", *reasons)))
    return join(*parts)


# Small things


def _section(title: str, *content: Markup) -> Markup:
    """Nothing, where there is nothing to say."""
    return tag("section", tag("h2", title), *content) if any(content) else Markup("")


def _table(
    columns: Sequence[str], rows: Sequence[Markup], caption: str = "", *, class_: str = "words"
) -> Markup:
    head = tag("thead", _row(*(tag("th", column, scope="col") for column in columns)))
    about = tag("caption", caption) if caption else Markup("")
    return tag("div", tag("table", about, head, tag("tbody", *rows), class_=class_), class_="scroll")


def _row(*cells: Markup, class_: str = "") -> Markup:
    return tag("tr", *cells, class_=class_) if class_ else tag("tr", *cells)


def _badge(health: str) -> Markup:
    return tag(
        "span", _HEALTH.get(health, "not known"), class_=f"badge {health if health in _HEALTH else ''}"
    )


def _number(value: Any) -> float:
    plain = isinstance(value, int | float) and math.isfinite(value)
    return float(value) if plain else 0.0


def _count(value: Any) -> int:
    return int(_number(value))


def _time(at: float) -> str:
    """In UTC."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at))
    except (OverflowError, ValueError, OSError):
        return "at no time"


def _when(at: Any) -> str:
    return _time(float(at)) if isinstance(at, int | float) and math.isfinite(at) else str(at or "")


def _seconds(value: Any) -> str:
    return f"{_number(value):.3g} s" if isinstance(value, int | float) else "none was measured"


_UNITS: Sequence[tuple[float, Callable[[float], str]]] = (
    (120, lambda seconds: f"{seconds:.3g} s"),
    (7200, lambda seconds: f"{seconds / 60:.0f} min"),
    (172_800, lambda seconds: f"{seconds / 3600:.1f} h"),
    (math.inf, lambda seconds: f"{seconds / 86_400:.1f} days"),
)


def _span(seconds: float) -> str:
    return next(words(seconds) for most, words in _UNITS if seconds < most)
