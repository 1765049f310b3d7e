# SPDX-License-Identifier: MIT
"""The benchmark's pure parts: the bytes of the limit, the plan, and what is said of the samples."""

from __future__ import annotations

import io
import json
import os
import tomllib
from random import Random
from typing import TYPE_CHECKING, Any

import pika
import pika.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from benchmarks import course, frames, measure, meter, payload, plot, plot_bridges, processes, report, scaling
from benchmarks.__main__ import arguments, scenarios
from benchmarks.limit import ConfirmCount
from benchmarks.plan import FIGURES, SCENARIOS
from benchmarks.table import notes, table
from benchmarks.terms import Bar, Crossing, Load, Probe, Role, Task
from fedmsg_migration_tools.bridges.crossing import Crossing as Rules
from fedmsg_migration_tools.fedmsg.canonical import dumps
from fedmsg_migration_tools.fedmsg.signing import Signer
from fedmsg_migration_tools.spool import Entry
from tests.pki import Pki

if TYPE_CHECKING:
    from pathlib import Path

    from fedora_messaging.private_node import PrivateNode

A_MESSAGE = frames.publish(
    payload.EXCHANGE,
    payload.TOPIC,
    payload.encoded_body(),
    headers=payload.HEADERS,
    message_id=payload.message_id(7),
)


def decoded(data: bytes) -> list[Any]:
    """The frames as pika reads them."""
    found = []
    while data:
        size, one = pika.frame.decode_frame(data)
        found.append(one)
        data = data[size:]
    return found


def test_pika_reads_the_published_message_as_it_was_meant() -> None:
    publish, header, body = decoded(A_MESSAGE)
    assert (publish.method.exchange, publish.method.routing_key) == (payload.EXCHANGE, payload.TOPIC)
    assert json.loads(body.fragment) == payload.BODY
    assert header.body_size == len(body.fragment)
    properties = header.properties
    assert properties.headers == payload.HEADERS
    assert (properties.content_type, properties.content_encoding) == ("application/json", "utf-8")
    assert (properties.delivery_mode, properties.message_id) == (2, payload.message_id(7))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (frames.declare_queue("q"), pika.spec.Queue.Declare(queue="q", durable=True)),
        (
            frames.declare_queue("q", passive=True),
            pika.spec.Queue.Declare(queue="q", durable=True, passive=True),
        ),
        (
            frames.bind_queue("q", "x", "a.#"),
            pika.spec.Queue.Bind(queue="q", exchange="x", routing_key="a.#"),
        ),
        (
            frames.declare_exchange("x"),
            pika.spec.Exchange.Declare(exchange="x", type="topic", durable=True),
        ),
        (frames.purge_queue("q"), pika.spec.Queue.Purge(queue="q")),
        (frames.qos(500), pika.spec.Basic.Qos(prefetch_count=500)),
        (frames.consume("q"), pika.spec.Basic.Consume(queue="q")),
        (frames.ack(9), pika.spec.Basic.Ack(delivery_tag=9, multiple=True)),
        (frames.close_connection(), pika.spec.Connection.Close(200, "", 0, 0)),
    ],
)
def test_methods_are_the_bytes_that_pika_would_send(data: bytes, expected: Any) -> None:
    (read,) = decoded(data)
    assert read.marshal() == pika.frame.Method(read.channel_number, expected).marshal()


@given(st.lists(st.integers(1, 40)))
def test_frames_are_cut_alike_however_the_bytes_arrive(sizes: list[int]) -> None:
    data = A_MESSAGE + frames.ack(1)
    reader, found, position = frames.FrameReader(), [], 0
    for size in [*sizes, len(data)]:
        found += reader.feed(data[position : position + size])
        position += size
    assert [one.kind for one in found] == [frames.METHOD, frames.HEADER, frames.BODY, frames.METHOD]
    assert found[2].payload == payload.encoded_body()
    assert frames.settled(found[3].payload) == (1, True)


def test_delivery_tag_stands_behind_the_consumers_tag() -> None:
    deliver = pika.spec.Basic.Deliver("a tag", 12345678901, False, "x", "key")
    (frame,) = frames.FrameReader().feed(pika.frame.Method(1, deliver).marshal())
    assert frame.method == frames.BASIC_DELIVER
    assert frames.delivery_tag(frame.payload) == 12345678901


