# SPDX-License-Identifier: MIT
"""A bus that a test moves by hand: what the verification service would tell the page of it."""

from __future__ import annotations

import math
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fedmsg_migration_tools.web import Filters

LEGS = ("zmq_to_amqp", "amqp_to_zmq")
KEYS = ("in", "matched", "lost", "unverifiable", "quarantined", "loops", "in_flight")
BESIDE = ("late", "duplicated", "changed", "looped", "unwitnessed")
COUNTED_AS = {"loop": "loops"}


def _application(
    name: str, state: str, zmq: int, amqp: int, consumers: list[str], warnings: list[str]
) -> dict[str, Any]:
    now = time.time()

    def traffic(n: int) -> dict[str, Any]:
        return {
            "hour": n,
            "day": n * 23,
            "week": n * 160,
            "first_seen": now - 9e5 if n else None,
            "last_seen": now - 12 if n else None,
        }

    return {
        "application": name,
        "state": state,
        "zmq": traffic(zmq),
        "amqp": traffic(amqp),
        "consumers": consumers,
        "subscribers": 2,
        "warnings": warnings,
    }


@dataclass
class Bus:
    """State, and the three callables of a page: :meth:`snapshot`, :meth:`message`, :meth:`verdicts`."""

    books: dict[str, dict[str, int]] = field(
        default_factory=lambda: {leg: dict.fromkeys(KEYS, 0) for leg in LEGS}
    )
    beside: dict[str, dict[str, int]] = field(
        default_factory=lambda: {leg: dict.fromkeys(BESIDE, 0) for leg in LEGS}
    )
    rates: dict[str, float] = field(default_factory=lambda: dict.fromkeys(LEGS, 0.0))
    health: dict[str, tuple[str, str]] = field(
        default_factory=lambda: dict.fromkeys(LEGS, ("good", "Every message arrives."))
    )
    judged: list[dict[str, Any]] = field(default_factory=list)
    known: dict[str, dict[str, Any]] = field(default_factory=dict)
    map: list[dict[str, Any]] = field(default_factory=list)
    findings: list[dict[str, Any]] = field(default_factory=list)
    unknown: dict[str, str] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    blind: set[str] = field(default_factory=set)
    failing: Exception | None = None
    began: float = field(default_factory=lambda: time.time() - 86_400)

    def pass_on(self, leg: str, n: int, rate: float = 10.0) -> None:
        """So many messages arrive as they should."""
        self.books[leg]["in"] += n
        self.books[leg]["matched"] += n
        self.rates[leg] = rate

    def judge(self, kind: str, leg: str = "zmq_to_amqp", **more: Any) -> dict[str, Any]:
        """A verdict falls."""
        now = time.time()
        verdict = {
            "kind": kind,
            "leg": leg,
            "id": f"2026-{uuid.uuid4()}",
            "topic": "org.fedoraproject.prod.bodhi.update.comment",
            "application": "bodhi",
            "seen_at": now - 4.2,
            "judged_at": now,
            "window": 4.0,
            "evidence": {},
            "taken_back": False,
            **more,
        }
        self.judged.insert(0, verdict)
        key = COUNTED_AS.get(kind, kind)
        if key in BESIDE:
            self.beside[leg][key] += 1
        else:
            self.books[leg]["in"] += 1
            self.books[leg][key] += 1
        return verdict

    def minutes(self, n: int, *, lost_at: tuple[int, ...] = ()) -> None:
        """A history that looks like one: delays with a day's rhythm."""
        last = int(time.time() // 60) * 60

        def leg(i: int, base: float, lost: int) -> dict[str, Any]:
            wave = 1 + 0.6 * math.sin(i / 17) + 0.25 * math.sin(i * 2.3) + (9 if i % 61 == 7 else 0)
            return {"in": int(600 * wave), "lost": lost, "p50": base * wave, "p99": base * wave * 7 + 0.01}

        self.history = [
            {
                "at": last - 60 * (n - i),
                LEGS[0]: leg(i, 0.004, 2 if i in lost_at else 0),
                LEGS[1]: leg(i + 40, 0.002, 0),
            }
            for i in range(n)
        ]

    def snapshot(self) -> dict[str, Any]:
        if self.failing is not None:
            raise self.failing
        now = time.time()
        return {
            "version": 1,
            "now": now,
            "since": self.began,
            "window": 4.0,
            "legs": {leg: self._leg(leg) for leg in LEGS},
            "witnesses": {
                name: {
                    "seeing": name not in self.blind,
                    "since": self.began,
                    "blind_seconds": 83.0 if name in self.blind else 0.0,
                    "detail": detail,
                }
                for name, detail in self._details().items()
            },
            "history": self.history,
            "verdicts": self.judged[:50],
            "map": self.map,
            "findings": self.findings,
            "unknown": self.unknown,
            "gate": {
                "zmq_to_amqp": {
                    "open": False,
                    "because": [
                        "11 applications published on ZeroMQ in the last 7 days: anitya, bodhi, copr and 8 more.",
                        "The audit is clean for 2 of 7 days: one message was lost on 21 November.",
                    ],
                },
                "amqp_to_zmq": {"open": False, "because": ["2 sockets subscribe to the bridge."]},
            },
        }

    def message(self, name: str) -> Mapping[str, Any] | None:
        return self.known.get(name)

    def verdicts(self, filters: Filters) -> list[dict[str, Any]]:
        found = (
            one
            for one in self.judged
            if filters.kind in (None, one["kind"]) and filters.leg in (None, one["leg"])
        )
        return list(found)[: filters.limit]

    def _leg(self, leg: str) -> dict[str, Any]:
        health, why = self.health[leg]
        rate = self.rates[leg]
        return {
            "books": dict(self.books[leg]),
            **self.beside[leg],
            "rate_in": rate,
            "rate_out": rate,
            "delay": {"p50": 0.0041, "p99": 0.038},
            "health": health,
            "why": why,
        }

    def _details(self) -> dict[str, dict[str, bool]]:
        return {
            "publishers": {f"tcp://app{i:02}.example.org:3{i:03}": i != 7 for i in range(1, 13)},
            "zmq_topic": {"queue amq.gen-Kx2": True},
            "amq_topic": {"queue amq.gen-9fQ": True},
            "bridge_socket": {"tcp://127.0.0.1:9940": "bridge_socket" not in self.blind},
        }


def lively() -> Bus:
    """A bus in the midst of its migration, with something of everything: for looking at."""
    bus = Bus()
    bus.pass_on("zmq_to_amqp", 1_284_377, rate=42.7)
    bus.pass_on("amqp_to_zmq", 310_482, rate=11.3)
    for leg, more in zip(
        LEGS, ({"quarantined": 4, "loops": 212, "in_flight": 17}, {"in_flight": 3}), strict=True
    ):
        for key, n in more.items():
            bus.books[leg][key] += n
            bus.books[leg]["in"] += n
    bus.minutes(360, lost_at=(201, 202))
    bus.health["zmq_to_amqp"] = ("bad", "One message was lost in the last hour.")
    bus.map = [
        _application("anitya", "zmq", 310, 0, ["the-new-hotness (1)"], []),
        _application("bodhi", "both", 44, 120, ["bodhi-push (2)", "fmn (4)"], []),
        _application(
            "buildsys",
            "zmq",
            2210,
            0,
            ["koschei (1)"],
            [
                "Queue koschei is bound for buildsys on zmq.topic only: it goes silent on the day that buildsys moves."
            ],
        ),
        _application("copr", "amqp", 0, 940, ["fmn (4)"], []),
        _application("wiki", "quiet", 0, 0, [], []),
    ]
    _judgements(bus)
    return bus


def _judgements(bus: Bus) -> None:
    now = time.time()
    carriers = ["zmq_to_amqp@bridge01"]
    source = {"source": "tcp://app03.example.org:3003", "i": 4711}
    bus.judge(
        "duplicated",
        topic="org.fedoraproject.prod.copr.build.end",
        application="copr",
        evidence={"first_seen_at": now - 4.9, "carriers": carriers},
    )
    bus.judge(
        "unverifiable",
        "amqp_to_zmq",
        topic="org.fedoraproject.prod.copr.chroot.start",
        application="copr",
        evidence={
            "blind": [
                {
                    "begin": now - 9,
                    "end": now - 2,
                    "source": "tcp://127.0.0.1:9940",
                    "why": "not connected",
                }
            ],
            "witness": "bridge_socket",
        },
    )
    bus.judge(
        "late",
        topic="org.fedoraproject.prod.buildsys.tag",
        application="buildsys",
        seen_at=now - 5.31,
        evidence={"delay": 5.31, "earlier": "lost", "carriers": carriers},
    )
    lost = bus.judge("lost", topic="org.fedoraproject.prod.bodhi.update.complete.stable", evidence=source)
    bus.judge(
        "changed",
        evidence={
            "difference": [
                {"path": "body.update.karma", "from": "1", "to": "2"},
                {
                    "path": "body.update.title",
                    "from": '"firefox-146.0-1.fc43"',
                    "to": '"firefox-146.0-1.fc43 "',
                },
                {"path": "headers.sent-at", "from": '"2026-11-23T23:58:01+00:00"', "to": None},
            ],
            "carriers": carriers,
        },
    )
    content = {"topic": lost["topic"], "body": {"update": {"title": "firefox-146.0-1.fc43", "karma": 3}}}
    bus.known[lost["id"]] = {"id": lost["id"], "seen": {"publishers": content}, "verdicts": [lost]}
