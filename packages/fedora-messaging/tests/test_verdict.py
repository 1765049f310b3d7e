# SPDX-License-Identifier: MIT
"""What callbacks mean by what they raise: the table of the reference page."""

from __future__ import annotations

import asyncio

import pytest

from fedora_messaging.exceptions import ConsumeException, Drop, HaltConsumer, Nack
from fedora_messaging.verdict import Settlement, Verdict, judge


class OwnHalt(HaltConsumer):
    """An application's own."""


class OwnNack(Nack):
    """An application's own."""


HALT = HaltConsumer()
HALT_BADLY = HaltConsumer(exit_code=3, reason="enough")
HALT_AND_REQUEUE = HaltConsumer(requeue=True)
OWN_HALT = OwnHalt(requeue=True)
FAULT = ValueError("no such update")
CANCELLED = asyncio.CancelledError()
EXIT = SystemExit(2)
OTHER = ConsumeException()


@pytest.mark.parametrize(
    ("raised", "verdict"),
    [
        (None, Verdict(Settlement.ACK, None)),
        (Nack(), Verdict(Settlement.REQUEUE, None)),
        (OwnNack(), Verdict(Settlement.REQUEUE, None)),
        (Drop(), Verdict(Settlement.REJECT, None)),
        (HALT, Verdict(Settlement.ACK, HALT)),
        (HALT_BADLY, Verdict(Settlement.ACK, HALT_BADLY)),
        (HALT_AND_REQUEUE, Verdict(Settlement.REQUEUE, HALT_AND_REQUEUE)),
        (OWN_HALT, Verdict(Settlement.REQUEUE, OWN_HALT)),
        (FAULT, Verdict(Settlement.FAIL, FAULT)),
        (CANCELLED, Verdict(Settlement.FAIL, CANCELLED)),
        (EXIT, Verdict(Settlement.FAIL, EXIT)),
        (OTHER, Verdict(Settlement.FAIL, OTHER)),
    ],
    ids=repr,
)
def test_verdict(raised: BaseException | None, verdict: Verdict) -> None:
    assert judge(raised) == verdict


def test_settlements_are_named_as_the_statistics_are() -> None:
    assert {one.value for one in Settlement} == {"processed", "dropped", "rejected", "failed"}
