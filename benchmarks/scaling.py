# SPDX-License-Identifier: MIT
"""``python -m benchmarks.scaling``: how far one broker goes, and in which shape.

Not a race between clients: all is sent by the bare client of :mod:`.limit`. For each shape of queues two connections
publish persistent messages with confirms, then as many consumers as there are queues (at most eight) take them. What
counts is messages a second, and the broker's CPU time for one message, which says what more cores would bring.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import threading
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import pika

from fedora_messaging.private_node import PrivateCluster, PrivateNode

from . import frames, limit, payload
from .limit import Bare
from .processes import cpu_seconds, memory_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

EXCHANGE = "scaling"
WINDOW = 1000
PUBLISHERS = 2
CONSUMERS = 8


@dataclass(frozen=True)
class Shape:
    """Queues that are measured together.

    Attributes:
        name: as the table shows it.
        queues: how many.
        kind: ``classic``, ``quorum``, ``stream``.
        fanout: each message goes to all of them, else to one.
    """

    name: str
    queues: int
    kind: str
    fanout: bool = False


SHAPES = (
    Shape("one classic queue", 1, "classic"),
    Shape("8 classic queues", 8, "classic"),
    Shape("100 classic queues", 100, "classic"),
    Shape("one quorum queue", 1, "quorum"),
    Shape("8 quorum queues", 8, "quorum"),
    Shape("one stream", 1, "stream"),
    Shape("a super stream of 8", 8, "stream"),
    Shape("each message to 10 classic queues", 10, "classic", fanout=True),
    Shape("each message to 100 classic queues", 100, "classic", fanout=True),
)


#: On three nodes: what is copied to all of them, and what is not.
CLUSTERED = (SHAPES[0], SHAPES[3], SHAPES[4], SHAPES[5])


@dataclass(frozen=True)
class Stage:
    """The broker that is measured: one node or several. What it costs is the CPU time of all of them."""

    nodes: tuple[PrivateNode, ...]

    @property
    def url(self) -> str:
        """Of the first."""
        return self.nodes[0].amqp_url

    def cpu(self) -> float:
        """Seconds."""
        return sum(cpu_seconds(node.pid) for node in self.nodes)


@dataclass(frozen=True)
class Rate:
    """Messages a second, and the broker's CPU time for one, in microseconds."""

    a_second: float
    broker_us: float


def topic(shape: Shape, number: int) -> str:
    """Of the message with this number."""
    return payload.TOPIC if shape.fanout else f"{payload.TOPIC}.{number % shape.queues}"


def prepare(stage: Stage, shape: Shape) -> list[str]:
    """Declare the queues of a shape, empty; their names."""
    names = [f"scaling.{number}" for number in range(shape.queues)]
    arguments = {"x-queue-type": shape.kind}
    with pika.BlockingConnection(pika.URLParameters(stage.url)) as connection:
        channel = connection.channel()
        channel.exchange_declare(EXCHANGE, "topic", durable=True)
        for number, name in enumerate(names):
            channel.queue_declare(name, durable=True, arguments=arguments)
            channel.queue_bind(name, EXCHANGE, topic(shape, number))
    time.sleep(2)  # a quorum queue elects its leader
    return names


def remove(stage: Stage, names: Sequence[str]) -> None:
    """Delete them."""
    with pika.BlockingConnection(pika.URLParameters(stage.url)) as connection:
        channel = connection.channel()
        for name in names:
            channel.queue_delete(name)


def encoded(shape: Shape, count: int) -> list[bytes]:
    """Messages as frames."""
    body = payload.encoded_body()
    return [
        frames.publish(
            EXCHANGE,
            topic(shape, number),
            body,
            headers=payload.HEADERS,
            message_id=payload.message_id(number),
        )
        for number in range(count)
    ]


def at_once(stage: Stage, count: int, work: Sequence[Callable[[], None]]) -> Rate:
    """Run all of it in threads, and say how long ``count`` messages took."""
    threads = [threading.Thread(target=one) for one in work]
    cpu, begun = stage.cpu(), time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - begun
    return Rate(count / seconds, (stage.cpu() - cpu) / count * 1e6)


def publish(stage: Stage, shape: Shape, count: int) -> Rate:
    """With confirms, over :data:`PUBLISHERS` connections."""
    messages = encoded(shape, count)
    shares = [messages[number::PUBLISHERS] for number in range(PUBLISHERS)]
    connections = [Bare(stage.url) for _ in shares]
    for bare in connections:
        bare.confirms()
    work = [
        lambda bare=bare, share=share: limit.send_within_window(bare, share, WINDOW)
        for bare, share in zip(connections, shares, strict=True)
    ]
    rate = at_once(stage, count, work)
    for bare in connections:
        bare.__exit__(None)
    return rate


def consume(stage: Stage, shape: Shape, names: Sequence[str], count: int) -> Rate:
    """What waits in up to :data:`CONSUMERS` of the queues, by a connection each."""
    chosen = names[:CONSUMERS]
    share = count if shape.fanout else count // shape.queues
    connections = [Bare(stage.url) for _ in chosen]

    def take(bare: Bare, name: str) -> None:
        bare.call(frames.qos(500), frames.BASIC_QOS_OK)
        arguments = {"x-stream-offset": "first"} if shape.kind == "stream" else None
        bare.call(frames.consume(name, arguments), frames.BASIC_CONSUME_OK)
        limit.take_deliveries(bare, share)

    work = [
        lambda bare=bare, name=name: take(bare, name) for bare, name in zip(connections, chosen, strict=True)
    ]
    rate = at_once(stage, share * len(chosen), work)
    for bare in connections:
        bare.__exit__(None)
    return rate


