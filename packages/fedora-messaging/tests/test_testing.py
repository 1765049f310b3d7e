# SPDX-License-Identifier: MIT
"""``mock_sends``: the answers are those of fedora-messaging 3.9.1, tried one by one."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import jsonschema
import pytest

from fedora_messaging import _outbox, aio, api, message
from fedora_messaging.testing import mock_sends


class Greeting(message.Message):
    """A message with a schema of its own."""

    topic = "greeting"
    body_schema = {"type": "object", "properties": {"to": {"type": "string"}}, "required": ["to"]}  # noqa: RUF012


message._class_to_schema_name[Greeting] = "test_testing.greeting"
A = message.Message({"a": 1}, topic="a")
B = message.Message({"b": 1}, topic="b")


def test_what_is_expected_and_sent_passes_and_is_listed() -> None:
    with mock_sends(message.Message({"a": 1}, topic="a"), Greeting) as sent:
        api.publish(A, exchange="somewhere", timeout=3)
        api.publish(Greeting({"to": "you"}))
    assert sent[0] is A
    assert len(sent) == 2


def test_nothing_expected_and_nothing_sent_passes() -> None:
    with mock_sends() as sent:
        pass
    assert sent == []


@pytest.mark.parametrize(
    ("expected", "published"),
    [
        ([], [A]),
        ([A], []),
        ([A], [A, B]),
        ([A, B], [B, A]),
        ([A], [B]),
        ([Greeting], [A]),
        ([B], [Greeting({"to": "x"})]),
    ],
)
def test_a_mismatch_fails(expected: list[Any], published: list[message.Message]) -> None:
    with pytest.raises(AssertionError, match="Expected"), mock_sends(*expected):
        api.publish_many(published)


@pytest.mark.parametrize("expected", [Greeting, Greeting({"to": 1})])
def test_an_invalid_message_fails_as_invalid(expected: Any) -> None:
    with pytest.raises(jsonschema.ValidationError), mock_sends(expected):
        api.publish(Greeting({"to": 1}))


def test_an_error_in_the_block_is_not_hidden_by_what_was_not_sent() -> None:
    with pytest.raises(ZeroDivisionError), mock_sends(A):
        raise ZeroDivisionError


def test_the_innermost_takes_the_message() -> None:
    with mock_sends(A):
        with mock_sends(B):
            api.publish(B)
        api.publish(A)


def test_as_a_decorator() -> None:
    @mock_sends(A)
    def publish() -> str:
        api.publish(A)
        return "done"

    assert publish() == "done"


def test_batches_threads_and_coroutines_are_caught_as_well() -> None:
    async def publish() -> None:
        await aio.publish(A)
        await aio.publish_many([B])

    with mock_sends(A, B, A, B):
        api.publish_many([A, B])
        thread = threading.Thread(target=asyncio.run, args=(publish(),))
        thread.start()
        thread.join()


def test_nothing_is_captured_outside() -> None:
    with mock_sends():
        pass
    assert not _outbox.capture(A)
