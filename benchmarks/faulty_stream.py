# SPDX-License-Identifier: MIT
"""Publishers, a bridge that does wrong on purpose, and wires that can be cut: what a verifier is to find out.

Everything is written down: what was done with each message, and whether the verifiers could see at that time. What a
verifier says of it does not belong here.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
import uuid
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

import zmq

from fedmsg_migration_tools.bridges.declaring import declare
from fedmsg_migration_tools.fedmsg import envelope, identity, setaside, translation
from fedora_messaging import wire
from fedora_messaging.aio import Session

if TYPE_CHECKING:
    from collections.abc import Callable

    from fedora_messaging.transports.base import Outgoing

__all__ = ["Fate", "Plan", "Sent", "Stream"]

LEGS = ("zmq_to_amqp", "amqp_to_zmq")
QUARANTINE = "zmq.quarantine"
PUBLISHERS = 2
_CROSSING = 0.02  # seconds that the bridge takes
_EDGE = 1.5  # seconds beside a cut that count as blind: what was on its way, and a connection that settles


class Fate(StrEnum):
    """What is done with a message."""

    WELL = "carried as it is"
    DROPPED = "dropped"
    LATE = "held back"
    DOUBLED = "sent twice"
    ALTERED = "altered"
    SET_ASIDE = "set aside, with a reason"


FAULTS = (Fate.DROPPED, Fate.LATE, Fate.DOUBLED, Fate.ALTERED, Fate.SET_ASIDE)


@dataclass(frozen=True)
class Plan:
    """How it goes; times in seconds.

    Attributes:
        rate: messages a second, on both legs together.
        clean: at first nothing is done, so that what was before the start is out of reach.
        faulty: then faults are made.
        quiet: then none, until what was held back has come.
        cut: then each of the three wires of the verifiers is cut for so long, one after the other.
        part: of the messages that meet each fault.
        late: for how long a message is held back.
        window: for how long our verifier waits at most; the old one always waits for 20.
    """

    rate: float = 100.0
    clean: float = 23.0
    faulty: float = 25.0
    quiet: float = 34.0
    cut: float = 3.0
    part: float = 0.02
    late: float = 32.0
    window: float = 20.0
    seed: int = 4

    @property
    def cuts(self) -> float:
        """For how long the last part lasts."""
        return 2 * _EDGE + 3 * (self.cut + 2 * _EDGE)

    @property
    def seconds(self) -> float:
        """Altogether."""
        return self.clean + self.faulty + self.quiet + self.cuts


@dataclass(frozen=True)
class Sent:
    """A message, and what was done with it."""

    leg: str
    fate: Fate
    at: float  # seconds since the epoch


class Wire:
    """A TCP connection from the verifiers to somebody on this machine, which can be cut."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._server: asyncio.Server | None = None
        self._pairs: set[asyncio.StreamWriter] = set()
        self.port = 0

    async def join(self) -> None:
        """Let connections be made, on the same port each time."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """End all connections, and refuse new ones."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._pairs):
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, far = await asyncio.open_connection("127.0.0.1", self._target)
        self._pairs |= {writer, far}
        await asyncio.gather(_pump(reader, far), _pump(there, writer))
        self._pairs -= {writer, far}


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    sink.transport.abort()


