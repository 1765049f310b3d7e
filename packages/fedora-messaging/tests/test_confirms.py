# SPDX-License-Identifier: MIT
"""The ledger against a model of what a broker says, and who is to blame against RabbitMQ's own words."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from pika import BasicProperties

from fedora_messaging.confirms import Ledger, Outcome, Settled, culprit
from fedora_messaging.transports.base import ChannelClosed, Outgoing, Returned

Address = tuple[str | None, str, str]
ADDRESSES: st.SearchStrategy[Address] = st.sampled_from(
    [("id", "x", "a.topic"), ("id", "y", "a.topic"), ("id", "x", "b.topic"), (None, "x", "a.topic")]
)


@dataclass
class Sent:
    """One message as the model knows it."""

    item: int
    address: Address | None
    returned: Returned | None = None


class Ledgers(RuleBasedStateMachine):
    """A channel that publishes, and a broker that settles in whatever order it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger: Ledger[int] = Ledger()
        self.model: dict[int, Sent] = {}
        self.last_tag = 0
        self.items = 0
        self.settled: list[int] = []

    @rule(address=st.none() | ADDRESSES)
    def send(self, address: Address | None) -> None:
        self.items += 1
        self.last_tag += 1
        assert self.ledger.sent(self.items, address) == self.last_tag
        self.model[self.last_tag] = Sent(self.items, address)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        """The broker returns messages in their order, so of several alike the first that it has not."""
        alike = {
            sent.address: sent for sent in reversed(self.model.values()) if sent.address and not sent.returned
        }
        assume(alike)
        sent = alike[data.draw(st.sampled_from(sorted(alike, key=repr)))]
        assert sent.address is not None
        message_id, exchange, topic = sent.address
        sent.returned = Returned(exchange, topic, message_id, "NO_ROUTE (312)")
        self.ledger.returned(sent.returned)

    @rule(
        tag=st.integers(0, 40), multiple=st.booleans(), nacked=st.booleans()
    )  # also of what was never sent, or is settled
    def settle(self, tag: int, multiple: bool, nacked: bool) -> None:
        tags = [one for one in self.model if one == tag or (multiple and one <= tag)]
        expected = [self._expected(self.model.pop(one), nacked) for one in tags]
        assert self.ledger.settle(tag, multiple, nacked=nacked) == expected
        self.settled += [one.item for one in expected]

    @staticmethod
    def _expected(sent: Sent, nacked: bool) -> Settled[int]:
        if sent.returned is not None:
            return Settled(sent.item, Outcome.RETURNED, sent.returned)
        return Settled(sent.item, Outcome.NACKED if nacked else Outcome.CONFIRMED)

    @rule()
    def close(self) -> None:
        left = self.ledger.close()
        assert left == [sent.item for sent in self.model.values()]
        self.settled += left
        self.ledger, self.model, self.last_tag = Ledger(), {}, 0

    @rule(address=ADDRESSES)
    def give_back_what_was_never_sent(self, address: Address) -> None:
        assume(address not in [sent.address for sent in self.model.values()])
        self.ledger.returned(Returned(address[1], address[2], address[0], "NO_ROUTE (312)"))

    @invariant()
    def what_is_open_is_in_order(self) -> None:
        assert list(self.ledger) == [sent.item for sent in self.model.values()]
        assert len(self.ledger) == len(self.model)

    def teardown(self) -> None:
        self.settled += self.ledger.close()
        assert sorted(self.settled) == list(range(1, self.items + 1))


test_each_message_settles_exactly_once = Ledgers.TestCase


def test_nothing_is_remembered_of_what_is_settled() -> None:
    ledger: Ledger[int] = Ledger()
    for item in range(1, 101):
        tag = ledger.sent(item, ("id", "exchange", "topic"))
        ledger.returned(Returned("exchange", "topic", "id", "NO_ROUTE (312)"))
        ledger.settle(tag, multiple=bool(item % 2))
    assert not ledger._open
    assert not ledger._mandatory
    assert not ledger._by_address
    assert not ledger._returned


