# SPDX-License-Identifier: MIT
"""The verifier beside both bridges, all at their limit: floods both legs, and looks at the verifier from outside.

Messages come faster than the bridges take them. The verifier's books must close with every message matched: one that
is lost, unverifiable, or counted twice fails the measurement.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import TYPE_CHECKING, Any

from . import frames, limit, payload
from .bridges import PATIENCE, POLL, REST_SECONDS, arrived, free_endpoint, helper
from .contenders import OUR_QUEUE, OUR_TOOL, Contender
from .processes import MeasureError, cpu_seconds, memory_of, running
from .terms import Role

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .bridges import Helper, Sample
    from .course import Course

#: Ids of messages that come from AMQP: those from ZeroMQ are counted from 0.
FROM_AMQP = 1 << 40
#: Unconfirmed messages of the publisher to AMQP.
WINDOW = 1_000
LEGS = ("zmq_to_amqp", "amqp_to_zmq")
EMPTY = (
    "lost",
    "unverifiable",
    "quarantined",
    "loops",
    "late",
    "duplicated",
    "changed",
    "looped",
    "unwitnessed",
)


def measure(course: Course, count: int, warm_up: int) -> Sample:
    """One sample, with ``count`` messages on each leg. Raises :class:`MeasureError`."""
    with course.vhost() as url, TemporaryDirectory(dir=course.folder) as name, ExitStack() as stack:
        run = Run(Path(name), url, stack)
        try:
            return run.measure(count, warm_up)
        except (TimeoutError, OSError, limit.LimitError) as error:
            raise MeasureError(f"{error}{run.log()}") from error
        except MeasureError as error:
            raise MeasureError(f"{error}{run.log()}") from error


class Run:
    """Two bridges and a verifier, once."""

    def __init__(self, folder: Path, url: str, stack: ExitStack) -> None:
        self._folder = folder
        self._url = url
        self._stack = stack
        self._page = ""
        self._sent = 0

    def measure(self, count: int, warm_up: int) -> Sample:
        """From the first message to the last that the verifier has matched, on both legs."""
        bare = self._stack.enter_context(limit.Bare(self._url))
        bare.timeout(PATIENCE)
        bare.prepare_queue(payload.ZMQ_EXCHANGE)
        publisher = self._stack.enter_context(helper("publish", {"sockets": 1, "held": 0}))
        verifier = self._start(publisher)
        self._flood(bare, publisher, warm_up)
        self._closed()
        cpu, begun = cpu_seconds(verifier), time.perf_counter()
        ended = self._flood(bare, publisher, count)
        closed = self._closed()
        cpu = cpu_seconds(verifier) - cpu
        time.sleep(REST_SECONDS)
        return {
            "messages": 2 * count,
            "rate": 2 * count / (ended - begun),
            "behind_ms": max(0.0, closed - ended) * 1e3,
            "cpu_us": cpu / (2 * count) * 1e6,
            **memory_of(verifier),
        }

    def log(self) -> str:
        """What each of the three said last, to be put behind an error."""
        said = ""
        for name in (*LEGS, "verify_missing"):
            path = self._folder / f"{name}.log"
            lines = path.read_text(errors="replace").splitlines() if path.exists() else []
            said += f"; the last words of {name}: {lines[-1][:300]}" if lines else ""
        return said

    # the parts

    def _start(self, publisher: Helper) -> int:
        """Both bridges and the verifier, connected; the verifier's process."""
        endpoints, socket = publisher.hear()["endpoints"], free_endpoint()
        self._page = free_endpoint().removeprefix("tcp://")
        for leg, where in zip(LEGS, (endpoints, socket), strict=True):
            folder = self._folder / leg
            folder.mkdir()
            bridge = Contender(Role.OURS, Path(), self._url, folder, None)
            start = bridge.inward(where) if leg == LEGS[0] else bridge.outward(where)
            self._run(leg, start.command, start.environment)
        process = self._verifier(endpoints, socket)
        publisher.hear()  # whose first subscriber is there
        self._until(
            "all is in sight", lambda found: all(one["seeing"] for one in found["witnesses"].values())
        )
        return process

    def _verifier(self, endpoints: list[str], socket: str) -> int:
        path = self._folder / "verify_missing.toml"
        path.write_text(
            f"[verify_missing]\nzmq_endpoints = {json.dumps(endpoints)}\nbridge_endpoints = {json.dumps([socket])}\n"
            f'store = "{self._folder / "verify_missing.sqlite"}"\nlisten = "{self._page}"\n'
        )
        environment = Contender(Role.OURS, Path(), self._url, self._folder, None).outward(socket).environment
        command = [str(OUR_TOOL), "--conf", str(path), "verify_missing", "--amqp-url", self._url]
        return self._run("verify_missing", command, environment)

    def _run(self, name: str, command: Any, environment: Mapping[str, str]) -> int:
        output = self._stack.enter_context((self._folder / f"{name}.log").open("wb"))
        return self._stack.enter_context(running(command, environment, output=output, cwd=self._folder)).pid

    # the load

    def _flood(self, bare: limit.Bare, publisher: Helper, count: int) -> float:
        """So many messages at each origin, as fast as they can be sent; when the bridges had carried them all."""
        publisher.ask(first=self._sent, count=count, rate=0)
        with sending(self._url, self._sent, count):
            publisher.hear()
        self._sent += count
        _, ended = arrived(bare, self._sent)
        if bare.queue_counts()[0] != self._sent:
            raise MeasureError(f"{bare.queue_counts()[0]} of {self._sent} messages came to AMQP")
        while bare.queue_counts(OUR_QUEUE)[0]:
            ended = time.perf_counter()
            time.sleep(POLL)
        return ended

    def _closed(self) -> float:
        """When the page, which is drawn once a second, says that all that was sent is matched."""

        def matched(found: Mapping[str, Any]) -> bool:
            return all(found["legs"][leg]["books"]["matched"] >= self._sent for leg in LEGS)

        found = self._until("all is matched", matched)
        closed = time.perf_counter()
        for leg in LEGS:
            said = found["legs"][leg]
            books = said["books"] | said
            wrong = {name: books[name] for name in EMPTY if books[name]}
            if wrong or books["in"] != self._sent or books["matched"] != self._sent:
                raise MeasureError(
                    f"{leg}: {self._sent} messages were sent, and the books say {said['books']}, {wrong}"
                )
        return closed

    def _until(self, what: str, true: Any) -> Mapping[str, Any]:
        """What the page says when something has become true."""
        deadline = time.monotonic() + PATIENCE
        found: Mapping[str, Any] = {}
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"http://{self._page}/api/snapshot", timeout=PATIENCE) as answer:
                    found = json.load(answer)
            except ConnectionError:
                pass
            except urllib.error.URLError as error:
                if not isinstance(error.reason, ConnectionError):
                    raise
            if found and true(found):
                return found
            time.sleep(5 * POLL)
        books = {leg: found["legs"][leg]["books"] for leg in LEGS} if found else None
        raise MeasureError(f"Not so after {PATIENCE:g} s: {what}; the books say {books}")


@contextmanager
def sending(url: str, first: int, count: int) -> Iterator[None]:
    """Messages go to ``amq.topic`` meanwhile, and have been confirmed afterwards."""
    failed: list[BaseException] = []

    def send() -> None:
        try:
            with limit.Bare(url) as bare:
                bare.timeout(PATIENCE)
                bare.confirms()
                limit.send_within_window(bare, encoded(first, count), WINDOW)
        except (limit.LimitError, OSError) as error:
            failed.append(error)

    thread = Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        thread.join()
    if failed:
        raise MeasureError(f"Not published: {failed[0]}")


def encoded(first: int, count: int) -> list[bytes]:
    """So many messages as frames."""
    body = payload.encoded_body()
    return [
        frames.publish(
            payload.EXCHANGE,
            payload.TOPIC,
            body,
            headers=payload.HEADERS,
            message_id=payload.message_id(FROM_AMQP + number),
        )
        for number in range(first, first + count)
    ]
