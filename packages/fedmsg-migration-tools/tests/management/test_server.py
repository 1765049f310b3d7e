# SPDX-License-Identifier: MIT
"""Where the management API is, from the settings."""

from pathlib import Path
from typing import Any

import pytest

from fedmsg_migration_tools.exceptions import ToolsError
from fedmsg_migration_tools.management.server import servers, vhost


def conf(url: str, **more: Any) -> dict[str, Any]:
    return {"amqp_url": url, "amqp_urls": [], "tls": {}, "client_properties": {}} | more


@pytest.mark.parametrize(
    ("amqp", "management", "url", "user", "password"),
    [
        ("amqp://", None, "http://localhost:15672", "guest", "guest"),
        ("amqp://rabbit:5673/%2Fpubsub", None, "http://rabbit:15672", "guest", "guest"),
        ("amqp://me:p%40ss@rabbit", None, "http://rabbit:15672", "me", "p@ss"),
        ("amqps://me:x@rabbit", None, "https://rabbit:15671", "me", "x"),
        ("amqp://me:x@[::1]", None, "http://[::1]:15672", "me", "x"),
        ("amqp://me:x@a", "http://b:1234", "http://b:1234", "me", "x"),
        ("amqp://me:x@a", "http://you:y@b:1234/", "http://b:1234", "you", "y"),
        ("amqp://me:x@a", "https://b/rabbit/api/", "https://b:443/rabbit", "me", "x"),
        ("memory:", "http://you:y@b", "http://b:80", "you", "y"),
    ],
)
def test_it_follows_from_the_brokers_url_or_is_given(
    amqp: str, management: str | None, url: str, user: str, password: str
) -> None:
    (server,) = servers(conf(amqp), management)
    assert (server.url, server.user, server.password) == (url, user, password)
    assert (server.tls is not None) == url.startswith("https")


def test_each_host_is_one_to_try() -> None:
    found = servers(conf("amqp://me:x@a,b:5673/v"))
    assert [one.url for one in found] == ["http://a:15672", "http://b:15672"]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("rabbit:15672", "must begin with http"),
        ("ftp://rabbit", "must begin with http"),
        ("http://", "names no host"),
        ("http://rabbit:x", "is wrong"),
        ("http://me:secret@rabbit:99999", "is wrong"),
    ],
)
def test_what_is_no_url_is_said_without_its_password(url: str, said: str) -> None:
    with pytest.raises(ToolsError, match=said) as caught:
        servers(conf("amqp://"), url)
    assert "secret" not in str(caught.value)


def test_a_password_is_in_no_text_of_it() -> None:
    (server,) = servers(conf("amqp://me:secret@rabbit"))
    assert "secret" not in f"{server!r} {server.url}"


def test_a_ca_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(ToolsError, match=r"TLS settings.*none\.pem"):
        servers(conf("amqps://rabbit", tls={"ca_cert": str(tmp_path / "none.pem")}))


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("amqp://", "/"),
        ("amqp://a/", "/"),
        ("amqp://a/%2F", "/"),
        ("amqp://a/%2Fpubsub", "/pubsub"),
        ("amqp://a/b", "b"),
    ],
)
def test_the_virtual_host_is_the_urls(url: str, name: str) -> None:
    assert vhost(conf(url)) == name