def measure(stage: Stage, shape: Shape, count: int, rounds: int) -> dict[str, Any]:
    """Medians of some rounds."""
    published, consumed = [], []
    for _ in range(rounds):
        names = prepare(stage, shape)
        published.append(publish(stage, shape, count))
        consumed.append(consume(stage, shape, names, count))
        remove(stage, names)
    return {"shape": asdict(shape), "publish": median(published), "consume": median(consumed)}


def median(rates: Sequence[Rate]) -> dict[str, float]:
    """Of each of their values."""
    return {
        "a_second": statistics.median(one.a_second for one in rates),
        "broker_us": statistics.median(one.broker_us for one in rates),
    }


def federated(node: PrivateNode, count: int, rounds: int) -> Rate:
    """From one virtual host to another on the same node, until the last message is in the queue there."""
    rates = []
    for number in range(rounds):
        name = f"downstream-{number}"
        downstream = node.add_vhost(name)
        upstream = {"value": {"uri": node.amqp_url, "ack-mode": "on-confirm", "exchange": EXCHANGE}}
        node.management("PUT", f"/api/parameters/federation-upstream/{name}/bus", upstream)
        policy = {
            "pattern": f"^{EXCHANGE}$",
            "definition": {"federation-upstream": "bus"},
            "apply-to": "exchanges",
        }
        node.management("PUT", f"/api/policies/{name}/bus", policy)
        with pika.BlockingConnection(pika.URLParameters(downstream)) as connection:
            channel = connection.channel()
            channel.exchange_declare(EXCHANGE, "topic", durable=True)
            channel.queue_declare("all", durable=True)
            channel.queue_bind("all", EXCHANGE, "#")
            time.sleep(3)  # the link connects, and binds upstream
            shape = Shape("", 1, "classic", fanout=True)

            def arrived(channel: Any = channel) -> None:
                while channel.queue_declare("all", passive=True).method.message_count < count:
                    time.sleep(0.05)

            def send(shape: Shape = shape) -> None:
                publish(Stage((node,)), shape, count)

            rates.append(at_once(Stage((node,)), count, [send, arrived]))
        node.delete_vhost(name)
    return Rate(
        statistics.median(one.a_second for one in rates), statistics.median(one.broker_us for one in rates)
    )


def memory(node: PrivateNode) -> float:
    """What Erlang has in use, in kB of 1,000 bytes, after a collection."""
    return int(node.evaluate("[garbage_collect(P) || P <- processes()], erlang:memory(total)")) / 1000


def cost(
    node: PrivateNode, connections: int = 200, queues: int = 1000, bindings: int = 10_000
) -> dict[str, float]:
    """Memory in kB that one more connection with a channel, idle queue of each type, and binding takes."""
    # What is resident: over loopback Erlang counts buffers of 4 MB for each, which the system never fills.
    resident = memory_of(node.pid)["rss_mb"]
    opened = [Bare(node.amqp_url) for _ in range(connections)]
    found = {"a connection": (memory_of(node.pid)["rss_mb"] - resident) * 1000 / connections}
    for bare in opened:
        bare.__exit__(None)
    with pika.BlockingConnection(pika.URLParameters(node.amqp_url)) as connection:
        channel = connection.channel()
        for kind, count in (("classic", queues), ("quorum", queues // 5), ("stream", queues // 5)):
            before = memory(node)
            for number in range(count):
                channel.queue_declare(f"{kind}.{number}", durable=True, arguments={"x-queue-type": kind})
            found[f"a {kind} queue"] = (memory(node) - before) / count
            for number in range(1 if kind == "classic" else 0, count):
                channel.queue_delete(f"{kind}.{number}")
        before = memory(node)
        for number in range(bindings):
            channel.queue_bind("classic.0", EXCHANGE, f"org.fedoraproject.prod.{number}.#")
        found["a binding"] = (memory(node) - before) / bindings
        shape = Shape("", 1, "classic")
        found["us for a message among 10,000 bindings"] = publish(Stage((node,)), shape, 10_000).broker_us
        channel.queue_delete("classic.0")
    return found


def main(argv: Sequence[str] | None = None) -> None:
    """Print a line for each shape, and the whole as JSON at the end."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=40_000, help="messages of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(argv)
    plugins = ("rabbitmq_management", "rabbitmq_federation")
    found = []
    with PrivateNode(plugins=plugins) as node:
        with Bare(node.amqp_url) as bare:
            print(f"RabbitMQ {bare.version}, {options.count} messages, {options.rounds} rounds")
        for shape in SHAPES:
            count = options.count // (shape.queues if shape.fanout else 1)
            found.append(measure(Stage((node,)), shape, count, options.rounds))
            show(shape.name, found[-1]["publish"], found[-1]["consume"])
        rate = federated(node, options.count, options.rounds)
        show("federation, one virtual host to another", asdict(rate), None)
        for name, kilobytes in cost(node).items():
            print(f"{name:42} {kilobytes:7.1f} {'' if name.startswith('us') else 'kB'}", flush=True)
    with PrivateCluster(plugins=plugins) as cluster:
        for shape in CLUSTERED:
            found.append(measure(Stage(cluster.nodes), shape, options.count, options.rounds))
            show(f"three nodes: {shape.name}", found[-1]["publish"], found[-1]["consume"])
    json.dump(found, sys.stdout)
    print()


def show(name: str, published: dict[str, float], consumed: dict[str, float] | None) -> None:
    """A line of the table."""
    line = f"{name:42} publish {published['a_second']:9,.0f}/s {published['broker_us']:7.1f} us"
    if consumed is not None:
        line += f"   consume {consumed['a_second']:9,.0f}/s {consumed['broker_us']:7.1f} us"
    print(line, flush=True)


if __name__ == "__main__":
    main()
