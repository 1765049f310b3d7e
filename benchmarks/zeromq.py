# SPDX-License-Identifier: MIT
"""The ZeroMQ ends of a bridge, each a process of its own: ``publish`` and ``subscribe``, with options as JSON.

They speak by lines of JSON: a publisher says its endpoints, then when all have a subscriber, and sends what each
line on its standard input asks for; a subscriber says when it listens, and in the end what it measured.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zmq

from fedmsg_migration_tools.fedmsg.canonical import dumps
from fedmsg_migration_tools.fedmsg.signing import Signer

from . import payload
from .processes import cpu_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Socket = zmq.Socket[bytes]

#: Distinct signed messages, sent over and over: to sign one takes longer than to check it.
SIGNED = 1_000
#: As many times a second a paced publisher sends, at most; what is due by then it sends together.
BEATS = 1_000


def say(**what: Any) -> None:
    """A line to whoever started this."""
    print(json.dumps(what), flush=True)


def publish(sockets: int = 1, held: int = 0, certificate: str = "", key: str = "") -> None:
    """Publish what is asked for, by turns on so many sockets; signed where there is a key.

    ``held`` is how many messages libzmq holds for a subscriber that does not keep up, 0 for all.
    """
    context = zmq.Context()
    context.max_sockets = sockets + 16
    made = [context.socket(zmq.XPUB) for _ in range(sockets)]
    for one in made:
        one.sndhwm = held
        one.linger = 0
        one.bind("tcp://127.0.0.1:*")
    say(endpoints=[bytes(one.getsockopt(zmq.LAST_ENDPOINT)).rstrip(b"\0").decode() for one in made])
    for one in made:
        one.recv()  # a subscription
    say(subscribed=len(made))
    signer = Signer.load(Path(certificate), Path(key)) if key else None
    for line in sys.stdin:
        asked = json.loads(line)
        messages = encoded(asked["first"], asked["count"], signer)
        if asked["rate"]:
            say(sent_at=paced(made, messages, asked["rate"]))
        else:
            say(sent_at=[at_once(made, messages)])


def encoded(first: int, count: int, signer: Signer | None) -> Sequence[bytes]:
    """So many envelopes as they travel."""
    if signer is None:
        return [dumps(payload.envelope(number)) for number in range(first, first + count)]
    signed = [dumps(signer.sign(payload.envelope(first + number))) for number in range(min(SIGNED, count))]
    return [signed[number % len(signed)] for number in range(count)]


def at_once(sockets: Sequence[Socket], messages: Sequence[bytes]) -> float:
    """Send all; returns when that began."""
    topic = payload.TOPIC.encode()
    begun = time.perf_counter()
    for number, message in enumerate(messages):
        sockets[number % len(sockets)].send_multipart((topic, message))
    return begun


def paced(sockets: Sequence[Socket], messages: Sequence[bytes], rate: int) -> list[float]:
    """Send so many a second, and none faster to make up for a delay; returns when each was sent."""
    topic = payload.TOPIC.encode()
    together = max(1, rate // BEATS)
    due = time.perf_counter()
    sent_at = []
    for number, message in enumerate(messages):
        if number % together == 0:
            time.sleep(max(0.0, due - time.perf_counter()))
            due = max(due, time.perf_counter() - together / rate) + together / rate
        sent_at.append(time.perf_counter())
        sockets[number % len(sockets)].send_multipart((topic, message))
    return sent_at


def subscribe(endpoint: str, warm_up: int, count: int) -> None:
    """Take ``count`` messages after the first ``warm_up``, without a gap, and tell how long that took.

    The id of the process that publishes comes on standard input.
    """
    socket = zmq.Context().socket(zmq.SUB)
    socket.rcvhwm = 0
    socket.reconnect_ivl = 10
    socket.subscribe(b"")
    socket.connect(endpoint)
    say(listening=True)
    bridge = int(sys.stdin.readline())
    taken = [socket.recv_multipart() for _ in range(warm_up)]
    wall, cpu = time.perf_counter(), cpu_seconds(bridge)
    taken += [socket.recv_multipart() for _ in range(count)]
    wall, cpu = time.perf_counter() - wall, cpu_seconds(bridge) - cpu
    numbers = [number for _, body in taken for number in payload.numbers(body)[:1]]
    gapless = numbers == list(range(numbers[0], numbers[0] + warm_up + count)) if numbers else False
    say(messages=count, rate=count / wall, cpu_us=cpu / count * 1e6, gapless=gapless)


TASKS: dict[str, Callable[..., None]] = {"publish": publish, "subscribe": subscribe}

if __name__ == "__main__":
    TASKS[sys.argv[1]](**json.loads(sys.argv[2]))
