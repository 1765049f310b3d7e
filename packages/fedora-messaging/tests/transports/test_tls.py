# SPDX-License-Identifier: MIT
"""Publishing and consuming with certificates as logins, and with certificates that are renewed meanwhile."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fedora_messaging.aio import Delivery, Session
from fedora_messaging.config import DEFAULTS
from fedora_messaging.exceptions import PublishTimeout
from fedora_messaging.message import Message
from fedora_messaging.transports import amqp

QUEUE = "tls"
QUEUES = {QUEUE: {"durable": True, "auto_delete": False, "exclusive": False, "arguments": {}}}
BINDINGS = [{"queue": QUEUE, "exchange": "amq.topic", "routing_keys": ["tls.#"]}]
EXTERNAL = "EXTERNAL"


@pytest.fixture
def own(secure: Any, tmp_path: Path) -> Iterator[Callable[[str], dict[str, str | None]]]:
    """Puts a user's certificate and key where the settings look for ours. There is a queue for the test."""
    exchange = "/api/bindings/%2F/e/amq.topic/q"
    secure.node.management("PUT", f"/api/queues/%2F/{QUEUE}", {"durable": True})
    secure.node.management("POST", f"{exchange}/{QUEUE}", {"routing_key": "tls.#"})

    def put(user: str, *kinds: str) -> dict[str, str | None]:
        for kind in kinds or ("pem", "key"):
            shutil.copy(secure.path(f"{user}.{kind}"), tmp_path / f"own.{kind}")
        return {
            "ca_cert": secure.path("ca.pem"),
            "certfile": str(tmp_path / "own.pem"),
            "keyfile": str(tmp_path / "own.key"),
        }

    yield put
    secure.node.management("DELETE", f"/api/queues/%2F/{QUEUE}")


def settings(secure: Any, tls: dict[str, str | None], before: str = "") -> dict[str, Any]:
    return {
        **DEFAULTS,
        "amqp_url": secure.url(before),
        "tls": tls,
        "queues": QUEUES,
        "bindings": BINDINGS,
    }


def numbered(n: int) -> Message:
    return Message(topic="tls.test", body={"n": n})


async def eventually(condition: Callable[[], bool], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.05)


async def arrives(number: int, deliveries: AsyncIterator[Delivery]) -> None:
    """Until it does: what was acknowledged as the connection broke comes again."""
    async with asyncio.timeout(20):
        async for delivery in deliveries:
            delivery.ack()
            if delivery.message.body == {"n": number}:
                return


def break_connections(secure: Any) -> None:
    secure.node.evaluate('rabbit_networking:close_all_connections("to be renewed")')


@pytest.mark.parametrize(
    ("before", "login"), [("", ("alice", EXTERNAL)), ("admin:{password}@", ("admin", "PLAIN"))]
)
def test_the_user_is_the_common_name_unless_the_url_has_one(
    secure: Any, own: Any, before: str, login: tuple[str, str]
) -> None:
    url = before.format(password=secure.node.password)

    async def scenario() -> None:
        async with (
            Session(settings(secure, own("alice"), url)) as session,
            session.deliveries() as deliveries,
        ):
            message = numbered(1)
            message._properties.user_id = login[0]  # the broker refuses any other than the connection's
            await session.publish(message)
            delivery = await anext(deliveries)
            assert delivery.message == message
            delivery.ack()
            await eventually(lambda: secure.logins() == [login, login])

    asyncio.run(scenario())


PROGRAM = """
from fedora_messaging import api
from fedora_messaging.exceptions import HaltConsumer

seen = []

def callback(message):
    seen.append(message.body["n"])
    if message.body["n"] == 0:
        api.publish(api.Message(topic="tls.test", body={"n": 3}))
    if len(seen) == 4:
        raise HaltConsumer

api.publish(api.Message(topic="tls.test", body={"n": 0}))
api.publish_many([api.Message(topic="tls.test", body={"n": n}) for n in (1, 2)])
try:
    api.consume(callback)
except HaltConsumer:
    print(seen)
"""


def test_blocking(secure: Any, own: Any, tmp_path: Path) -> None:
    conf = settings(secure, own("alice"))
    path = tmp_path / "config.toml"
    path.write_text(
        f"""amqp_url = "{conf["amqp_url"]}"
[tls]
{"".join(f'{key} = "{value}"' + chr(10) for key, value in conf["tls"].items())}
[queues.{QUEUE}]
durable = true
auto_delete = false
exclusive = false
arguments = {{}}
[[bindings]]
queue = "{QUEUE}"
exchange = "amq.topic"
routing_keys = ["tls.#"]
"""
    )
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "FEDORA_MESSAGING_CONF": str(path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "[0, 1, 2, 3]\n"), done.stderr


