# SPDX-License-Identifier: MIT
"""What was sent over ZeroMQ is kept for a while, and sent again to those who ask for what they missed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..archive import Archive, Record
from ..figures import Gauge
from ..sockets import Replier

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ..config import Replay

__all__ = ["Replaying"]


class Replaying:
    """The archive of one bridge, and the socket that answers from it.

    Arguments:
        endpoint: where to answer.
        archive: what is kept.

    Raises ``ToolsError`` when it cannot listen there.
    """

    def __init__(self, endpoint: str, archive: Archive) -> None:
        self._archive = archive
        self._requests = 0
        self._replier = Replier(endpoint, self._answer)

    @classmethod
    def of(cls, settings: Replay) -> Replaying | None:
        """As the settings say; None when nothing is to be replayed. Raises ``ToolsError``."""
        if settings.endpoint is None:
            return None
        return cls(settings.endpoint, Archive(settings.path, settings.max_messages, settings.max_age))

    @property
    def endpoint(self) -> str:
        """Where it answers."""
        return self._replier.endpoint

    def attach(self) -> None:
        """Answer, on the running loop."""
        self._replier.attach()

    def next_seq(self) -> int:
        """The number of the next message."""
        return self._archive.next_seq()

    def keep(self, sent: Sequence[tuple[Mapping[str, Any], tuple[bytes, bytes]]]) -> None:
        """Keep messages, each an envelope and its frames, before they are sent.

        One that cannot be kept is sent all the same: those who listen must not wait for a disk.
        """
        records = [
            Record(
                envelope["seq_id"], envelope["msg_id"], envelope["timestamp"], envelope["topic"], frames[1]
            )
            for envelope, frames in sent
        ]
        self._archive.add(records)

    def _answer(self, request: bytes) -> list[bytes]:
        self._requests += 1
        return self._archive.answer(request)

    def gauges(self) -> Iterator[Gauge]:
        """What stands as it is."""
        yield Gauge.of(
            "amqp_to_zmq_replay_requests", "Requests for a replay, since the start.", self._requests
        )
        yield Gauge.of(
            "amqp_to_zmq_replay_unkept",
            "Messages sent that could not be kept for replay.",
            self._archive.failed,
        )

    def close(self) -> None:
        """Answer no more."""
        self._replier.close()
        self._archive.close()
