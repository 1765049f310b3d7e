# SPDX-License-Identifier: MIT
"""When to leave a broker's node for another one, though the connection to it stands. Pure: time comes as an argument.

Two things that the nodes of a cluster do:

* RabbitMQ 3.10 (seen on 3.10.8): a channel that first publishes to a quorum queue while that has no leader remembers
  the leader that is dead, and refuses all that is published on it until that node is back. So what is refused soon
  after connecting may be taken elsewhere, a moment later.
* A node that hangs confirms nothing, and its heartbeats are missed after two minutes only.

A node that is the only one is never left: where else should one go?
"""

from __future__ import annotations

ELECTION = 10.0
"""Seconds after connecting in which a refusal is not the queue's last word; an election takes one or two."""
SILENCE = 10.0
"""Seconds without a confirm, while some are due, after which a node is left; twice as long after each in vain."""
LONGEST = 160.0
"""Seconds of :data:`SILENCE` at most."""


class Doubt:
    """What one publisher holds of the node that it is connected to.

    Arguments:
        several: whether there is another.
    """

    def __init__(self, *, several: bool) -> None:
        self.several = several
        self._refusable = float("-inf")
        self._left = False
        self._moved = 0.0
        self._patience = SILENCE

    def connected(self, now: float) -> None:
        """To a node, be it another or the same."""
        if not self._left:
            self._refusable = now + ELECTION
        self._left = False
        self._moved = now

    def busy(self, now: float) -> None:
        """The first message after a time of rest is sent."""
        self._moved = now

    def confirmed(self, now: float) -> None:
        """The node confirms, or refuses: it lives."""
        self._moved = now
        self._patience = SILENCE

    def of_refusal(self, now: float) -> bool:
        """Whether a message that is refused now should be published elsewhere, before anybody is told."""
        return self.several and now < self._refusable

    def of_silence(self, now: float) -> bool:
        """Whether the node is to be left, as it owes confirms and gives none."""
        return self.several and now - self._moved >= self._patience

    def left(self, *, silent: bool) -> None:
        """The connection is given up."""
        self._left = True
        if silent:
            self._patience = min(2 * self._patience, LONGEST)
