# SPDX-License-Identifier: MIT
"""Listening to ZeroMQ publishers, each by a socket of its own: it is known who sent what, and who was not heard.

What is heard is not looked at here.
"""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import TYPE_CHECKING

from ..exceptions import ToolsError
from ..sockets import Subscriber

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..sockets import EndpointState

    Heard = Callable[[str, list[bytes], float], None]  # endpoint, frames, seconds since the epoch
    Blind = Callable[[str, float, float | None], None]  # endpoint, from, until (None: still)

__all__ = ["ZmqWitness"]

_log = logging.getLogger(__name__)

_READ = 256  # messages read from a socket in one turn of the loop
#: libzmq says that a connection is there before the publisher knows what is subscribed to.
SETTLING = 0.5


class _Line:
    """One publisher."""

    def __init__(self, subscriber: Subscriber) -> None:
        self.subscriber = subscriber
        self.seeing = False
        self.disconnects = 0


class ZmqWitness:
    """Hears all that some publishers send. To be used on one event loop.

    Arguments:
        endpoints: of the publishers.
        topics: prefixes.
        heard: called with each message.
        blind: called when a publisher cannot be heard, and when it can again.
    """

    def __init__(self, endpoints: Sequence[str], topics: Sequence[str], heard: Heard, blind: Blind) -> None:
        self._heard = heard
        self._blind = blind
        self._first = Subscriber(topics)  # connects to nobody; the others share its thread
        self._lines: dict[str, _Line] = {}
        self._looked = time.time()
        for endpoint in endpoints:
            line = _Line(Subscriber(topics, beside=self._first))
            try:
                line.subscriber.connect(endpoint)
            except ToolsError as error:
                _log.error("%s; the others go on", error)
                line.subscriber.close()
                continue
            self._lines[endpoint] = line
            blind(endpoint, self._looked, None)

    def attach(self) -> None:
        """Listen, on the running loop."""
        for endpoint, line in self._lines.items():
            line.subscriber.attach(partial(self._read, endpoint, line))

    def _read(self, endpoint: str, line: _Line) -> None:
        now = time.time()
        for frames in line.subscriber.receive(_READ):
            self._heard(endpoint, frames, now)

    def look(self) -> None:
        """Note who can be heard; to be called several times a second."""
        before, self._looked = self._looked, time.time()
        for endpoint, line in self._lines.items():
            state = line.subscriber.endpoints[endpoint]
            self._judge(endpoint, line, state, before)

    def _judge(self, endpoint: str, line: _Line, state: EndpointState, before: float) -> None:
        settled = state.connected and self._looked >= state.since + SETTLING
        if line.seeing and state.disconnects > line.disconnects:
            line.seeing = False
            # It was there when last looked at; when between that and now it went is not known.
            self._blind(endpoint, before, None)
        line.disconnects = state.disconnects
        if settled and not line.seeing:
            line.seeing = True
            until = state.since + SETTLING
            self._blind(endpoint, until, until)  # the beginning is known

    @property
    def seeing(self) -> Mapping[str, bool]:
        """Who can be heard."""
        return {endpoint: line.seeing for endpoint, line in self._lines.items()}

    def close(self) -> None:
        """Listen no more."""
        for line in self._lines.values():
            line.subscriber.close()
        self._first.close()