def test_server_version_is_found_among_the_properties() -> None:
    start = pika.spec.Connection.Start(server_properties={"product": "RabbitMQ", "version": "3.10.8"})
    (frame,) = frames.FrameReader().feed(pika.frame.Method(0, start).marshal())
    assert frames.server_version(frame.payload) == "3.10.8"
    assert frames.server_version(b"") == ""


@given(st.integers(1, 60), st.randoms())
def test_every_confirm_is_counted_once(count: int, random: Random) -> None:
    confirmed, waiting = ConfirmCount(), set(range(1, count + 1))
    while waiting:
        tag = random.choice(sorted(waiting))
        multiple = random.random() < 0.3
        waiting -= {one for one in waiting if one <= tag} if multiple else {tag}
        confirmed.note(tag, multiple)
        assert confirmed.settled == count - len(waiting)


def test_quantile_is_a_sample() -> None:
    assert meter.quantile([3, 1, 2], 0.5) == 2
    assert meter.quantile([1], 0.99) == 1
    assert meter.quantile(list(range(100)), 0.99) == 99


def test_meter_counts_from_the_restart_to_the_stop() -> None:
    running = meter.Meter()
    sum(range(2_000_000))
    busy = running.result(1)
    running.restart()
    running.stop()
    sum(range(2_000_000))
    assert running.result(1)["cpu_us"] < busy["cpu_us"] / 2
    assert running.result(1)["rate"] > busy["rate"] * 2


def test_configuration_is_what_both_versions_read() -> None:
    read = tomllib.loads(course.configuration("amqp://guest:guest@127.0.0.1:1/%2F", 500))
    assert read["amqp_url"] == "amqp://guest:guest@127.0.0.1:1/%2F"
    assert read["qos"]["prefetch_count"] == 500
    assert read["queues"][payload.QUEUE]["durable"] is True
    assert read["bindings"][0]["queue"] == payload.QUEUE


def test_memory_is_read_from_the_kernels_summary() -> None:
    rollup = (
        "5581-7ffd ---p 00000000 00:00 0    [rollup]\nRss:    43944 kB\nPss:    40000 kB\nPss_Anon: 1 kB\n"
    )
    assert processes.memory(rollup) == {"rss_mb": pytest.approx(44.998656), "pss_mb": pytest.approx(40.96)}


def test_cpu_time_is_read_whatever_the_process_is_called() -> None:
    stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 2000 0 0 0 150 50 9 9 20 0 4 0 8000 70000000 9000"
    ticks = os.sysconf("SC_CLK_TCK")
    assert processes.cpu_seconds_of(stat) == pytest.approx(200 / ticks)


def test_this_process_has_memory_and_uses_cpu_time() -> None:
    found = processes.memory_of(os.getpid())
    assert 5 < found["pss_mb"] <= found["rss_mb"] < found["peak_mb"] * 1.1
    assert processes.cpu_seconds(os.getpid()) > 0


def test_openssls_speed_is_read() -> None:
    line = "rsa 2048 bits 0.000256s 0.000007s   3900.1 138002.5"
    assert measure.rsa_speed(line) == (3900.1, 138002.5)


def test_numbers_of_messages_are_found_in_what_travels() -> None:
    data = payload.message_id(7).encode() + b" ... " + json.dumps(payload.envelope(0xABC)).encode()
    assert payload.numbers(data) == [7, 0xABC]


def test_the_limit_publishes_what_the_bridge_publishes() -> None:
    entry = Entry(1, 0.0, (payload.TOPIC.encode(), dumps(payload.envelope(30_000))))
    outgoing = Rules("zmq.topic", "quarantine", "zmq_to_amqp@benchmark").prepare(entry).outgoing
    assert outgoing is not None
    assert outgoing.properties.headers == payload.BRIDGED_HEADERS
    assert json.loads(outgoing.body) == json.loads(payload.encoded_body())