@dataclass
class Stream:
    """The bus with its faults. To be used on one event loop, as ``async with``.

    Attributes:
        sent: by the id without its year.
        cuts: when the verifiers could not see: legs, from, until, in seconds since the epoch.
    """

    amqp_url: str
    amqp_port: int
    plan: Plan
    sent: dict[str, Sent] = field(default_factory=dict)
    cuts: list[tuple[tuple[str, ...], float, float]] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        self._chance = random.Random(self.plan.seed)
        self._context = zmq.Context()
        self._publishers = [self._socket() for _ in range(PUBLISHERS)]
        self._bridge = self._socket()
        self._numbers = [0] * (PUBLISHERS + 1)
        self._failed: list[BaseException] = []
        self._wires = [Wire(_port(one)) for one in (*self._publishers, self._bridge)]
        self._broker = Wire(self.amqp_port)
        for one in (*self._wires, self._broker):
            await one.join()
        self._session = Session(amqp_url=self.amqp_url)
        await declare(self._session, quarantine=QUARANTINE, exchanges=["zmq.topic"])
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()
        for one in (*self._wires, self._broker):
            one.cut()
        self._context.destroy(linger=0)

    def _socket(self) -> zmq.Socket[bytes]:
        made = self._context.socket(zmq.PUB)
        made.sndhwm = 0
        made.bind("tcp://127.0.0.1:*")
        return made

    @property
    def publishers(self) -> list[str]:
        """Endpoints for the verifiers."""
        return [f"tcp://127.0.0.1:{one.port}" for one in self._wires[:-1]]

    @property
    def bridge(self) -> str:
        """The endpoint of the bridge, for the verifiers."""
        return f"tcp://127.0.0.1:{self._wires[-1].port}"

    @property
    def broker(self) -> str:
        """The broker's URL, for the verifiers."""
        return self.amqp_url.replace(f":{self.amqp_port}/", f":{self._broker.port}/")

    def blind(self, one: Sent) -> bool:
        """Whether the verifiers could not see it, or not all the time that it might have come."""
        last = one.at + (self.plan.window if one.fate is Fate.DROPPED else 0.0)
        return any(
            one.leg in legs and begin - _EDGE <= last and one.at <= end + _EDGE
            for legs, begin, end in self.cuts
        )

    async def play(self) -> None:
        """All of the plan. Raises what went wrong with the broker."""
        plan, begin = self.plan, time.monotonic()
        cutting = asyncio.create_task(self._cut_later(plan.clean + plan.faulty + plan.quiet))
        number = 0
        while (now := time.monotonic() - begin) < plan.seconds:
            self._one(number, self._fate(now))
            number += 1
            await asyncio.sleep(max(0.0, begin + number / plan.rate - time.monotonic()))
        await cutting
        await asyncio.sleep(1.0)
        if self._failed:
            raise self._failed[0]

    def _fate(self, now: float) -> Fate:
        plan, drawn = self.plan, int(self._chance.random() / self.plan.part)
        if plan.clean <= now < plan.clean + plan.faulty and drawn < len(FAULTS):
            return FAULTS[drawn]
        if now >= plan.clean + plan.faulty + plan.quiet and not drawn:
            return Fate.DROPPED
        return Fate.WELL

    async def _cut_later(self, delay: float) -> None:
        await asyncio.sleep(delay + 2 * _EDGE)
        inward, outward = LEGS
        for legs, wires in (
            ((outward,), self._wires[-1:]),
            ((inward,), self._wires[:-1]),
            (LEGS, [self._broker]),
        ):
            begin = time.time()
            for one in wires:
                one.cut()
            await asyncio.sleep(self.plan.cut)
            for one in wires:
                await one.join()
            # Who was cut off comes back within about a second; then it is to be seen that nothing else is blind.
            self.cuts.append((legs, begin, time.time() + _EDGE))
            await asyncio.sleep(2 * _EDGE)

    def _one(self, number: int, fate: Fate) -> None:
        plain, now = str(uuid.uuid4()), time.time()
        leg = LEGS[number % 2]
        self.sent[plain] = Sent(leg, fate, now)
        # The old verifier looks for the id in the body, where only its own bridges put it.
        body = {"n": number, "msg_id": identity.with_year(plain, int(now))}
        carry = self._inward if number % 2 == 0 else self._outward
        carry(number // 2, plain, body, fate)

    def _inward(self, number: int, _: str, body: dict[str, Any], fate: Fate) -> None:
        """From a publisher, over the bridge, to zmq.topic."""
        which, now = number % PUBLISHERS, time.time()
        topic = f"org.example.prod.{('bodhi', 'koji')[which]}.event"  # a process speaks for one application
        self._numbers[which] += 1
        numbered = {"i": self._numbers[which], "timestamp": int(now), "username": "apache"}
        frames = translation.frames({"topic": topic, "msg": body, "msg_id": body["msg_id"], **numbered})
        self._publishers[which].send_multipart(frames)
        if fate is Fate.SET_ASIDE:
            self._set_aside("zmq_to_amqp", frames, {})
            return
        made = translation.to_amqp(envelope.parse(frames), "zmq.topic", "zmq_to_amqp@oracle")
        self._cross(fate, lambda: self._publish(_altered(made) if fate is Fate.ALTERED else made))

    def _outward(self, _: int, plain: str, body: dict[str, Any], fate: Fate) -> None:
        """From amq.topic, over the bridge, to its socket."""
        topic = "org.example.prod.pagure.event"
        headers = {
            "fedora_messaging_schema": "base.message",
            "fedora_messaging_severity": 20,
            "sent-at": identity.iso(int(time.time())),
        }
        text = json.dumps(body).encode()
        self._publish(wire.raw("amq.topic", topic, text, message_id=plain, headers=headers))
        if fate is Fate.SET_ASIDE:
            properties = {"message_id": plain, "headers": headers}
            self._set_aside("amqp_to_zmq", (topic.encode(), text), properties)
            return
        text = text.replace(b'"n":', b'"m":') if fate is Fate.ALTERED else text
        self._cross(fate, lambda: self._send(topic, plain, headers, text))

    def _cross(self, fate: Fate, carry: Callable[[], None]) -> None:
        """The bridge, with what it does to this one."""
        loop = asyncio.get_running_loop()
        if fate is Fate.DROPPED:
            return
        loop.call_later(self.plan.late if fate is Fate.LATE else _CROSSING, carry)
        if fate is Fate.DOUBLED:
            loop.call_later(2.0, carry)

    def _publish(self, outgoing: Outgoing) -> None:
        self._session.submit(outgoing, 10.0, lambda error: self._failed.append(error) if error else None)

    def _send(self, topic: str, plain: str, headers: dict[str, Any], text: bytes) -> None:
        self._numbers[-1] += 1
        made = translation.to_envelope(
            topic, plain, headers, text, i=self._numbers[-1], now=time.time(), bridge="amqp_to_zmq@oracle"
        )
        self._bridge.send_multipart(translation.frames(made))

    def _set_aside(self, leg: str, frames: tuple[bytes, ...], properties: dict[str, Any]) -> None:
        letter = setaside.SetAside(
            "signature", "it was forged", time.time(), f"{leg}@oracle", leg, frames, properties
        )
        self._publish(letter.encode(QUARANTINE))


def _altered(outgoing: Outgoing) -> Outgoing:
    body = outgoing.body.replace(b'"n":', b'"m":')
    return type(outgoing)(outgoing.exchange, outgoing.topic, outgoing.properties, body)


def _port(made: zmq.Socket[bytes]) -> int:
    endpoint: Any = made.last_endpoint
    return int(endpoint.rstrip(b"\0").decode().rpartition(":")[2])
