# SPDX-License-Identifier: MIT
"""What a real RabbitMQ makes of the CA's certificates and lists, and how renewed ones reach it and its clients."""

import asyncio
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import zmq
from cryptography import x509

from fedmsg_migration_tools.pki.authority import Authority, Wish, chosen, utc_now
from fedora_messaging.aio import Session

from .broker import Broker, Tls, eventually, hello, tls


class Bus:
    """A CA and a broker of it."""

    def __init__(self, folder: Path) -> None:
        self.ca = Authority(folder / "pki")
        self.ca.init("Test CA")
        self.ca.issue("rabbit", Wish(("localhost", "127.0.0.1"), also_client=True))
        own = self.ca.folder.issued("rabbit")
        self.broker = Broker(self.ca.folder.ca, own / "cert.pem", own / "key.pem", self.ca.folder.crls)
        self.copies = folder / "copies"

    def add(self, name: str, days: int = 365) -> Tls:
        """A user with a certificate; where the CA keeps its files."""
        self.ca.issue(name, Wish(days=days))
        self.broker.add_user(name)
        files = self.ca.folder.issued(name)
        return tls(self.ca.folder.ca, files / "cert.pem", files / "key.pem")

    def copy(self, files: Tls, name: str) -> Tls:
        """As the client has them, whatever the CA does to its own."""
        folder = self.copies / name
        shutil.copytree(Path(str(files["certfile"])).parent, folder)
        return tls(self.ca.folder.ca, folder / "cert.pem", folder / "key.pem")

    def serial(self, name: str) -> str:
        """Of the certificate that the CA gave last."""
        record = self.ca.folder.ledger().current(name)
        assert record is not None
        return record.serial


@pytest.fixture(scope="module")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bus]:
    one = Bus(tmp_path_factory.mktemp("bus"))
    with one.broker.node:
        yield one


def test_a_certificate_is_a_login(bus: Bus) -> None:
    async def scenario() -> None:
        async with Session(bus.broker.settings(bus.add("login"))) as session:
            message = hello()
            message._properties.user_id = "login"  # the broker refuses any other than the connection's
            await session.publish(message)
            await eventually(lambda: any(one["user"] == "login" for one in bus.broker.connections()))
            (one,) = [one for one in bus.broker.connections() if one["user"] == "login"]
            assert one["ssl"] is True
            assert one["auth_mechanism"] == "EXTERNAL"
            assert one["peer_cert_subject"] == "CN=login"
            assert one["peer_cert_issuer"] == "CN=Test CA"

    asyncio.run(scenario())


def test_what_is_revoked_is_refused_at_once_and_the_others_are_not(bus: Bus) -> None:
    gone, other = bus.add("gone"), bus.add("other")
    kept = bus.copy(gone, "gone")

    async def scenario() -> None:
        async with Session(bus.broker.settings(kept)) as session:
            await session.publish(hello())
            bus.ca.revoke(chosen("gone", None, replaced=False), "keyCompromise")
            await session.publish(hello())  # what is open stays open: close it, or delete the user
            refused = await bus.broker.told(kept)
            assert "refused our certificate (certificate revoked)" in refused
            assert not await bus.broker.told(other)

    asyncio.run(scenario())
    bus.ca.issue("gone", Wish())  # a new one, for the same user
    assert not bus.broker.publishes(gone)


def test_a_revoked_one_cannot_take_up_a_former_tls_session(bus: Bus) -> None:
    """Which would not show its certificate again; with ``reuse_sessions`` the broker would not ask."""
    kept = bus.copy(bus.add("resuming"), "resuming")
    context = bus.broker.context(kept, ssl.TLSVersion.TLSv1_2)

    def shake_hands(session: ssl.SSLSession | None = None) -> ssl.SSLSession | None:
        where = ("localhost", bus.broker.node.ports["amqps"])
        with (
            socket.create_connection(where) as plain,
            context.wrap_socket(plain, server_hostname="localhost", session=session) as secure,
        ):
            return secure.session

    session = shake_hands()
    bus.ca.revoke(chosen("resuming", None, replaced=False), "keyCompromise")
    with pytest.raises(ssl.SSLError, match="REVOKED"):
        shake_hands(session)


def test_without_a_list_in_date_nobody_is_let_in(bus: Bus, tmp_path: Path) -> None:
    """So it is warned of early: `list`, and each command that writes makes a new one."""
    files = bus.add("late")
    (current,) = bus.ca.folder.crls.iterdir()
    current.rename(tmp_path / "away")
    assert "refused our certificate" in bus.broker.publishes(files)
    shutil.copytree(bus.ca.folder.path, tmp_path / "pki", symlinks=True)
    then = Authority(tmp_path / "pki", lambda: utc_now() - timedelta(days=800))  # the list lasts for 730
    then.refresh()
    shutil.copy(tmp_path / "pki" / "crl" / current.name, current)
    assert "refused our certificate" in bus.broker.publishes(files)
    bus.ca.refresh()
    assert not bus.broker.publishes(files)