def test_the_limits_signed_message_is_as_long_as_a_signed_one(tmp_path: Path) -> None:
    Pki(tmp_path)
    signer = Signer.load(tmp_path / "valid.crt", tmp_path / "valid.key")
    entry = Entry(1, 0.0, (payload.TOPIC.encode(), dumps(signer.sign(payload.envelope(30_000)))))
    outgoing = Rules("zmq.topic", "quarantine", "zmq_to_amqp@benchmark").prepare(entry).outgoing
    assert outgoing is not None
    headers = outgoing.properties.headers
    assert headers.keys() == payload.SIGNED_HEADERS.keys()
    assert len(str(headers)) == pytest.approx(len(str(payload.SIGNED_HEADERS)), rel=0.03)


def test_the_bridges_measure_what_they_are_asked_for() -> None:
    crossings = {
        one for scenario in SCENARIOS for one in scenario.contestants.values() if isinstance(one, Crossing)
    }
    assert {one.load for one in crossings} == set(Load)
    assert all(one.rate for one in crossings if one.load is Load.PACED)
    assert {scenario.name for scenario in SCENARIOS if scenario.of_bridges} == {
        scenario.name
        for scenario in SCENARIOS
        if any(isinstance(one, Crossing) for one in scenario.contestants.values())
    }


def test_each_figure_is_measured_of_ours_and_of_what_its_bound_names() -> None:
    known = {scenario.name: scenario for scenario in SCENARIOS}
    against = {
        Bar.AT_MOST_OF_LIMIT: Role.LIMIT,
        Bar.AT_LEAST_OF_LIMIT: Role.LIMIT,
        Bar.AT_LEAST_OF_LOWER: Role.RSA,
        Bar.AT_MOST_OF_PEER: Role.PEER,
    }
    for figure in FIGURES:
        contestants = known[figure.scenario].contestants
        assert Role.OURS in contestants
        if figure.bar in against:
            assert against[figure.bar] in contestants
        if figure.bar is Bar.AT_LEAST_OF_LOWER:
            assert Role.LIMIT in contestants
        assert (figure.bar is Bar.AT_MOST_OF_FIRST) == (figure.first is not None)
        if figure.first:
            assert Role.OURS in known[figure.first].contestants
        if figure.peer_scenario:
            assert Role.PEER not in contestants
            assert Role.PEER in known[figure.peer_scenario].contestants


def test_threads_and_tasks_share_their_messages_evenly_also_when_quick() -> None:
    for scenario in [*scenarios(None, quick=False), *scenarios(None, quick=True)]:
        for task in scenario.contestants.values():
            if isinstance(task, Task):
                among = task.options.get("threads", task.options.get("tasks", 1))
                assert task.count % among == task.warm_up % among == 0
                assert task.count > 0


def test_only_chooses_scenarios_and_refuses_unknown_ones() -> None:
    asked = arguments(["--only", "import", "--only", "help"])
    assert [one.name for one in scenarios(asked.only, asked.quick)] == ["import", "help"]
    with pytest.raises(SystemExit):
        arguments(["--only", "nothing"])


def test_what_a_scenario_is_compared_with_is_measured_too() -> None:
    asked = arguments(["--only", "endpoints-500"])
    assert [one.name for one in scenarios(asked.only, asked.quick)] == ["endpoints-1", "endpoints-500"]


LARGEST = {
    "rate": 60_000.0,
    "cpu_us": 3_000.0,
    "p50_us": 9_000.0,
    "p99_us": 90_000.0,
    "seconds": 2.0,
    "rss_mb": 120.0,
    "peak_mb": 120.0,
    "arrived": 1.0,
    "held_bytes": 400.0,
    "pause_ms": 50.0,
    "pause_wall_ms": 100.0,
    "behind_ms": 20_000.0,
}


def made_up(random: Random) -> dict[str, dict[Role, list[dict[str, float]]]]:
    """Samples of a whole run, three rounds."""
    return {
        scenario.name: {
            role: [{key: random.uniform(top / 100, top) for key, top in LARGEST.items()} for _ in range(3)]
            for role in scenario.contestants
        }
        for scenario in SCENARIOS
    }


def figure_of(scenario: str, key: str) -> Any:
    return next(one for one in FIGURES if (one.scenario, one.key) == (scenario, key))


