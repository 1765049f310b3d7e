# SPDX-License-Identifier: MIT
"""Messages that the broker refuses, among others that it takes: only those fail."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from fedora_messaging.aio import Session
from fedora_messaging.exceptions import (
    PublishForbidden,
    PublishIncomplete,
    PublishNacked,
    PublishReturned,
)

from .support import declare, numbered, numbers_in, settings, user_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fedora_messaging.message import Message
    from fedora_messaging.private_node import PrivateNode

MESSAGES = 1000


def mixed(forbidden: Iterable[int]) -> list[Message]:
    """A thousand messages, of which these have topics that their user may not publish."""
    bad = set(forbidden)
    return [numbered([n], "not.mine" if n in bad else "mine.all")[0] for n in range(MESSAGES)]


async def failures_of(url: str, messages: list[Message], exchange: str | None = None) -> dict[int, Exception]:
    """Publish all in one pipeline; the failures by the messages' numbers."""
    async with Session(settings(url)) as session:
        try:
            await session.publish_many(messages, exchange, timeout=60)
        except PublishIncomplete as error:
            failures, published = error.failures, error.published
        else:
            failures, published = [], len(messages)
    assert published == len(messages) - len(failures)
    return {message.body["n"]: failure for message, failure in failures}


def check_arrived(url: str, expected: Iterable[int], note: Callable[[str], None]) -> None:
    """All of ``expected``, nothing else, each at first in the order of publishing."""
    arrived, wanted = numbers_in(url), sorted(expected)
    assert list(dict.fromkeys(arrived)) == wanted
    note(f"{len(wanted)} arrived, {len(arrived) - len(wanted)} duplicates")


@pytest.mark.parametrize("forbidden", [[500], range(10, MESSAGES, 20), range(990, MESSAGES)])
def test_forbidden_topics_fail_alone(
    rabbitmq: PrivateNode, amqp_url: str, note: Callable[[str], None], forbidden: Iterable[int]
) -> None:
    declare(amqp_url)
    failed = asyncio.run(failures_of(user_url(rabbitmq, amqp_url, r"^mine\..*"), mixed(forbidden)))
    assert sorted(failed) == sorted(forbidden)
    assert {type(error) for error in failed.values()} == {PublishForbidden}
    one = failed[min(forbidden)]
    assert isinstance(one, PublishForbidden)
    assert (one.exchange, one.topic) == ("amq.topic", "not.mine")
    check_arrived(amqp_url, set(range(MESSAGES)) - set(forbidden), note)


def test_forbidden_topics_that_differ_fail_alone(
    rabbitmq: PrivateNode, amqp_url: str, note: Callable[[str], None]
) -> None:
    declare(amqp_url)
    messages = mixed([])
    forbidden = range(7, MESSAGES, 40)
    for n in forbidden:
        messages[n].topic = f"not.mine.{n}"
    failed = asyncio.run(failures_of(user_url(rabbitmq, amqp_url, r"^mine\..*"), messages))
    assert {n: type(error) for n, error in failed.items()} == dict.fromkeys(forbidden, PublishForbidden)
    check_arrived(amqp_url, set(range(MESSAGES)) - set(forbidden), note)


def test_two_users_are_refused_each_its_own(
    rabbitmq: PrivateNode, amqp_url: str, note: Callable[[str], None]
) -> None:
    declare(amqp_url)
    urls = [user_url(rabbitmq, amqp_url, pattern) for pattern in (r"^mine\..*", r"^not\..*")]

    async def both() -> list[dict[int, Exception]]:
        return await asyncio.gather(*(failures_of(url, mixed(range(0, MESSAGES, 2))) for url in urls))

    first, second = asyncio.run(both())
    assert set(first) == set(range(0, MESSAGES, 2))
    assert set(second) == set(range(1, MESSAGES, 2))
    times = Counter(numbers_in(amqp_url))
    assert set(times) == set(range(MESSAGES))
    note(f"{MESSAGES} arrived, {sum(times.values()) - MESSAGES} duplicates")


def test_the_long_topic_whose_refusal_the_broker_shortens_is_found(
    rabbitmq: PrivateNode, amqp_url: str, note: Callable[[str], None]
) -> None:
    """A reply text has at most 255 bytes: what it says of such a topic is cut off."""
    declare(amqp_url)
    messages = mixed([])
    for n in (100, 400):
        messages[n].topic = f"not.mine.{'x' * 240}"
    failed = asyncio.run(failures_of(user_url(rabbitmq, amqp_url, r"^mine\..*"), messages))
    assert {n: type(error) for n, error in failed.items()} == dict.fromkeys((100, 400), PublishForbidden)
    check_arrived(amqp_url, set(range(MESSAGES)) - {100, 400}, note)


