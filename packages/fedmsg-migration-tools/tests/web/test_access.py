# SPDX-License-Identifier: MIT
"""Who may see the page."""

from __future__ import annotations

from http import HTTPStatus

import pytest

from fedmsg_migration_tools.exceptions import ToolsError
from fedmsg_migration_tools.web.access import Access, is_loopback
from fedmsg_migration_tools.web.wire import Answer, Request

TOKEN = "correct-horse-battery"


def ask(target: str = "/", **headers: str) -> Request:
    return Request("GET", target, {name.replace("_", "-"): value for name, value in headers.items()})


def status(answer: Answer | None) -> int:
    return HTTPStatus.OK if answer is None else answer.status


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8071", "127.0.0.1:9", "[::1]:8071", "LOCALHOST.:1", "a.localhost", "127.8.8.8"],
)
def test_without_a_token_names_of_this_machine_are_answered(host: str) -> None:
    assert status(Access(None).refuse(ask(host=host))) == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example:8071",
        "",
        "[",
        "[::1",
        "10.0.0.1",
        "0.0.0.0",
        "evil@127.0.0.1.x",
    ],
)
def test_without_a_token_other_names_are_refused_which_ends_dns_rebinding(host: str) -> None:
    assert status(Access(None).refuse(ask(host=host))) == 421


def test_a_page_of_another_site_gets_nothing_but_a_link_to_this_one_works() -> None:
    access = Access(None)
    assert status(access.refuse(ask("/events", host="localhost", sec_fetch_site="cross-site"))) == 403
    assert status(access.refuse(ask("/", host="localhost", sec_fetch_site="cross-site"))) == 200


def test_a_token_in_the_query_becomes_a_cookie_and_leaves_the_address() -> None:
    access = Access(TOKEN)
    answer = access.refuse(ask(f"/?token={TOKEN}", host="any.example"))
    assert answer is not None
    assert answer.status == 303
    assert answer.headers["Location"] == "./"
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert TOKEN not in cookie
    pair = cookie.partition(";")[0]
    assert status(access.refuse(ask("/events", cookie=f"other=1; {pair}; more=2"))) == 200
    assert status(Access(TOKEN).refuse(ask(cookie=pair))) == 200, "also after a restart"
    assert status(Access(TOKEN + "2").refuse(ask(cookie=pair))) == 401


def test_behind_tls_the_cookie_stays_there() -> None:
    answer = Access(TOKEN).refuse(ask(f"/?token={TOKEN}", x_forwarded_proto="https"))
    assert answer is not None
    assert answer.headers["Set-Cookie"].endswith("; Secure")


def test_programs_show_the_token_in_the_header() -> None:
    access = Access(TOKEN)
    assert status(access.refuse(ask("/api/snapshot", authorization=f"Bearer {TOKEN}"))) == 200
    assert status(access.refuse(ask("/api/snapshot", authorization=f"bearer  {TOKEN} "))) == 200


@pytest.mark.parametrize(
    "request_",
    [
        ask(),
        ask("/style.css"),
        ask("/events"),
        ask("/?token="),
        ask("/?token=wrong"),
        ask(f"/api/snapshot?token={TOKEN}"),
        ask(authorization="Bearer wrong"),
        ask(authorization=f"Basic {TOKEN}"),
        ask(authorization="Bearer \u00ff"),
        ask(cookie=f"token={TOKEN}"),
        ask(host="localhost"),
    ],
)
def test_without_the_token_nothing_is_shown(request_: Request) -> None:
    answer = Access(TOKEN).refuse(request_)
    assert answer is not None
    assert answer.status == 401
    assert TOKEN.encode() not in answer.body


def test_a_short_token_is_none() -> None:
    with pytest.raises(ToolsError, match="too short"):
        Access("geheim")


def test_what_only_this_machine_reaches() -> None:
    assert [
        is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "", "0.0.0.0", "::", "10.1.1.1")
    ] == [
        *[True] * 3,
        *[False] * 4,
    ]
