# SPDX-License-Identifier: MIT
"""Getting a connection, and getting the next one when it is lost: which host, when, and what the log says.

One outage is two lines in the log, however many attempts it takes: one when it begins, one when it is over.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

from .address import watchful
from .backoff import delays
from .exceptions import ConfigurationException, ConnectionException
from .transports import certificates, for_address

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .transports.base import Address, Connection, ConnectionEvents, Transport

_log = logging.getLogger(__name__)

LONGEST = 30.0  # seconds to pause between two attempts, at most, unless somebody cannot wait
LASTING = 1.0  # seconds after which a connection counts as one that worked
_FLEETING = 3.0  # seconds to pause at most before the next connection, when one after the other does not last


class Dialer:
    """Opens connections to the first of several hosts that answers, one after the other.

    Arguments:
        addresses: the hosts, in order of preference; each new connection starts with the next one.
        purpose: what the connection is for, for the log: ``"publishing"``, ``"consuming"``.
        longest: seconds to pause between two attempts, at most.
    """

    def __init__(self, addresses: Sequence[Address], purpose: str, longest: float = LONGEST) -> None:
        self._addresses = [watchful(one) if len(addresses) > 1 else one for one in addresses]
        self._transports: dict[int, Transport] = {}  # by place in the list; each remembers what worked
        self._purpose = purpose
        self._longest = longest
        self._next = 0
        self._down_since: float | None = None
        self._up_since = float("-inf")
        self._fleeting: Iterator[float] | None = None  # pauses after connections that did not last
        self.last_error: ConnectionException | None = None
        self.connections = 0

    async def dial(self, events: ConnectionEvents, attempts: int | None = None) -> Connection:
        """A connection; waits and tries again while there is none.

        Before the first connection ever, ``attempts`` rounds over all hosts are made (None: without end), with
        the pause that the URL's ``retry_delay`` gives, and a failure that another attempt cannot mend ends it
        at once. After that it never gives up: what worked once is an outage, not a mistake, be it a certificate
        that is just being replaced.

        Raises ``ConnectionException`` of the last attempt, ``ConfigurationException``.
        """
        first = self.connections == 0
        if self._fleeting is not None:
            await asyncio.sleep(next(self._fleeting))
        pauses = delays(limit=self._longest)
        retry_delay = self._option("retry_delay", None)
        tried = 0
        while True:
            connection, permanent = await self._round(events)
            if connection is not None:
                return connection
            tried += 1
            assert self.last_error is not None  # noqa: S101 - a round without a connection sets it
            if first and (permanent or (attempts is not None and tried >= attempts)):
                raise self.last_error
            self._note_failure()
            pause = next(pauses)
            await asyncio.sleep(retry_delay if first and attempts and retry_delay is not None else pause)

    @property
    def several(self) -> bool:
        """Whether there is more than one host."""
        return len(self._addresses) > 1

    @property
    def attempts(self) -> int:
        """The URL's ``connection_attempts``: rounds before the first connection is given up."""
        return max(1, int(self._option("connection_attempts", 1) or 1))

    @property
    def user(self) -> str | None:
        """Whom we say to be: the user in the URL, or the name in our certificate; None where there is neither."""
        address = self._addresses[(self._next - 1) % len(self._addresses)]
        if name := urlsplit(address.url).username:
            return unquote(name)
        if path := address.tls.get("certfile"):
            with contextlib.suppress(OSError, ValueError):
                return certificates.of_file(path).subject
        return None

    def lost(self, error: ConnectionException, *, settled: bool = False) -> None:
        """The connection broke: the outage begins. ``settled``: it will not break for the same reason again."""
        self.last_error = error
        self._down_since = time.monotonic()
        if settled or self._down_since - self._up_since >= LASTING:
            self._fleeting = None
        elif self._fleeting is None:
            self._fleeting = delays(limit=_FLEETING)
        _log.warning("Lost the connection for %s: %s; connecting again", self._purpose, error)

    async def _round(self, events: ConnectionEvents) -> tuple[Connection | None, bool]:
        """One attempt a host: the connection, or None and whether every host refuses for good."""
        permanent = True
        for _ in self._addresses:
            place = self._next % len(self._addresses)
            address = self._addresses[place]
            self._next += 1
            try:
                if place not in self._transports:
                    self._transports[place] = for_address(address)
                connection = await self._transports[place].connect(events)
            except ConnectionException as error:
                self.last_error = error
                permanent = permanent and error.permanent
            except ConfigurationException as error:
                if not self.connections:
                    raise
                self.last_error = ConnectionException(reason=error.message)
            else:
                self._note_success(address)
                return connection, False
        return None, permanent

    def _note_failure(self) -> None:
        if self._down_since is None:
            self._down_since = time.monotonic()
            _log.warning("No connection for %s: %s; trying again", self._purpose, self.last_error)

    def _note_success(self, address: Address) -> None:
        self.connections += 1
        self._up_since = time.monotonic()
        host = urlsplit(address.url).hostname or "localhost"
        if self._down_since is not None:
            seconds = time.monotonic() - self._down_since
            _log.warning("Connected to %s again for %s, after %.1f s", host, self._purpose, seconds)
            self._down_since = None
        else:
            _log.info("Connected to %s for %s", host, self._purpose)

    def _option(self, name: str, default: float | None) -> float | None:
        """A number in the first URL's query; what is none is for the transport to complain about."""
        values = parse_qs(urlsplit(self._addresses[0].url).query).get(name, [""])
        try:
            number = float(values[-1])
        except ValueError:
            return default
        return number if math.isfinite(number) else default