def test_two_alike_are_both_returned() -> None:
    ledger: Ledger[str] = Ledger()
    returned = Returned("amq.topic", "a.b", "id", "NO_ROUTE (312)")
    for item in ("first", "second"):
        ledger.sent(item, ("id", "amq.topic", "a.b"))
    for _ in range(2):
        ledger.returned(returned)
    outcomes = [settled.outcome for settled in ledger.settle(2, multiple=True)]
    assert outcomes == [Outcome.RETURNED, Outcome.RETURNED]


def test_one_message_sent_to_two_exchanges_is_returned_by_one() -> None:
    ledger: Ledger[str] = Ledger()
    ledger.sent("routed", ("id", "amq.topic", "a.b"))
    ledger.sent("unroutable", ("id", "zmq.topic", "a.b"))
    returned = Returned("zmq.topic", "a.b", "id", "NO_ROUTE (312)")
    ledger.returned(returned)
    assert ledger.settle(2, multiple=True) == [
        Settled("routed", Outcome.CONFIRMED),
        Settled("unroutable", Outcome.RETURNED, returned),
    ]


# Who is to blame

VERSIONS = {"3.10": "", "4.0": "write "}
REPLY_LIMIT = 255  # AMQP 0.9.1, 4.2.5.3: a short string


def as_rabbitmq_says(code: int, words: str) -> ChannelClosed:
    """A reply as it arrives: cut to what fits (rabbit_binary_generator), half a character at the end replaced."""
    data = words.encode()
    if len(data) > REPLY_LIMIT:
        data = data[: REPLY_LIMIT - 3] + b"..."
    return ChannelClosed(code, data.decode(errors="replace"))


def topic_refused(exchange: str, topic: str, version: str = "3.10", vhost: str = "/") -> ChannelClosed:
    return as_rabbitmq_says(
        403,
        f"ACCESS_REFUSED - {VERSIONS[version]}access to topic '{topic}' in exchange '{exchange or 'amq.default'}'"
        f" in vhost '{vhost}' refused for user 'bodhi'",
    )


def exchange_refused(exchange: str, version: str = "3.10", vhost: str = "/") -> ChannelClosed:
    return as_rabbitmq_says(
        403,
        f"ACCESS_REFUSED - {VERSIONS[version]}access to exchange '{exchange or 'amq.default'}'"
        f" in vhost '{vhost}' refused for user 'bodhi'",
    )


def internal_exchange(exchange: str, vhost: str = "/") -> ChannelClosed:
    return as_rabbitmq_says(
        403, f"ACCESS_REFUSED - cannot publish to internal exchange '{exchange}' in vhost '{vhost}'"
    )


def no_exchange(exchange: str, vhost: str = "/") -> ChannelClosed:
    return as_rabbitmq_says(404, f"NOT_FOUND - no exchange '{exchange}' in vhost '{vhost}'")


def outgoing(exchange: str, topic: str) -> Outgoing:
    return Outgoing(exchange, topic, BasicProperties(), b"{}")


# Names that are parts of each other, quotes, the words of the texts themselves, and what has to be cut.
SHORT = [
    "a",
    "a.b",
    "a.b.c",
    "b",
    "bodhi",
    "topic",
    "exchange",
    "amq.topic",
    "amq.default",
    "a'b",
    "é",
    "...",
    "/",
    "",
]
LONG = ["x" * 200, "x" * 200 + "y", "x" * 255, "é" * 100, "é" * 120, "x" + "é" * 120]
NAMES = st.sampled_from([*SHORT, *LONG, "exchange 'a' in vhost '", "topic 'a' in exchange 'b' in vhost '"])
BATCHES = st.lists(st.tuples(NAMES, NAMES), min_size=2, max_size=8)


@given(BATCHES, st.data(), st.sampled_from(sorted(VERSIONS)), NAMES)
def test_a_refused_topic_is_blamed_on_the_first_message_with_it(
    batch: list[tuple[str, str]], data: st.DataObject, version: str, vhost: str
) -> None:
    exchange, topic = data.draw(st.sampled_from(batch))
    blamed = culprit(topic_refused(exchange, topic, version, vhost), [outgoing(*one) for one in batch])
    names = [(one or "amq.default", other) for one, other in batch]
    _check(
        blamed,
        names,
        (exchange or "amq.default", topic),
        cut_from=len("ACCESS_REFUSED - write access to topic ''"),
    )


