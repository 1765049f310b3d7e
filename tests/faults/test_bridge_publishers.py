# SPDX-License-Identifier: MIT
"""Publishers die, freeze, were never there, come and go with the list of them: the others' messages all arrive."""

from __future__ import annotations

import itertools
import random
import signal
import socket
import time
from typing import TYPE_CHECKING

from fedora_messaging.private_node.ports import free_port

from .bridging import RATE, Publisher, collect, envelope, inward, missing, tap
from .support import Program, eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MILLION = 1_000_000  # the numbers of another publisher begin there


def _connected(metrics: dict[str, float]) -> dict[str, float]:
    prefix = 'zmq_to_amqp_endpoint_connected{endpoint="'
    return {
        name.removeprefix(prefix).removesuffix('"}'): state
        for name, state in metrics.items()
        if name.startswith(prefix)
    }


def test_a_publisher_that_was_killed_is_heard_again_and_the_others_always(
    tmp_path: Path, amqp_url: str, note: Callable[[str], None]
) -> None:
    tap(amqp_url)
    port = free_port()
    mortal = f"tcp://127.0.0.1:{port}"
    with (
        Publisher(rate=1000) as steady,
        inward(tmp_path, amqp_url, mortal, steady.endpoint) as bridge,
    ):
        steady.has_subscribers()
        steady.flow()
        for life in (1, 2, 3):
            with Program("zmq_publish", tmp_path, port, life * MILLION, 500, RATE) as publisher:
                publisher.says("sent")
                eventually(lambda: _connected(bridge.metrics())[mortal] == 1, "connected")
                time.sleep(0.2)  # on its way to the bridge
                publisher.process.kill()
            eventually(lambda: _connected(bridge.metrics())[mortal] == 0, "the loss of it")
        with Program("zmq_publish", tmp_path, port, 4 * MILLION, 10**6, RATE) as publisher:
            publisher.says("subscribed")
            time.sleep(random.uniform(0.2, 0.7))
            publisher.process.kill()
        steady.pause()
        wanted = [
            *steady.sent,
            *(n for life in (1, 2, 3) for n in range(life * MILLION, life * MILLION + 500)),
        ]
        numbers = collect(amqp_url, wanted)
        last = [n for n in numbers if n >= 4 * MILLION]
        assert len(numbers) == len(set(numbers)) == len(wanted) + len(last)
        assert last == list(range(4 * MILLION, 4 * MILLION + len(last))), (
            "killed in its flow: no gap before the end"
        )
        assert len(last) > 100
        assert [n for n in numbers if n < MILLION] == list(steady.sent)
        note(f"{len(wanted)} messages; {len(last)} more of the one that was killed in its flow")
        assert bridge.stop() == 0


def test_a_frozen_publisher_holds_up_nobody_and_loses_nothing(tmp_path: Path, amqp_url: str) -> None:
    tap(amqp_url)
    port = free_port()
    with (
        Publisher(rate=1000) as steady,
        inward(tmp_path, amqp_url, f"tcp://127.0.0.1:{port}", steady.endpoint) as bridge,
        Program("zmq_publish", tmp_path, port, MILLION, 1000, 1000) as publisher,
    ):
        steady.has_subscribers()
        publisher.says("subscribed")
        time.sleep(0.3)
        publisher.process.send_signal(signal.SIGSTOP)
        steady.flow(2000)
        steady.is_done()
        before = collect(amqp_url, steady.sent)
        publisher.process.send_signal(signal.SIGCONT)
        publisher.says("sent")
        frozen = [n for n in before if n >= MILLION]
        after = collect(amqp_url, set(range(MILLION, MILLION + 1000)).difference(frozen))
        assert frozen + after == list(range(MILLION, MILLION + 1000))
        assert bridge.stop() == 0


