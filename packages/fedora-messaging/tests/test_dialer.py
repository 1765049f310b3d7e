# SPDX-License-Identifier: MIT
"""Which host a connection goes to, when it is tried again, when it is given up, and what the log says of it."""

from __future__ import annotations

import asyncio
import itertools
import logging
from typing import TYPE_CHECKING

import pytest

from fedora_messaging.dialer import Dialer
from fedora_messaging.exceptions import ConfigurationException, ConnectionException
from fedora_messaging.transports.base import Address, ConnectionEvents
from fedora_messaging.transports.memory import Broker
from fedora_messaging.transports.memory_channel import Connection as MemoryConnection

if TYPE_CHECKING:
    from pathlib import Path

    from fedora_messaging.transports.base import Connection

numbers = itertools.count()


def brokers(count: int, query: str = "") -> tuple[list[Address], list[Broker]]:
    names = [f"dialer-{next(numbers)}" for _ in range(count)]
    return [Address(f"memory://{name}{query}") for name in names], [Broker.named(name) for name in names]


def where(connection: Connection) -> Broker:
    assert isinstance(connection, MemoryConnection)
    return connection.broker


def dial(dialer: Dialer, attempts: int | None = None) -> Broker:
    """One more connection of this dialer, which is then lost."""

    async def connect() -> Broker:
        connection = await asyncio.wait_for(dialer.dial(ConnectionEvents(), attempts), 10)
        await connection.close()
        return where(connection)

    return asyncio.run(connect())


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_each_connection_starts_with_the_next_host() -> None:
    addresses, hosts = brokers(3)
    dialer = Dialer(addresses, "testing")
    assert [dial(dialer) for _ in range(4)] == [*hosts, hosts[0]]
    assert dialer.connections == 4


def test_a_host_that_does_not_answer_is_passed_over() -> None:
    addresses, hosts = brokers(3)
    hosts[0].stop()
    hosts[1].stop(permanent=True)
    assert dial(Dialer(addresses, "testing"), attempts=1) is hosts[2]


def test_the_first_connection_is_given_up_after_so_many_rounds_with_the_pause_of_the_url() -> None:
    addresses, hosts = brokers(2, "?connection_attempts=3&retry_delay=0.05")
    for host in hosts:
        host.stop("connection refused")
    dialer = Dialer(addresses, "testing")
    assert dialer.attempts == 3

    async def connect() -> float:
        loop = asyncio.get_running_loop()
        begin = loop.time()
        with pytest.raises(ConnectionException, match="connection refused"):
            await dialer.dial(ConnectionEvents(), dialer.attempts)
        return loop.time() - begin

    assert 0.1 <= asyncio.run(connect()) < 1.0


def test_without_a_number_of_attempts_it_waits_until_the_broker_is_there() -> None:
    addresses, (host,) = brokers(1)
    host.stop()

    async def connect() -> Broker:
        asyncio.get_running_loop().call_later(0.3, host.start)
        return where(await asyncio.wait_for(Dialer(addresses, "testing").dial(ConnectionEvents()), 5))

    assert asyncio.run(connect()) is host


@pytest.mark.parametrize("attempts", [None, 5])
def test_what_another_attempt_cannot_mend_ends_the_first_connection_at_once(attempts: int | None) -> None:
    addresses, hosts = brokers(2, "?retry_delay=60")
    for host in hosts:
        host.stop("wrong password", permanent=True)
    with pytest.raises(ConnectionException, match="wrong password") as caught:
        dial(Dialer(addresses, "testing"), attempts)
    assert caught.value.permanent


def test_one_host_that_may_come_back_is_worth_waiting_for() -> None:
    addresses, hosts = brokers(2, "?retry_delay=0.01")
    hosts[0].stop("wrong password", permanent=True)
    hosts[1].stop("connection refused")

    async def connect() -> Broker:
        asyncio.get_running_loop().call_later(0.1, hosts[1].start)
        return where(await Dialer(addresses, "testing").dial(ConnectionEvents(), 1000))

    assert asyncio.run(connect()) is hosts[1]


def test_what_worked_once_is_never_given_up() -> None:
    addresses, (host,) = brokers(1)
    dialer = Dialer(addresses, "testing")
    dial(dialer)
    host.stop("wrong password", permanent=True)

    async def connect() -> Broker:
        asyncio.get_running_loop().call_later(0.3, host.start)
        return where(await asyncio.wait_for(dialer.dial(ConnectionEvents(), 1), 5))

    assert asyncio.run(connect()) is host
    assert dialer.last_error is not None
    assert dialer.last_error.reason == "wrong password"


def test_one_outage_is_two_lines_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    addresses, hosts = brokers(2)
    dialer = Dialer(addresses, "publishing")
    dial(dialer)
    for host in hosts:
        host.stop("connection refused")

    async def outage() -> None:
        dialer.lost(ConnectionException(reason="connection reset"))
        asyncio.get_running_loop().call_later(0.6, hosts[1].start)
        await dialer.dial(ConnectionEvents())

    asyncio.run(outage())
    assert lines(caplog) == [
        "Lost the connection for publishing: connection reset; connecting again",
        lines(caplog)[-1],
    ]
    assert lines(caplog)[-1].startswith(f"Connected to {addresses[1].url.removeprefix('memory://')} again")


def test_a_broker_that_is_not_there_yet_is_two_lines_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    addresses, (host,) = brokers(1)
    host.stop("connection refused")

    async def connect() -> None:
        asyncio.get_running_loop().call_later(0.6, host.start)
        await Dialer(addresses, "consuming").dial(ConnectionEvents())

    asyncio.run(connect())
    first, second = lines(caplog)
    assert first == "No connection for consuming: connection refused; trying again"
    assert "again for consuming, after " in second


def test_a_wrong_setting_ends_the_first_connection() -> None:
    with pytest.raises(ConfigurationException, match="'nowhere'"):
        dial(Dialer([Address("nowhere://localhost")], "testing"))


def test_a_certificate_that_is_just_being_replaced_is_no_reason_to_give_up(tmp_path: Path) -> None:
    """The file is missing for a moment: the next round finds what it finds."""
    addresses, (host,) = brokers(1)
    missing = Address("amqps://localhost:1", tls={"ca_cert": str(tmp_path / "ca.pem")})
    with pytest.raises(ConfigurationException, match=r"ca\.pem"):
        dial(Dialer([missing], "testing"))
    dialer = Dialer([*addresses, missing], "testing")
    dial(dialer)
    assert dial(dialer) is host
    assert dialer.last_error is not None
    assert "ca.pem" in str(dialer.last_error)


@pytest.mark.parametrize(
    ("query", "attempts"),
    [
        ("", 1),
        ("?connection_attempts=0", 1),
        ("?connection_attempts=many", 1),
        ("?connection_attempts=inf", 1),
        ("?connection_attempts=2&connection_attempts=4", 4),
        ("?heartbeat=5&connection_attempts=7", 7),
    ],
)
def test_attempts(query: str, attempts: int) -> None:
    addresses, _ = brokers(1, query)
    assert Dialer(addresses, "testing").attempts == attempts
