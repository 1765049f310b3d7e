# SPDX-License-Identifier: MIT
"""Which transport a URL's scheme asks for: this library's own, those that other packages bring, and none."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any

import pytest

from fedora_messaging import aio
from fedora_messaging.exceptions import ConfigurationException
from fedora_messaging.message import Message
from fedora_messaging.transports import for_address, transport_class
from fedora_messaging.transports.amqp import Transport as Amqp
from fedora_messaging.transports.base import Address
from fedora_messaging.transports.memory import Broker
from fedora_messaging.transports.memory import Transport as Memory

if TYPE_CHECKING:
    from pathlib import Path

numbers = itertools.count()

PARROT = """
from fedora_messaging.transports.base import Address
from fedora_messaging.transports.memory import Transport

seen = []

class Parrot(Transport):
    def __init__(self, address):
        seen.append(address)
        super().__init__(Address(address.url.replace("{scheme}://", "memory://"), address.tls))
"""


@pytest.fixture
def scheme() -> str:
    """One that nobody has used before: what is found is remembered."""
    return f"parrot{next(numbers)}"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str) -> str:
    """An installed package that brings a transport for the scheme; the name of its module."""
    name = f"{scheme}_transport"
    (tmp_path / f"{name}.py").write_text(PARROT.replace("{scheme}", scheme))
    _install(tmp_path, name, f"{scheme} = {name}:Parrot\n{scheme}-broken = {name}:Missing\n")
    monkeypatch.syspath_prepend(tmp_path)
    return name


def _install(folder: Path, name: str, entry_points: str) -> None:
    """What an installer leaves behind (PyPA's core metadata, and its entry points)."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[fedora_messaging.transports]\n{entry_points}")


async def publish(session: aio.Session) -> None:
    await asyncio.wait_for(session.publish(Message(topic="shop.order", body={"n": 1})), 10)


def test_another_package_adds_a_scheme(package: str, scheme: str) -> None:
    async def work() -> None:
        conf: dict[str, Any] = {
            "amqp_url": f"{scheme}://{package}?connection_attempts=2",
            "tls": {"ca_cert": "/ca.pem", "certfile": None, "keyfile": None},
            "client_properties": {"app": "shop"},
        }
        async with aio.Session(conf) as session, session.deliveries() as deliveries:
            await publish(session)
            delivery = await asyncio.wait_for(anext(deliveries), 10)
            assert delivery.message.body == {"n": 1}
            delivery.ack()

    asyncio.run(work())
    seen = __import__(package).seen
    assert [address.url for address in seen] == [f"{scheme}://{package}?connection_attempts=2"] * 2
    assert seen[0].tls["ca_cert"] == "/ca.pem"
    assert seen[0].client_properties["app"] == "shop"
    assert Broker.named(package).queues() == []


def test_it_may_be_one_of_several_hosts(package: str, scheme: str) -> None:
    Broker.named(f"{package}-1").stop()

    async def work() -> None:
        async with aio.Session({"amqp_url": f"{scheme}://{package}-1,{package}-2"}) as session:
            await publish(session)

    asyncio.run(work())
    seen = __import__(package).seen
    assert [address.url for address in seen] == [f"{scheme}://{package}-1", f"{scheme}://{package}-2"]


@pytest.mark.parametrize("url", ["{scheme}://localhost", "{scheme}:", "{scheme}://user:secret@localhost/"])
def test_a_scheme_that_nobody_provides_is_named_with_those_that_there_are(scheme: str, url: str) -> None:
    url = url.replace("{scheme}", scheme)

    async def work() -> None:
        async with aio.Session(amqp_url=url) as session:
            for attempt in (publish(session), session.publish_many([Message()]), session.consume(print)):
                with pytest.raises(ConfigurationException) as caught:
                    await attempt
                for word in (repr(scheme), "amqp", "amqps", "memory"):
                    assert word in str(caught.value)
                assert "secret" not in str(caught.value)
                assert "\n" not in str(caught.value)

    asyncio.run(work())


def test_a_transport_that_does_not_load_is_named(package: str, scheme: str) -> None:
    async def work() -> None:
        async with aio.Session(amqp_url=f"{scheme}-broken://localhost") as session:
            for attempt in (publish(session), session.consume(print)):
                with pytest.raises(ConfigurationException) as caught:
                    await attempt
                for word in (repr(f"{scheme}-broken"), f"{package}:Missing", "Missing"):
                    assert word in str(caught.value)

    asyncio.run(work())


def test_this_librarys_own() -> None:
    for scheme, own in (("amqp", Amqp), ("amqps", Amqp), ("memory", Memory)):
        assert transport_class(scheme) is own
        assert isinstance(for_address(Address(f"{scheme}://localhost")), own)


def test_names_of_brokers_in_memory() -> None:
    """``memory:`` alone is a broker too, and what follows the question mark is not a part of the name."""

    async def work() -> None:
        for url in ("memory:", "memory://", "memory://?connection_attempts=3"):
            async with aio.Session(amqp_url=url) as session:
                await session.publish(Message(topic="a"))
                with pytest.raises(Exception, match="no queue"):
                    await session.publish(Message(topic="a"), mandatory=True)

    asyncio.run(work())
