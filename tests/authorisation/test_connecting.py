# SPDX-License-Identifier: MIT
"""What the library says to those whom a broker does not let in, or who do not trust it: class, one line, what to do."""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import TYPE_CHECKING, Any

import pytest

from fedora_messaging import aio
from fedora_messaging.exceptions import ConnectionException
from fedora_messaging.message import Message

from .bus import PASSWORD

if TYPE_CHECKING:
    from .bus import Place

TOPIC = "org.fedoraproject.prod.bodhi.update"
WRONG = "a-wrong-secret"


def why(settings: dict[str, Any]) -> ConnectionException:
    """Why nothing can be published; the same as why nothing can be consumed."""

    async def work() -> tuple[ConnectionException, ConnectionException]:
        async with aio.Session(settings) as session:
            with pytest.raises(ConnectionException) as publishing:
                await session.publish(Message(topic=TOPIC), timeout=20)
        async with aio.Session({**settings, "queues": {"archive": {}}}) as session:
            with pytest.raises(ConnectionException) as consuming:
                await session.consume(print)
        return publishing.value, consuming.value

    one, other = asyncio.run(asyncio.wait_for(work(), 60))
    assert type(one) is type(other) is ConnectionException
    assert str(one) == str(other)
    return one


def test_who_is_let_in(place: Place) -> None:
    async def work() -> None:
        async with aio.Session(place.settings("bodhi")) as session:
            await session.publish(Message(topic=TOPIC), timeout=20)

    asyncio.run(asyncio.wait_for(work(), 30))


CASES: dict[str, tuple[dict[str, Any], str, str]] = {
    "the client does not know the server's CA": (
        {"ca": "other"},
        "the certificate of {where} is not trusted: ",
        "check tls.ca_cert and the host name in amqp_url",
    ),
    "the server's certificate is for another name": (
        {"host": "127.0.0.1"},
        "the certificate of {where} is not trusted: IP address mismatch",
        "take the name in the broker's certificate for the host in amqp_url",
    ),
    "the server does not know the client's CA": (
        {"own": "foreign"},
        "{where} refused our certificate (unknown ca): ",
        "check the certificate in tls.certfile ({folder}/foreign.crt), and which CA the broker trusts",
    ),
    "the client's certificate has expired": (
        {"own": "expired"},
        "{where} refused our certificate (certificate expired): ",
        "renew the one in tls.certfile ({folder}/expired.crt)",
    ),
    "the client's certificate is revoked": (
        {"own": "revoked"},
        "{where} refused our certificate (certificate revoked): ",
        "have a new one issued for tls.certfile ({folder}/revoked.crt)",
    ),
    "the certificate's name is no user": (
        {"own": "nobody"},
        "{where} did not accept our certificate as a login (EXTERNAL): ",
        "must be a user there",
    ),
    "a wrong password": (
        {"own": "", "password": WRONG},
        "{where} refused the user 'bodhi': ",
        "check user name and password in amqp_url",
    ),
    "an unknown virtual host": (
        {"vhost": "/nowhere"},
        "{where} does not let us use the virtual host '/nowhere': ",
        "check the path in amqp_url and the user's permissions",
    ),
    "a virtual host in which the user may do nothing": (
        {"vhost": "/"},
        "{where} does not let us use the virtual host '/': ",
        "check the path in amqp_url and the user's permissions",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_who_is_kept_out(place: Place, case: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    changes, begin, end = CASES[case]
    error = why(place.settings("bodhi", **changes))
    names = {
        "where": f"{changes.get('host', 'localhost')}:{place.node.ports['amqps']}",
        "folder": str(place.folder),
    }
    text = str(error)
    assert text.startswith(begin.format(**names)), text
    assert text.endswith(end.format(**names)), text
    assert "\n" not in text
    assert error.permanent
    assert not [secret for secret in (WRONG, PASSWORD) if secret in text + repr(error) + caplog.text]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("login", [{"own": ""}, {"own": "", "password": WRONG}])
def test_no_certificate_where_one_is_wanted(
    strict: Place, version: ssl.TLSVersion, login: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    create = ssl.create_default_context

    def only(**settings: Any) -> ssl.SSLContext:
        context = create(**settings)
        context.maximum_version = version
        return context

    monkeypatch.setattr(ssl, "create_default_context", only)
    error = why(strict.settings("bodhi", **login))
    assert str(error).startswith(f"localhost:{strict.node.ports['amqps']} wants a client's certificate (")
    assert str(error).endswith("): set tls.certfile and tls.keyfile")
    assert error.permanent


def test_no_certificate_is_no_login_either(place: Place) -> None:
    """Where certificates are optional, who shows none has to have a password."""
    error = why(place.settings("bodhi", own=""))
    assert str(error).endswith("refused the user 'guest': check user name and password in amqp_url")


def test_a_user_with_a_certificate_has_no_password(place: Place) -> None:
    for password in ("", "bodhi", "guest"):
        assert "refused the user 'bodhi'" in str(why(place.settings("bodhi", own="", password=password)))
