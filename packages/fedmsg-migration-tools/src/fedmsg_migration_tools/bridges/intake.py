# SPDX-License-Identifier: MIT
"""From the ZeroMQ sockets into the outbox, and what is done when there is no room.

Reading stops then. What libzmq receives meanwhile stays in its memory, and that has a bound as well: beyond it the
oldest messages are given up, counted, and said.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING

from .. import endpoints
from ..exceptions import SpoolFull, ToolsError
from ..figures import Counter, Gauge
from ..sockets import Subscriber
from .keys import client_keys
from .memory import resident, trim

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ..config import ZmqToAmqp as Settings
    from ..sockets import EndpointState
    from .outbox import Outbox
    from .tally import Tally

    Sources = Callable[[], Sequence[str]] | None

__all__ = ["Intake"]

_log = logging.getLogger(__name__)

_READ = 256  # messages read in one turn of the loop
_GIVE_UP = 1024  # messages given up between two looks at the memory


class Intake:
    """Listens to the publishers. To be used on one event loop.

    Arguments:
        settings: the section ``zmq_to_amqp``.
        outbox: where messages go.
        tally: counters.
        taken: called after messages have come in.
        sources: says anew at each reload what ``zmq_endpoints`` are; those of the settings when omitted.

    Raises ``ToolsError`` when the topics or keys are not to be used.
    """

    def __init__(
        self,
        settings: Settings,
        outbox: Outbox,
        tally: Tally,
        taken: Callable[[], None],
        sources: Sources = None,
    ) -> None:
        self._settings = settings
        self._sources = sources
        self._outbox = outbox
        self._tally = tally
        self._taken = taken
        self._subscriber = Subscriber(settings.topics, curve=client_keys(settings.curve))
        self._held: list[list[bytes]] = []  # read, and no room for them
        self._resident = 0  # bytes, when reading stopped
        self._unread = 0  # messages that a stop could not take any more
        self.full: str | None = None  # why nothing is read
        self.since = time.monotonic()  # when messages last began to wait

    def start(self) -> None:
        """Connect to the endpoints, and read. Raises ``ToolsError`` when there are none."""
        self.reload()
        self._subscriber.attach(self._read)

    def reload(self) -> None:
        """Connect to the endpoints that are configured now, and leave those that are not any more.

        Raises ``ToolsError``, and leaves all as it is, when there are none, or a file of them cannot be read.
        """
        sources = self._settings.zmq_endpoints if self._sources is None else self._sources()
        wanted = endpoints.read(sources)
        if not wanted:
            raise ToolsError("no ZeroMQ endpoints: name them with --zmq-endpoint, or in zmq_endpoints")
        known = set(self._subscriber.endpoints)
        for endpoint in wanted:
            if endpoint not in known:
                self._connect(endpoint)
        for endpoint in known.difference(wanted):
            _log.info("No longer listening to %s", endpoint)
            self._subscriber.disconnect(endpoint)

    def _connect(self, endpoint: str) -> None:
        try:
            self._subscriber.connect(endpoint)
        except ToolsError as error:
            _log.error("%s; the others go on", error)

    @property
    def endpoints(self) -> Mapping[str, EndpointState]:
        """How it stands with each publisher."""
        return self._subscriber.endpoints

    # reading

    def _read(self) -> None:
        """Something can be read."""
        messages = self._subscriber.receive(_READ)
        if messages:
            self._store(messages)
            self._taken()

    def _store(self, messages: list[list[bytes]]) -> None:
        application, count = self._tally.application, self._tally.received.add
        for frames in messages:
            count(1, application(frames[0].decode(errors="replace")))
        try:
            self._take(messages)
        except SpoolFull as error:
            self._held += messages
            self.stop_reading(str(error))

    def _take(self, messages: list[list[bytes]]) -> None:
        now = time.monotonic()
        if not self._outbox.in_memory:
            self.since = now
        self._outbox.take(messages, time.time(), now)

    # no room

    def stop_reading(self, why: str) -> None:
        """There is no room for what comes in."""
        if self.full is None:
            _log.critical(
                "No room for what comes in: %s. Reading has stopped; %d messages wait. Free the disk, raise "
                "spool.max_bytes, or bring the broker back",
                why,
                self._outbox.waiting,
            )
            self._resident = resident()
        self.full = why
        self._subscriber.pause()

    def tick(self) -> None:
        """There may be room again."""
        if self.full is None:
            return
        try:
            self._outbox.flush()
            self._outbox.secure()
            self._take(self._held)
        except SpoolFull as error:
            self.full = str(error)
            self._bound_memory()
            return
        _log.warning("There is room again: reading goes on. %.0f messages were lost", self._tally.lost.total)
        self._held, self.full = [], None
        self._subscriber.resume()

    def _bound_memory(self) -> None:
        """What libzmq has received since reading stopped must not take more than its share."""
        count = 0
        while self._excess() > 0 and (messages := self._subscriber.receive(_GIVE_UP)):
            count += len(messages)
            trim()  # else what is given up would still be counted as ours
        if count:
            self._tally.lost.add(count)
            _log.critical("%d messages are lost: no room in memory (receive_max_bytes) nor on disk", count)

    def _excess(self) -> int:
        return resident() - self._resident - self._settings.receive_max_bytes

    # the end

    async def finish(self) -> None:
        """Take what has arrived, and listen no more."""
        self._subscriber.pause()
        while messages := self._subscriber.receive(_READ):
            if self.full is None:
                self._store(messages)
            else:
                self._unread += len(messages)
            await asyncio.sleep(0)
        self._subscriber.close()

    def leave(self) -> int:
        """Leave all that is in memory on disk, the oldest first; how many messages had no room there."""
        self._outbox.flush()
        with contextlib.suppress(SpoolFull):
            self._outbox.secure()
            self._take(self._held)
            self._held = []
            self._outbox.secure()
        return self._outbox.unsecured + len(self._held) + self._unread

    def gauges(self) -> Iterator[Gauge | Counter]:
        """What stands as it is."""
        full = float(self.full is not None)
        yield Gauge.of("zmq_to_amqp_full", "1 while there is no room for what comes in.", full)
        states = dict(self._subscriber.endpoints)
        yield Gauge(
            "zmq_to_amqp_endpoint_connected",
            "1 while the endpoint is connected.",
            ("endpoint",),
            {(name,): float(state.connected) for name, state in states.items()},
        )
        yield Counter(
            "zmq_to_amqp_endpoint_disconnects",
            "Connections to the endpoint that were lost.",
            ("endpoint",),
            {(name,): state.disconnects for name, state in states.items()},
        )