@given(BATCHES, st.data(), st.sampled_from(sorted(VERSIONS)), NAMES)
def test_a_refused_exchange_is_blamed_on_the_first_message_to_it(
    batch: list[tuple[str, str]], data: st.DataObject, version: str, vhost: str
) -> None:
    exchange, _ = data.draw(st.sampled_from(batch))
    blamed = culprit(exchange_refused(exchange, version, vhost), [outgoing(*one) for one in batch])
    names = [(one or "amq.default", "") for one, _ in batch]
    _check(
        blamed,
        names,
        (exchange or "amq.default", ""),
        cut_from=len("ACCESS_REFUSED - write access to exchange ''"),
    )


@given(BATCHES, st.data(), NAMES)
def test_a_missing_or_internal_exchange_is_blamed_on_the_first_message_to_it(
    batch: list[tuple[str, str]], data: st.DataObject, vhost: str
) -> None:
    exchange, _ = data.draw(st.sampled_from(batch))
    assume(exchange)  # the default exchange is always there
    says = data.draw(st.sampled_from([no_exchange, internal_exchange]))
    blamed = culprit(says(exchange, vhost), [outgoing(*one) for one in batch])
    names = [(one or "amq.default", "") for one, _ in batch]
    _check(
        blamed, names, (exchange, ""), cut_from=len("ACCESS_REFUSED - cannot publish to internal exchange ''")
    )


def _check(blamed: int | None, names: list[tuple[str, str]], refused: tuple[str, str], cut_from: int) -> None:
    """The first with the refused names; where the words were cut within them, that one or nobody."""
    first = names.index(refused)
    room = REPLY_LIMIT - cut_from - len("' in exchange '' in vhost ''")
    if len("".join(refused).encode()) <= room - 3:
        assert blamed == first
    else:
        assert blamed in (first, None)


@given(BATCHES, BATCHES, st.data())
def test_nobody_is_blamed_whom_the_words_exclude(
    batch: list[tuple[str, str]], others: list[tuple[str, str]], data: st.DataObject
) -> None:
    exchange, topic = data.draw(st.sampled_from(others))
    assume(all((one or "amq.default") != (exchange or "amq.default") for one, _ in batch))
    assume(len((exchange + topic).encode()) < 100)
    messages = [outgoing(*one) for one in batch]
    for closed in (topic_refused(exchange, topic), exchange_refused(exchange), no_exchange(exchange)):
        assert culprit(closed, messages) is None


@given(BATCHES, st.sampled_from([311, 406, 501, 504, 540, 541]))
def test_other_closings_name_nobody(batch: list[tuple[str, str]], code: int) -> None:
    exchange, topic = batch[0]
    text = f"PRECONDITION_FAILED - access to topic '{topic}' in exchange '{exchange}' in vhost '/'"
    assert culprit(ChannelClosed(code, text), [outgoing(*one) for one in batch]) is None


@pytest.mark.parametrize("code", [311, 403, 404, 406, 540])
def test_alone_in_flight_is_evidence_enough(code: int) -> None:
    assert culprit(ChannelClosed(code, ""), [outgoing("amq.topic", "a.b")]) == 0


def test_a_text_that_is_cut_after_the_names_blames_as_one_that_is_not() -> None:
    messages = [outgoing("amq.default", "a"), outgoing("", "a")]
    closed = exchange_refused("", vhost="x" * 255)
    assert closed.text.endswith("x...")
    assert culprit(closed, messages) == 0


def test_a_cut_text_that_fits_two_topics_blames_neither() -> None:
    long = "org.fedoraproject.prod." + "x" * 200
    messages = [outgoing("amq.topic", f"{long}.one"), outgoing("amq.topic", f"{long}.two")]
    closed = topic_refused("amq.topic", f"{long}.two")
    assert closed.text.endswith("x...")
    assert culprit(closed, messages) is None


def test_a_cut_text_that_fits_one_topic_blames_it() -> None:
    long = "org.fedoraproject.prod." + "é" * 100
    messages = [outgoing("amq.topic", "a.b"), outgoing("amq.topic", long), outgoing("amq.topic", long)]
    closed = topic_refused("amq.topic", long)
    assert closed.text.endswith("...")
    assert culprit(closed, messages) == 1