def test_a_missing_exchange_fails_its_message_alone(amqp_url: str, note: Callable[[str], None]) -> None:
    declare(amqp_url)

    async def scenario() -> list[BaseException | None]:
        async with Session(settings(amqp_url)) as session:
            return await asyncio.gather(
                *(
                    session.publish(message, "missing" if message.body["n"] == 500 else None)
                    for message in numbered(range(MESSAGES))
                ),
                return_exceptions=True,
            )

    outcomes = asyncio.run(scenario())
    assert [n for n, outcome in enumerate(outcomes) if outcome is not None] == [500]
    failure = outcomes[500]
    assert type(failure) is PublishReturned
    assert failure.exchange == "missing"
    assert "does not exist" in str(failure)
    check_arrived(amqp_url, set(range(MESSAGES)) - {500}, note)


def test_a_forged_user_id_fails_its_message_alone(amqp_url: str, note: Callable[[str], None]) -> None:
    declare(amqp_url)
    messages = numbered(range(MESSAGES))
    messages[300]._properties.user_id = "somebody"
    failed = asyncio.run(failures_of(amqp_url, messages))
    assert {n: type(error) for n, error in failed.items()} == {300: PublishForbidden}
    assert "user_id" in str(failed[300])
    check_arrived(amqp_url, set(range(MESSAGES)) - {300}, note)


def test_too_large_messages_fail_alone(victim_url: str, note: Callable[[str], None]) -> None:
    declare(victim_url)
    messages = numbered(range(MESSAGES))
    for n in (0, 600, 601):
        messages[n].body["filling"] = "x" * 150_000
    failed = asyncio.run(failures_of(victim_url, messages))
    assert {n: type(error) for n, error in failed.items()} == dict.fromkeys((0, 600, 601), PublishForbidden)
    assert "larger than" in str(failed[0])
    check_arrived(victim_url, set(range(MESSAGES)) - {0, 600, 601}, note)


def test_a_refused_message_that_nobody_waits_for_leaves_its_neighbours_alone(
    rabbitmq: PrivateNode, amqp_url: str, note: Callable[[str], None]
) -> None:
    declare(amqp_url)
    url = user_url(rabbitmq, amqp_url, r"^mine\..*")

    async def scenario() -> None:
        async with Session(settings(url)) as session:
            await session.publish(numbered([0], "mine.first")[0])
            refused = asyncio.create_task(session.publish(numbered([1], "not.mine")[0]))
            taken = asyncio.create_task(session.publish(numbered([2], "mine.all")[0]))
            await asyncio.sleep(0)  # both are on their way
            refused.cancel()
            await asyncio.wait([refused, taken])
            taken.result()

    asyncio.run(scenario())
    check_arrived(amqp_url, [0, 2], note)


def test_a_full_queue_is_told_apart(amqp_url: str) -> None:
    declare(amqp_url, arguments={"x-max-length": 5, "x-overflow": "reject-publish"})
    failed = asyncio.run(failures_of(amqp_url, numbered(range(40))))
    assert {type(error) for error in failed.values()} == {PublishNacked}
    assert "full" in str(failed[39])
    arrived = numbers_in(amqp_url)
    assert set(arrived) | set(failed) == set(range(40))
    assert not set(arrived) & set(failed)


def test_mandatory_messages_return_each_by_itself(amqp_url: str) -> None:
    declare(amqp_url, topic="mine.#")

    async def scenario() -> list[BaseException | None]:
        async with Session(settings(amqp_url)) as session:
            messages = [numbered([n], "mine" if n % 3 else "nobodys")[0] for n in range(300)]
            done = (session.publish(message, mandatory=True) for message in messages)
            return await asyncio.gather(*done, return_exceptions=True)

    outcomes = asyncio.run(scenario())
    returned = {n: type(outcome) for n, outcome in enumerate(outcomes) if outcome is not None}
    assert returned == dict.fromkeys(range(0, 300, 3), PublishReturned)
    assert numbers_in(amqp_url) == [n for n in range(300) if n % 3]
