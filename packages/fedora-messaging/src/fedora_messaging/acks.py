# SPDX-License-Identifier: MIT
"""Which acknowledgements to send for the deliveries of one channel, joined as far as AMQP allows. Pure.

Deliveries are numbered 1, 2, 3, … in their channel (AMQP 0.9.1, basic.deliver: delivery-tag). An
acknowledgement with ``multiple`` settles all that came before, so it may only reach as far as everything
below it is settled already, or done.
"""

from __future__ import annotations

from typing import NamedTuple


class Ack(NamedTuple):
    """One basic.ack to send."""

    tag: int
    multiple: bool


class Acks:
    """Collects what is done, and says what to tell the broker."""

    def __init__(self) -> None:
        self._settled = 0  # every tag up to here is settled at the broker, or about to be
        self._done: set[int] = set()  # to be acknowledged, above _settled
        self._rejected: set[int] = set()  # settled on their own, above _settled

    def __len__(self) -> int:
        return len(self._done)

    def done(self, tag: int) -> None:
        """The delivery ``tag`` is to be acknowledged with the next :meth:`take`."""
        self._done.add(tag)

    def rejected(self, tag: int) -> None:
        """The delivery ``tag`` was settled by a basic.reject of its own."""
        self._rejected.add(tag)

    def take(self) -> list[Ack]:
        """The acknowledgements that settle all that is done; those in one unbroken run are one."""
        if not self._done:
            return []
        last, run_end = self._settled, 0
        while (tag := last + 1) in self._done or tag in self._rejected:
            if tag in self._done:
                run_end = tag
                self._done.discard(tag)
            self._rejected.discard(tag)
            last = tag
        acks = [Ack(run_end, run_end > self._settled + 1)] if run_end else []
        self._settled = last
        acks += [Ack(tag, False) for tag in sorted(self._done)]
        self._rejected |= self._done
        self._done.clear()
        return acks