def test_renewed_files_are_used_at_the_next_connection(secure: Any, own: Any) -> None:
    """The new certificate is another user's, so that the broker can tell which one it was shown."""

    async def scenario() -> None:
        async with Session(settings(secure, own("alice"))) as session, session.deliveries() as deliveries:
            await session.publish(numbered(1))
            await arrives(1, deliveries)
            await eventually(lambda: secure.logins() == [("alice", EXTERNAL)] * 2)

            own("bob")
            await session.publish(numbered(2))
            await arrives(2, deliveries)
            await eventually(lambda: secure.logins() == [("alice", EXTERNAL)] * 2)

            break_connections(secure)
            await session.publish(numbered(3))
            await arrives(3, deliveries)
            await eventually(lambda: secure.logins() == [("bob", EXTERNAL)] * 2)

    asyncio.run(scenario())


def test_a_half_renewed_pair_of_files_leaves_the_former_in_use(
    secure: Any, own: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with Session(settings(secure, own("alice"))) as session, session.deliveries() as deliveries:
            await session.publish(numbered(1))
            await arrives(1, deliveries)
            own("bob", "pem")
            for number in (2, 3):
                break_connections(secure)
                await session.publish(numbered(number))
                await arrives(number, deliveries)
                await eventually(lambda: secure.logins() == [("alice", EXTERNAL)] * 2)
            own("bob", "key")
            break_connections(secure)
            await session.publish(numbered(4))
            await arrives(4, deliveries)
            await eventually(lambda: secure.logins() == [("bob", EXTERNAL)] * 2)

    asyncio.run(scenario())
    complaints = [record.getMessage() for record in caplog.records if "going on with" in record.getMessage()]
    assert len(complaints) == 2  # one for each connection, not for each attempt
    assert "own.key is not the key of the certificate" in complaints[0]


def broken(path: Path, how: str) -> None:
    """What one may find while somebody writes the file: half of it, nothing in it, no file."""
    if how == "half":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif how == "empty":
        path.write_bytes(b"")
    else:
        path.unlink()


@pytest.mark.parametrize("how", ["half", "empty", "missing"])
@pytest.mark.parametrize("kind", ["pem", "key"])
def test_a_file_that_is_being_written_leaves_the_former_in_use(
    secure: Any, own: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, how: str, kind: str
) -> None:
    async def scenario() -> None:
        async with Session(settings(secure, own("alice"))) as session:
            await session.publish(numbered(1))
            broken(tmp_path / f"own.{kind}", how)
            break_connections(secure)
            await session.publish(numbered(2))
            await eventually(lambda: secure.logins() == [("alice", EXTERNAL)])
            own("bob")
            break_connections(secure)
            await session.publish(numbered(3))
            await eventually(lambda: secure.logins() == [("bob", EXTERNAL)])

    asyncio.run(scenario())
    assert caplog.text.count("going on with the files as they were before") == 1


def test_a_connection_outlives_its_certificate_and_the_log_says_so(
    secure: Any, own: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """RabbitMQ looks at a certificate as the connection begins, and not again."""

    async def scenario() -> None:
        end = datetime.now(UTC) + timedelta(seconds=4)
        secure.issue("alice", "brief", not_before=end - timedelta(days=9), not_after=end)
        async with Session(settings(secure, own("brief"))) as session:
            await session.publish(numbered(1))
            await asyncio.sleep((end - datetime.now(UTC)).total_seconds() + 2)
            await session.publish(numbered(2))
            assert session_connections(caplog) == 1
            break_connections(secure)
            with pytest.raises(PublishTimeout, match=r"refused our certificate \(certificate expired"):
                await session.publish(numbered(3), timeout=2)

    with caplog.at_level("INFO"):
        asyncio.run(scenario())
    assert caplog.text.count("own.pem ends on") == 1


def test_a_connection_that_lasts_looks_at_the_files_each_day(
    secure: Any, own: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(amqp, "DAY", 0.1)

    async def scenario() -> None:
        end = datetime.now(UTC) + timedelta(days=1)
        secure.issue("alice", "soon", not_before=end - timedelta(days=9), not_after=end)
        async with Session(settings(secure, own("alice"))) as session:
            await session.publish(numbered(1))
            await asyncio.sleep(0.3)
            assert caplog.messages == []
            own("soon")
            await eventually(lambda: caplog.text.count("own.pem ends on") == 1)

    asyncio.run(scenario())


def session_connections(caplog: pytest.LogCaptureFixture) -> int:
    return sum("Connected to" in record.getMessage() for record in caplog.records)


def test_a_certificate_that_expires_ends_nothing_before_the_next_connection(secure: Any, own: Any) -> None:
    """And then the error names it, while the session waits for a better one."""

    async def scenario() -> None:
        async with Session(settings(secure, own("alice"))) as session:
            await session.publish(numbered(1))
            own("expired")
            await session.publish(numbered(2))
            break_connections(secure)
            with pytest.raises(PublishTimeout, match="refused our certificate"):
                await session.publish(numbered(3), timeout=2)
            own("alice")
            await session.publish(numbered(4))

    asyncio.run(scenario())