def test_a_client_shows_its_renewed_certificate_at_the_next_connection(bus: Bus) -> None:
    files = bus.add("renewed", days=30)

    def validity() -> set[str]:
        return {one["peer_cert_validity"] for one in bus.broker.connections() if one["user"] == "renewed"}

    async def scenario() -> None:
        async with Session(bus.broker.settings(files)) as session:
            await session.publish(hello())
            await eventually(lambda: len(validity()) == 1)
            before = validity()
            (made,) = bus.ca.renew(["renewed"], days=300)
            await session.publish(hello())
            assert validity() == before
            bus.broker.break_connections()
            await session.publish(hello())
            await eventually(lambda: validity() not in (before, set()))
            assert f"{made.ends:%Y-%m-%dT%H:%M:%SZ}" in validity().pop()

    asyncio.run(scenario())


def test_the_broker_reads_its_own_renewed_certificate_and_a_second_ca(bus: Bus) -> None:
    """By itself within two minutes, while there are connections; sooner when told to."""
    early = bus.add("early")

    def shown() -> str:
        context = bus.broker.context(early, ssl.TLSVersion.TLSv1_3)
        where = ("localhost", bus.broker.node.ports["amqps"])
        with (
            socket.create_connection(where) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as secure,
        ):
            der = secure.getpeercert(binary_form=True)
            assert der is not None
            return f"{x509.load_der_x509_certificate(der).serial_number:x}"

    async def scenario() -> None:
        async with Session(bus.broker.settings(early)) as session:
            await session.publish(hello())
            before = bus.serial("rabbit")
            assert await asyncio.to_thread(shown) == before
            bus.ca.renew_authority(new=True)
            late = bus.add("of-the-second-ca")
            assert not await bus.broker.told(early)  # trusts both, and so do its files
            bus.broker.forget_files()
            assert not await bus.broker.told(late)
            bus.ca.renew(["rabbit"])
            bus.broker.forget_files()
            assert await asyncio.to_thread(shown) == bus.serial("rabbit") != before
            bus.broker.break_connections()
            await session.publish(
                hello()
            )  # the former CA's client trusts the second's server: ca.pem has both

    asyncio.run(scenario())


@pytest.mark.parametrize("service", ["zmq_to_amqp", "amqp_to_zmq", "verify_missing"])
def test_the_services_show_their_renewed_certificate_too(bus: Bus, tmp_path: Path, service: str) -> None:
    user = service.replace("_", "-")
    files = bus.add(user, days=30)
    settings = [f"{key} = {json.dumps(value)}" for key, value in files.items()]
    url = f"amqps://localhost:{bus.broker.node.ports['amqps']}/"
    (tmp_path / "library.toml").write_text("\n".join([f'amqp_url = "{url}"', "[tls]", *settings]))
    (tmp_path / "tools.toml").write_text(
        f"""
        [zmq_to_amqp]
        zmq_endpoints = ["ipc://{tmp_path}/in"]
        [amqp_to_zmq]
        publish_endpoint = "ipc://{tmp_path}/out"
        [verify_missing]
        zmq_endpoints = ["ipc://{tmp_path}/in"]
        bridge_endpoints = ["ipc://{tmp_path}/out"]
        store = "{tmp_path}/store"
        listen = "127.0.0.1:0"
        """
    )
    environment = {
        **os.environ,
        "FEDORA_MESSAGING_CONF": str(tmp_path / "library.toml"),
        "FEDMSG_MIGRATION_TOOLS_CONFIG": str(tmp_path / "tools.toml"),
        "STATE_DIRECTORY": str(tmp_path),
    }

    publisher: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PUB)
    publisher.bind(f"ipc://{tmp_path}/in")
    body = json.dumps(
        {"topic": "org.example.test", "msg": {}, "i": 1, "timestamp": 1, "msg_id": "1"}
    ).encode()

    def validity() -> set[str]:
        publisher.send_multipart(
            [b"org.example.test", body]
        )  # a bridge that has nothing to say does not connect
        return {one["peer_cert_validity"] for one in bus.broker.connections() if one["user"] == user}

    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "fedmsg_migration_tools", service],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        asyncio.run(eventually(lambda: len(validity()) == 1))
        (made,) = bus.ca.renew([user], days=300)
        bus.broker.break_connections()
        end = f"{made.ends:%Y-%m-%dT%H:%M:%SZ}"
        asyncio.run(eventually(lambda: [end in one for one in validity()] == [True]))
    finally:
        process.terminate()
        process.wait(30)
        publisher.close(linger=0)
