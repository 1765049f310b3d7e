# SPDX-License-Identifier: MIT
"""The way out to ZeroMQ: from an AMQP message to what is signed, kept for replay, and sent. No broker here.

Both forms of the bridge use it: the command of its own, and the callback for ``fedora-messaging consume``.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ..exceptions import Reason, Unbridgeable
from ..fedmsg import translation
from ..figures import Gauge
from ..sockets import Broadcaster
from .keys import server_keys
from .replaying import Replaying
from .signing import signer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ..config import AmqpToZmq as Settings

__all__ = ["TITLE", "Frames", "Outlet"]

TITLE = "amqp_to_zmq"

Frames = tuple[bytes, bytes]


class Outlet:
    """What publishes over ZeroMQ.

    Arguments:
        settings: the section ``amqp_to_zmq``.

    Raises ``ToolsError`` when its endpoints, keys or files are not to be used.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.bridge = f"{TITLE}@{settings.name}"
        self._signer = signer(settings.signing)
        self._broadcaster = Broadcaster(
            settings.publish_endpoint,
            connect=settings.remote_publish,
            high_water_mark=settings.high_water_mark,
            linger=settings.linger,
            curve=server_keys(settings.curve),
            curve_endpoints=() if settings.curve is None else settings.curve.endpoints,
        )
        self._replaying = Replaying.of(settings.replay)
        self._sent = 0  # the counter ``i`` of this process

    def attach(self) -> None:
        """Count those who listen, and answer for replays, on the running loop."""
        self._broadcaster.attach()
        if self._replaying is not None:
            self._replaying.attach()

    @property
    def signs(self) -> bool:
        """Whether messages are signed, which takes a third of a millisecond each."""
        return self._signer is not None

    @property
    def peers(self) -> int:
        """How many sockets are connected."""
        return self._broadcaster.peers

    def describe(self) -> str:
        """Where it publishes, and how, for the log."""
        where = ", ".join(self._broadcaster.endpoints)
        signed = "" if self._signer is None else f", signed by {self._signer.name}"
        replays = "" if self._replaying is None else f", replays at {self._replaying.endpoint}"
        return f"{where}{signed}{replays}"

    def reload(self) -> None:
        """Certificate and key may have been renewed. Raises ``ToolsError``, and keeps the old ones."""
        self._signer = signer(self._settings.signing)

    # one message

    def envelope(
        self, topic: str, message_id: str | None, headers: Mapping[str, Any], body: bytes
    ) -> dict[str, Any]:
        """What is to be sent, in the order of these calls. Raises ``Unbridgeable``."""
        envelope = translation.to_envelope(
            topic, message_id, headers, body, i=self._sent + 1, now=time.time(), bridge=self.bridge
        )
        # Numbered only now that it can cross: whoever listens takes a gap for a lost message.
        self._sent += 1
        if self._replaying is not None:
            envelope["seq_id"] = self._replaying.next_seq()
        return envelope

    def frames(self, envelope: Mapping[str, Any]) -> Frames:
        """Its frames, signed if that is wanted; in any thread.

        Raises ``Unbridgeable``: what can be read can be nested too deeply to be written in an envelope.
        """
        try:
            return translation.frames(envelope if self._signer is None else self._signer.sign(envelope))
        except ValueError as error:
            raise Unbridgeable(Reason.JSON, f"it cannot be signed: {error}") from error

    def send(self, batch: Sequence[tuple[Mapping[str, Any], Frames]]) -> None:
        """Keep messages for replay, and hand them to libzmq. Never waits for those who listen."""
        if self._replaying is not None:
            self._replaying.keep(batch)
        for _, frames in batch:
            self._broadcaster.send(frames)

    def gauges(self) -> Iterator[Gauge]:
        """What stands as it is."""
        yield Gauge.of(f"{TITLE}_subscribers", "Sockets that are connected.", self.peers)
        prefixes = dict(self._broadcaster.prefixes)
        yield Gauge(
            f"{TITLE}_subscriptions",
            "Subscriptions by topic prefix; the empty one is to everything.",
            ("prefix",),
            {(name.decode(errors="replace"),): float(count) for name, count in prefixes.items()},
        )
        if self._replaying is not None:
            yield from self._replaying.gauges()

    def close(self) -> None:
        """Wait, up to ``linger``, until what was sent is on the wire."""
        if self._replaying is not None:
            self._replaying.close()
        self._broadcaster.close()
