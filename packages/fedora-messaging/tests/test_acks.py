# SPDX-License-Identifier: MIT
"""Acknowledgements, against a channel that knows what a broker would say of each."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fedora_messaging.acks import Ack, Acks

# How deliveries are settled: their order, and for each whether it is done or rejected, and whether the shell
# looks for acknowledgements to send after it.
WAYS = st.integers(0, 30).flatmap(
    lambda size: st.tuples(
        st.permutations(range(1, size + 1)),
        st.lists(st.booleans(), min_size=size, max_size=size),
        st.lists(st.booleans(), min_size=size, max_size=size),
    )
)


class Broker:
    """What RabbitMQ does with settlements: one that settles nothing closes the channel (406)."""

    def __init__(self, delivered: int) -> None:
        self.unsettled = set(range(1, delivered + 1))
        self.acked: set[int] = set()

    def ack(self, ack: Ack) -> None:
        reach = {tag for tag in self.unsettled if tag <= ack.tag} if ack.multiple else {ack.tag}
        assert ack.tag in self.unsettled, f"PRECONDITION_FAILED - unknown delivery tag {ack.tag}"
        self.unsettled -= reach
        self.acked |= reach

    def reject(self, tag: int) -> None:
        assert tag in self.unsettled, f"PRECONDITION_FAILED - unknown delivery tag {tag}"
        self.unsettled.remove(tag)


@given(WAYS)
def test_every_done_delivery_is_acknowledged_once_and_no_other(
    ways: tuple[list[int], list[bool], list[bool]],
) -> None:
    order, done, takes = ways
    acks, broker = Acks(), Broker(len(order))
    finished = set()
    for tag, is_done, take in zip(order, done, takes, strict=True):
        if is_done:
            acks.done(tag)
            finished.add(tag)
        else:
            broker.reject(tag)  # sent before any acknowledgement that is taken later
            acks.rejected(tag)
        if take:
            for ack in acks.take():
                broker.ack(ack)
            assert broker.acked == finished
    for ack in acks.take():
        broker.ack(ack)
    assert broker.acked == finished
    assert not broker.unsettled
    assert acks.take() == []


@given(st.lists(st.integers(1, 5), max_size=10))
def test_what_is_done_in_order_takes_one_acknowledgement(runs: list[int]) -> None:
    acks, tag = Acks(), 0
    for run in runs:
        for _ in range(run):
            tag += 1
            acks.done(tag)
        assert acks.take() == [Ack(tag, multiple=run > 1)]


def test_a_rejected_delivery_does_not_break_the_run() -> None:
    acks = Acks()
    acks.done(1)
    acks.rejected(2)
    acks.done(3)
    assert acks.take() == [Ack(3, multiple=True)]


def test_an_unsettled_delivery_is_not_covered() -> None:
    acks = Acks()
    for tag in (1, 2, 4, 5):
        acks.done(tag)
    assert acks.take() == [Ack(2, multiple=True), Ack(4, multiple=False), Ack(5, multiple=False)]
    acks.done(3)
    assert acks.take() == [Ack(3, multiple=False)]
    acks.done(6)
    assert acks.take() == [Ack(6, multiple=False)]


def test_nothing_is_remembered_of_what_is_settled() -> None:
    acks = Acks()
    for tag in range(1, 1001):
        (acks.done if tag % 3 else acks.rejected)(tag)
        if tag % 7 == 0:
            acks.take()
    acks.take()
    assert not acks._done
    assert len(acks._rejected) <= 1
