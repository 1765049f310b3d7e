# SPDX-License-Identifier: MIT
"""What the library says to those whom a broker does not let in, or who do not trust it: class, one line, what to do."""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import TYPE_CHECKING, Any

import pytest

from fedora_messaging import aio
from fedora_messaging.message import Message

from .bus import PASSWORD
from .cases import CASES, WRONG

if TYPE_CHECKING:
    from .bus import Place

TOPIC = "org.fedoraproject.prod.bodhi.update"


def test_who_is_let_in(place: Place) -> None:
    async def work() -> None:
        async with aio.Session(place.settings("bodhi")) as session:
            await session.publish(Message(topic=TOPIC), timeout=20)

    asyncio.run(asyncio.wait_for(work(), 30))


@pytest.mark.parametrize("case", CASES)
def test_who_is_kept_out(place: Place, case: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    changes, begin, end = CASES[case]
    error = place.why(place.settings("bodhi", **changes))
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
    error = strict.why(strict.settings("bodhi", **login))
    assert str(error).startswith(f"localhost:{strict.node.ports['amqps']} wants a client's certificate (")
    assert str(error).endswith("): set tls.certfile and tls.keyfile")
    assert error.permanent


def test_no_certificate_is_no_login_either(place: Place) -> None:
    """Where certificates are optional, who shows none has to have a password."""
    error = place.why(place.settings("bodhi", own=""))
    assert str(error).endswith("refused the user 'guest': check user name and password in amqp_url")


def test_a_user_with_a_certificate_has_no_password(place: Place) -> None:
    for password in ("", "bodhi", "guest"):
        assert "refused the user 'bodhi'" in str(
            place.why(place.settings("bodhi", own="", password=password))
        )


def test_without_a_list_nobody_can_tell_who_is_revoked(place: Place) -> None:
    """Nobody is let in then: who could hide the list could undo it. When it is back, no restart is needed."""
    (revoked,) = place.folder.glob("*.r0")
    hidden = revoked.rename(revoked.with_suffix(".hidden"))
    try:
        error = place.why(place.settings("bodhi"))
    finally:
        hidden.rename(revoked)
    assert "refused our certificate (" in str(error)
    assert "check the certificate in tls.certfile (" in str(error)
    test_who_is_let_in(place)