def test_endpoints_that_do_not_answer_harm_none_and_show_in_the_metrics(
    tmp_path: Path, amqp_url: str
) -> None:
    tap(amqp_url)
    dead = f"tcp://127.0.0.1:{free_port()}"
    unknown = "tcp://no-such-host.invalid:9940"
    with (
        socket.create_server(("127.0.0.1", 0)) as mute,
        Publisher() as publisher,
        Publisher(first=MILLION) as other,
    ):
        silent = f"tcp://127.0.0.1:{mute.getsockname()[1]}"
        endpoints = (dead, publisher.endpoint, unknown, silent, other.endpoint)
        with inward(tmp_path, amqp_url, *endpoints) as bridge:
            for one in (publisher, other):
                one.has_subscribers()
                one.flow(2000)
            publisher.is_done()
            other.is_done()
            numbers = collect(amqp_url, [*publisher.sent, *other.sent])
            assert len(numbers) == 4000
            living = {publisher.endpoint, other.endpoint}
            assert _connected(bridge.metrics()) == {name: float(name in living) for name in endpoints}
            assert bridge.ready()[1]["endpoints"] == {name: name in living for name in endpoints}
            assert bridge.ready()[0] == 200
            assert bridge.stop() == 0


def _write(path: Path, *publishers: Publisher) -> None:
    listed = {f"app{n}.host": [publisher.endpoint] for n, publisher in enumerate(publishers)}
    path.write_text(f"config = dict(\n    endpoints={listed!r},\n)\n")


def test_endpoints_are_read_again_on_sighup_and_those_that_stay_lose_nothing(
    tmp_path: Path, amqp_url: str, note: Callable[[str], None]
) -> None:
    tap(amqp_url)
    file = tmp_path / "endpoints.py"
    with Publisher() as stays, Publisher(first=MILLION) as one, Publisher(first=2 * MILLION) as other:
        _write(file, stays, one)
        with inward(tmp_path, amqp_url, str(file)) as bridge:
            stays.has_subscribers()
            one.has_subscribers()
            stays.flow()
            wanted: list[range] = []
            for times, (leaves, comes) in enumerate(
                itertools.islice(itertools.cycle([(one, other), (other, one)]), 4)
            ):
                begin = leaves.next
                leaves.flow(500)
                leaves.is_done()
                wanted.append(range(begin, leaves.next))
                time.sleep(0.2)  # on its way to the bridge
                _write(file, stays, comes)
                bridge.send(signal.SIGHUP)
                comes.has_subscribers()
                eventually(lambda: leaves.subscribers == 0, "one fewer")  # noqa: B023 - called here
                assert len(bridge.said("No longer listening to")) == times + 1
            stays.pause()
            numbers = collect(amqp_url, [*stays.sent, *itertools.chain(*wanted)])
            assert [n for n in numbers if n < MILLION] == list(stays.sent)
            assert set(numbers) == {*stays.sent, *one.sent, *other.sent}, missing(one.sent, numbers)
            note(f"{len(stays.sent)} of the one that stayed, over four changes of the list")
            assert bridge.stop() == 0


def test_a_broken_list_of_endpoints_changes_nothing(tmp_path: Path, amqp_url: str) -> None:
    tap(amqp_url)
    file = tmp_path / "endpoints.py"
    with Publisher() as publisher:
        _write(file, publisher)
        with inward(tmp_path, amqp_url, str(file)) as bridge:
            publisher.has_subscribers()
            publisher.flow()
            for times, text in enumerate(
                ("config = dict(", "import os\n", "config = {'endpoints': {}}", None), 1
            ):
                if text is None:
                    file.unlink()
                else:
                    file.write_text(text)
                bridge.send(signal.SIGHUP)
                bridge.says("kept what was configured before: .*", times)
            publisher.pause()
            publisher.put(*envelope(MILLION))
            numbers = collect(amqp_url, [*publisher.sent, MILLION])
            assert numbers == [*publisher.sent, MILLION]
            assert publisher.lost_subscriber_at == []
            assert bridge.stop() == 0
