# SPDX-License-Identifier: MIT
"""The example callback prints the message."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fedora_messaging.example import printer
from fedora_messaging.message import Message

if TYPE_CHECKING:
    import pytest


def test_printer(capsys: pytest.CaptureFixture[str]) -> None:
    message = Message({"key": "value"}, topic="a.topic")
    printer(message)
    assert capsys.readouterr().out == f"{message}\n"