def row_of(
    scenario: str,
    key: str,
    limit: float | None,
    peer: float | None,
    ours: float | None,
    rsa: float | None = None,
) -> report.Row:
    """The row of one round."""
    taken = {Role.LIMIT: limit, Role.PEER: peer, Role.OURS: ours, Role.RSA: rsa}
    samples = {role: [{key: value}] for role, value in taken.items() if value is not None}
    return report.row({scenario: samples}, figure_of(scenario, key))


@pytest.mark.parametrize(
    ("row", "ratio", "said"),
    [
        (row_of("blocking", "p50_us", 400, 2000, 600), 1.5, "ok"),
        (row_of("blocking", "p50_us", 400, 2000, 601), 1.5025, "MISSED"),
        (row_of("blocking", "cpu_us", 20, 1300, 200), 10, "ok"),
        (row_of("threads", "rate", 10_000, 750, 4_999), 0.4999, "MISSED"),
        (row_of("threads", "rate", 10_000, 750, 5_000), 0.5, "ok"),
        (row_of("import", "seconds", None, 0.2, 0.08), 0.4, "MISSED"),
        (row_of("idle", "rss_mb", None, 60, 45), None, "ok"),
        (row_of("zmq-burst", "arrived", None, 0.3, 1.0), None, "ok"),
        (row_of("zmq-burst", "arrived", None, 0.3, 0.99997), None, "MISSED"),
        (row_of("zmq-in-signed", "rate", 10_000, 300, 6_000, 70_000), 0.6, "ok"),
        (row_of("zmq-out-signed", "rate", 30_000, 30, 3_000, 6_000), 0.5, "MISSED"),
        (row_of("zmq-out-signed", "rate", 30_000, 30, 30_000), None, "FAILED"),
        (row_of("threads", "rate", 10_000, 750, None), None, "FAILED"),
        (row_of("threads", "rate", None, 750, 9_000), None, "FAILED"),
    ],
)
def test_bounds_are_kept_or_missed(row: report.Row, ratio: float | None, said: str) -> None:
    assert row.ratio == pytest.approx(ratio)
    assert report.verdict(row) == said
    assert row.missed is (said != "ok")


def test_a_row_has_medians_and_the_median_of_the_rounds_ratios() -> None:
    samples = {
        "many": {
            Role.LIMIT: [{"rate": 10.0}, {"rate": 30.0}, {"rate": 20.0}],
            Role.OURS: [{"rate": 8.0}, {"rate": 27.0}, {"rate": 14.0}],
        },
        "blocking": {Role.PEER: [{"rate": 5.0}]},
    }
    row = report.row(samples, figure_of("many", "rate"))
    assert (row.limit, row.ours) == (20.0, 14.0)
    assert row.ratio == pytest.approx(0.8)
    assert (row.peer, row.peer_is_another) == (5.0, True)


def test_many_publishers_are_compared_with_one_in_the_same_round() -> None:
    samples = {
        "endpoints-1": {Role.OURS: [{"cpu_us": 20.0}, {"cpu_us": 40.0}, {"cpu_us": 30.0}]},
        "endpoints-500": {Role.OURS: [{"cpu_us": 24.0}, {"cpu_us": 52.0}, {"cpu_us": 30.0}]},
    }
    row = report.row(samples, figure_of("endpoints-500", "cpu_us"))
    assert row.ratio == pytest.approx(1.2)
    assert (report.bound(row.figure), report.verdict(row)) == ("≤ 1.25 x one", "ok")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [("arrived", 1.0, "100 %"), ("arrived", 0.99997, "99.9 %"), ("peak_mb", 61.14, "61.1 MB")],
)
def test_numbers_are_said_with_their_units(key: str, value: float, said: str) -> None:
    assert report.number(key, value) == said


def test_the_closing_line_counts_missed_bounds() -> None:
    kept = row_of("threads", "rate", 10, 1, 6)
    lost = row_of("threads", "rate", 10, 1, 4)
    without_bound = row_of("threads", "cpu_us", 10, 1, 4)
    assert report.closing([kept, without_bound]) == "All 1 bounds are kept."
    assert report.closing([kept, lost, without_bound]) == "1 of 2 bounds is missed."
    assert report.closing([lost, lost]) == "2 of 2 bounds are missed."


