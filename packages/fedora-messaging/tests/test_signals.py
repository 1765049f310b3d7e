# SPDX-License-Identifier: MIT
"""The three signals: who is told what, and when."""

from __future__ import annotations

from typing import Any

import pytest

from fedora_messaging import signals
from fedora_messaging.message import Message


class Ear:
    """Listens to all three signals."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Any, dict[str, Any]]] = []

    def before(self, sender: Any, **facts: Any) -> None:
        self.heard.append(("before", sender, facts))

    def after(self, sender: Any, **facts: Any) -> None:
        self.heard.append(("after", sender, facts))

    def failed(self, sender: Any, **facts: Any) -> None:
        self.heard.append(("failed", sender, facts))


@pytest.fixture
def ear() -> Any:
    ear = Ear()
    with (
        signals.pre_publish_signal.connected_to(ear.before),
        signals.publish_signal.connected_to(ear.after),
        signals.publish_failed_signal.connected_to(ear.failed),
    ):
        yield ear


def test_success(ear: Ear) -> None:
    message = Message()
    with signals.Announced("sender", message):
        assert ear.heard == [("before", "sender", {"message": message})]
    assert ear.heard[1:] == [("after", "sender", {"message": message})]


def test_failure(ear: Ear) -> None:
    message, error = Message(), ValueError("no")
    with pytest.raises(ValueError, match="no"), signals.Announced("sender", message):
        raise error
    assert ear.heard[1:] == [("failed", "sender", {"message": message, "error": error, "reason": error})]


def test_what_a_receiver_raises_reaches_the_publisher() -> None:
    def refuse(_sender: Any, message: Message) -> None:
        raise RuntimeError(message.topic)

    with (
        signals.pre_publish_signal.connected_to(refuse),
        pytest.raises(RuntimeError, match="a topic"),
        signals.Announced("sender", Message(topic="a topic")),
    ):
        pytest.fail("it was published all the same")
