# SPDX-License-Identifier: MIT
"""Every test here runs twice: on ``memory:`` and on a real RabbitMQ."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest

from fedora_messaging import background, config

from .buses import Bus, MemoryBus, RabbitBus, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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


@pytest.fixture
def configured(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """What the configuration file would say; the blocking functions read it when they are first used."""

    def configure(**more: Any) -> None:
        new_process()
        for key, value in {**settings(bus, "q"), **more}.items():
            monkeypatch.setitem(config.conf, key, value)

    def new_process() -> None:
        """As if nothing had been published by this process yet."""
        background._close()
        monkeypatch.setattr(background, "_main", None)
        monkeypatch.setattr(background, "_reentrant", None)

    config.conf.load_config()
    new_process()
    configure()
    yield configure
    background._close()