def test_the_table_fits_into_eighty_columns() -> None:
    rows = report.rows(made_up(Random(1)), [scenario.name for scenario in SCENARIOS])
    for some in (report.of_libraries(rows), report.of_bridges(rows), report.of_verifier(rows)):
        written = io.StringIO()
        Console(file=written, width=80).print(table(some))
        lines = written.getvalue().rstrip().splitlines()
        titles = len({row.figure.scenario for row in some})
        assert len(lines) == 1 + titles + len(some)
    assert any("no more than 16" in note for note in notes(rows))
    assert sum("openssl alone, on all cores" in note for note in notes(rows)) == 2


def test_the_json_file_holds_every_sample() -> None:
    samples = made_up(Random(2))
    rows = report.rows(samples, list(samples))
    read = json.loads(json.dumps(report.as_json(samples, rows, {"cores": 2}, ["idle, peer: gone"])))
    assert read["samples"]["many"]["ours"] == samples["many"][Role.OURS]
    assert len(read["figures"]) == len(FIGURES)
    assert read["errors"] == ["idle, peer: gone"]


@pytest.mark.parametrize(
    ("scale", "row", "lengths"),
    [
        (plot.of_limit, row_of("threads", "rate", 10_000, 750, 6_000), (0.6, 0.075, 0.5)),
        (plot.of_limit, row_of("blocking", "p50_us", 400, 2_000, 500), (0.8, 0.2, 1 / 1.5)),
        (plot.of_limit, row_of("threads", "rate", 10_000, 750, None), (None, 0.075, 0.5)),
        (plot.of_limit, row_of("zmq-out-signed", "rate", 30_000, 300, 3_600, 6_000), (0.6, 0.05, 0.6)),
        (plot.plain, row_of("blocking", "cpu_us", 20, 1_300, 150), (150, 1_300, 200)),
        (plot.plain, row_of("many", "cpu_us", 20, 1_300, 25), (25, None, None)),
        (plot.of_peer, row_of("help", "seconds", None, 0.4, 0.1), (0.25, 1, 0.25)),
        (plot.of_peer, row_of("idle", "rss_mb", None, 60, 45), (0.75, 1, 0.75)),
    ],
)
def test_bars_and_bounds_share_one_scale(
    scale: plot.Scale, row: report.Row, lengths: tuple[float | None, ...]
) -> None:
    assert scale(row) == pytest.approx(lengths)


@pytest.mark.parametrize("names", [["idle"], ["many"], [scenario.name for scenario in SCENARIOS]])
def test_the_plot_is_drawn_of_whatever_was_measured(names: list[str], tmp_path: Path) -> None:
    samples = made_up(Random(3))
    rows = report.rows({name: samples[name] for name in names}, names)
    plot.draw(rows, tmp_path / "folder" / "bench.png", "a subtitle")
    assert (tmp_path / "folder" / "bench.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "names",
    [["zmq-in"], ["endpoints-500"], [scenario.name for scenario in SCENARIOS if scenario.of_bridges]],
)
def test_the_bridges_plot_is_drawn_of_whatever_was_measured(names: list[str], tmp_path: Path) -> None:
    samples = made_up(Random(4))
    rows = report.rows({name: samples[name] for name in names}, names)
    plot_bridges.draw(rows, tmp_path / "folder" / "bridges.png", "a subtitle")
    assert (tmp_path / "folder" / "bridges.png").read_bytes().startswith(b"\x89PNG")


def test_probes_have_no_messages() -> None:
    probed = {
        probe for scenario in SCENARIOS for probe in scenario.contestants.values() if isinstance(probe, Probe)
    }
    assert probed == set(Probe)


def test_a_shape_of_queues_is_measured(rabbitmq: PrivateNode) -> None:
    found = scaling.measure(scaling.Stage((rabbitmq,)), scaling.SHAPES[1], 800, 1)
    assert found["shape"]["queues"] == 8
    assert found["publish"]["a_second"] > 0
    assert found["consume"]["a_second"] > 0
    assert not [one for one in rabbitmq.management("GET", "/api/queues/%2F") if "scaling" in one["name"]]
