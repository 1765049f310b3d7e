# SPDX-License-Identifier: MIT
"""What is measured of the bridges and what must come of it. Pure data.

The peer here is fedmsg-migration-tools 0.1.2. Publishing is held against the limit of publishing, the way to ZeroMQ
against that of consuming.
"""

from __future__ import annotations

from .terms import Bar, Crossing, Figure, Load, Probe, Role, Scenario, Task, bare_publish

ROUNDS = 3
BURST = 30_000
BACKLOG = 1_000_000
PREFETCH = 1_000  # the bridge's own
PUBLISHERS = (1, 10, 100, 500)
A_SECOND = 300  # messages, where latency is measured
HELD = 1_000  # libzmq's default: what a publisher holds for a subscriber that does not keep up


def _bare_consume() -> Task:
    return Task("bare", 20_000, 1_000, True, {"task": "consume", "prefetch": PREFETCH})


def _inward(name: str, title: str, *, signed: bool) -> Scenario:
    rsa = {Role.RSA: Probe.VERIFY} if signed else {}
    return Scenario(
        name,
        title,
        {
            Role.PEER: Crossing(Load.BURST, BURST // 10, 200, signed=signed),
            **rsa,
            Role.LIMIT: bare_publish(kind="signed" if signed else "bridged"),
            Role.OURS: Crossing(Load.BURST, BURST, 1_000, signed=signed),
        },
        rounds=ROUNDS,
    )


def _outward(name: str, title: str, *, signed: bool) -> Scenario:
    rsa = {Role.RSA: Probe.SIGN} if signed else {}
    return Scenario(
        name,
        title,
        {
            Role.PEER: Crossing(Load.OUTWARD, 300 if signed else 2_000, 50 if signed else 200, signed=signed),
            **rsa,
            Role.LIMIT: _bare_consume(),
            Role.OURS: Crossing(Load.OUTWARD, BURST, 1_000, signed=signed),
        },
        rounds=ROUNDS,
    )


def endpoints(publishers: int) -> str:
    """The name of the scenario with so many publishers."""
    return f"endpoints-{publishers}"


def _endpoints(publishers: int) -> Scenario:
    title = f"{publishers} publishers" if publishers > 1 else "one publisher"
    ours = Crossing(Load.BURST, 20_000, 2_000, publishers=publishers)
    return Scenario(endpoints(publishers), title, {Role.OURS: ours}, rounds=ROUNDS)


SCENARIOS = (
    _inward("zmq-in", "to AMQP", signed=False),
    Scenario(
        "zmq-burst",
        f"to AMQP, {BURST:,} in 1 s",
        {
            Role.PEER: Crossing(Load.BURST, BURST, 200, rate=BURST, held=HELD),
            Role.OURS: Crossing(Load.BURST, BURST, 1_000, rate=BURST, held=HELD),
        },
        rounds=ROUNDS,
    ),
    Scenario(
        "zmq-latency",
        f"to AMQP, {A_SECOND} a second",
        {
            Role.PEER: Crossing(Load.PACED, 1_500, 300, rate=A_SECOND),
            Role.LIMIT: Task("bare", 1_500, 300, options={"task": "paced", "rate": A_SECOND}),
            Role.OURS: Crossing(Load.PACED, 3_000, 300, rate=A_SECOND),
        },
        rounds=ROUNDS,
    ),
    _inward("zmq-in-signed", "to AMQP, signed", signed=True),
    Scenario(
        "backlog",
        "to AMQP, spooled",
        {Role.LIMIT: bare_publish(kind="bridged"), Role.OURS: Crossing(Load.BACKLOG, BACKLOG, 5_000)},
        rounds=ROUNDS,
    ),
    _outward("zmq-out", "to ZeroMQ", signed=False),
    _outward("zmq-out-signed", "to ZeroMQ, signed", signed=True),
    *(_endpoints(publishers) for publishers in PUBLISHERS),
)


FIGURES = (
    Figure("zmq-in", "rate", "messages", Bar.AT_LEAST_OF_LIMIT, 0.9),
    Figure("zmq-in", "cpu_us", "CPU a message", Bar.AT_MOST, 60),
    Figure("zmq-in", "rss_mb", "memory, afterwards", Bar.AT_MOST, 60),
    Figure("zmq-burst", "arrived", "arrived", Bar.AT_LEAST, 1.0),
    Figure("zmq-burst", "peak_mb", "memory, at most", Bar.AT_MOST, 60),
    Figure("zmq-latency", "p50_us", "median", Bar.AT_MOST, 1_500),
    Figure("zmq-latency", "p99_us", "99 of 100", Bar.AT_MOST, 6_000),
    Figure("zmq-latency", "cpu_us", "CPU a message"),
    Figure("zmq-latency", "rss_mb", "memory", Bar.AT_MOST, 60),
    Figure("zmq-in-signed", "rate", "messages", Bar.AT_LEAST_OF_LOWER, 0.6),
    Figure("zmq-in-signed", "cpu_us", "CPU a message"),
    Figure("backlog", "rate", "messages", Bar.AT_LEAST_OF_LIMIT, 0.7),
    Figure("backlog", "cpu_us", "CPU a message"),
    Figure("backlog", "peak_mb", "memory, at most", Bar.AT_MOST, 120),
    Figure("zmq-out", "rate", "messages", Bar.AT_LEAST_OF_LIMIT, 0.6),
    Figure("zmq-out", "cpu_us", "CPU a message", Bar.AT_MOST, 60),
    Figure("zmq-out", "rss_mb", "memory, afterwards"),
    Figure("zmq-out-signed", "rate", "messages", Bar.AT_LEAST_OF_LOWER, 0.6),
    Figure("zmq-out-signed", "cpu_us", "CPU a message"),
    *(Figure(endpoints(publishers), "cpu_us", "CPU a message") for publishers in PUBLISHERS[:-1]),
    Figure(
        endpoints(PUBLISHERS[-1]), "cpu_us", "CPU a message", Bar.AT_MOST_OF_FIRST, 1.25, first=endpoints(1)
    ),
)
