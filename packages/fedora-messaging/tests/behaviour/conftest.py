# SPDX-License-Identifier: MIT
"""Every test here runs twice: on ``memory:`` and on a real RabbitMQ."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from .buses import Bus, MemoryBus, RabbitBus

if TYPE_CHECKING:
    from collections.abc import Iterator

numbers = itertools.count()


@pytest.fixture(params=["memory", "rabbitmq"])
def bus(request: pytest.FixtureRequest) -> Iterator[Bus]:
    if request.param == "memory":
        yield MemoryBus(f"behaviour-{next(numbers)}")
        return
    url = request.getfixturevalue("amqp_url")
    rabbit = RabbitBus(request.getfixturevalue("rabbitmq"), url)
    yield rabbit
    rabbit.unblock()
    rabbit.close()
