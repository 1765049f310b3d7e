# SPDX-License-Identifier: MIT
"""How a message crosses after all, by its direction: as the bridge itself would take it. No command is here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..bridges.crossing import Crossing
from ..exceptions import ToolsError
from ..quarantine import to_bridges_queue
from ..spool import Entry

if TYPE_CHECKING:
    from collections.abc import Callable

    from fedora_messaging.aio import Session
    from fedora_messaging.transports.base import Outgoing

    from ..config import Config, Signatures
    from ..fedmsg.setaside import SetAside
    from ..fedmsg.signing import Validator

__all__ = ["Way"]


class Way:
    """Called with a message from quarantine, it gives what is to be published.

    Arguments:
        config: the settings of both bridges.
        session: to declare with what is needed.
        unchecked: do not check signatures, even where the settings say to.

    Raises ``ToolsError`` for a message that cannot cross now either.
    """

    def __init__(self, config: Config, session: Session, *, unchecked: bool = False) -> None:
        self._config = config
        self._session = session
        self._unchecked = unchecked
        self._crossing: Crossing | None = None
        self._back: Callable[[SetAside], Outgoing] | None = None

    async def __call__(self, letter: SetAside) -> Outgoing:
        """What to publish."""
        if letter.direction == "zmq_to_amqp":
            return self._to_amqp(letter)
        if letter.direction == "amqp_to_zmq":
            if self._back is None:
                self._back = await to_bridges_queue(self._session, self._config.amqp_to_zmq.queue)
            return self._back(letter)
        raise ToolsError(f"no bridge goes the way {letter.direction!r}")

    def _to_amqp(self, letter: SetAside) -> Outgoing:
        if self._crossing is None:
            self._crossing = _crossing(self._config, unchecked=self._unchecked)
        prepared = self._crossing.prepare(Entry(0, letter.received_at, letter.frames))
        if prepared.fault is not None:
            raise prepared.fault
        if prepared.hold is not None:
            raise prepared.hold
        if prepared.outgoing is None:
            raise ToolsError("it bears a bridge's mark, so it came from AMQP and is there: drop it")
        return prepared.outgoing


def _crossing(config: Config, *, unchecked: bool) -> Crossing:
    settings = config.zmq_to_amqp
    signatures = settings.signatures
    return Crossing(
        settings.exchange,
        config.quarantine.queue,
        f"zmq_to_amqp@{settings.name}",
        _validator(signatures) if signatures.validate and not unchecked else None,
        signatures.bridge_signers,
    )


def _validator(signatures: Signatures) -> Validator:
    from ..fedmsg.policy import Policy  # noqa: PLC0415 - cryptography costs 20 MB
    from ..fedmsg.signing import Validator  # noqa: PLC0415

    return Validator(signatures.ca, signatures.crl, Policy(signatures.routing_policy, signatures.nitpicky))
