# SPDX-License-Identifier: MIT
"""URLs: one address a host, and never a password in a log."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedora_messaging import config
from fedora_messaging.address import addresses, shown, watchful
from fedora_messaging.exceptions import ConfigurationException
from fedora_messaging.transports.base import Address


def conf(**changes: Any) -> dict[str, Any]:
    return {**config.DEFAULTS, **changes}


def urls(**changes: Any) -> list[str]:
    return [address.url for address in addresses(conf(**changes))]


def test_the_default() -> None:
    (address,) = addresses(config.DEFAULTS)
    assert address.url == config.DEFAULTS["amqp_url"]
    assert address.tls == config.DEFAULTS["tls"]
    assert address.client_properties == config.DEFAULTS["client_properties"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("amqp://one,two:5673/v?a=1,2", ["amqp://one/v?a=1,2", "amqp://two:5673/v?a=1,2"]),
        ("amqps://u:p,w@one,two", ["amqps://u:p,w@one", "amqps://u:p,w@two"]),
        ("amqp://u:p@one/v, amqps://two", ["amqp://u:p@one/v", "amqps://two"]),
        ("amqp://u@one,[::1]:5672,three/", ["amqp://u@one/", "amqp://u@[::1]:5672/", "amqp://u@three/"]),
        ("amqp://one?x=1,two", ["amqp://one?x=1,two"]),
        ("memory:", ["memory:"]),
        ("memory://a", ["memory://a"]),
        ("amqp://", ["amqp://"]),
    ],
)
def test_several_hosts_in_one_url(url: str, expected: list[str]) -> None:
    assert urls(amqp_url=url) == expected


def test_a_list_of_urls_replaces_the_url() -> None:
    assert urls(amqp_urls=["amqp://one,two", "memory:"]) == ["amqp://one", "amqp://two", "memory:"]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://user:secret@host", "'http'; it must be one of amqp, amqps, memory"),
        ("", "''"),
        ("localhost:5672", "'localhost'"),
        ("amqp://user:secret@host:port/", "'port'"),
        ("amqp://user:secret@host:70000/", "Port out of range"),
        ("amqp://user:secret@[::1/", "Invalid IPv6 URL"),
        ("amqp://one,ampq://two", "'ampq'"),
        ("amqp://user:secret/of/mine@host/", "as %2F, %3F and %23"),
        ("amqp://user:secret?@host/", "as %2F, %3F and %23"),
        ("amqp://user:secret#1@host/", "as %2F, %3F and %23"),
    ],
)
def test_wrong(url: str, words: str) -> None:
    with pytest.raises(ConfigurationException) as caught:
        urls(amqp_url=url)
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("amqp://user:secret@host:5672/vhost?heartbeat=5", "amqp://user:***@host:5672/vhost"),
        ("amqp://user@host", "amqp://user@host"),
        ("amqp://host/%2F", "amqp://host/%2F"),
        ("amqp://user:s@cr@t/?,@host", "amqp://user:***@host"),
        ("amqp://host?ssl_options={'password': 'secret'}", "amqp://host"),
        ("amqp://u:secret@one,u:secret@two", "amqp://u:***@two"),
        ("memory:", "memory:"),
    ],
)
def test_as_it_may_stand_in_a_log(url: str, expected: str) -> None:
    assert shown(url) == expected


@given(
    st.text(st.characters(codec="ascii", exclude_characters="x")),
    st.sampled_from(["host", "one,two", "h/v?q=1"]),
)
def test_a_password_is_never_shown(password: str, rest: str) -> None:
    assert "x" not in shown(f"amqp://user:x{password}x@{rest}")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("amqp://a:1/%2F", "amqp://a:1/%2F?heartbeat=10"),
        ("amqps://a/?", "amqps://a/?heartbeat=10"),
        ("amqp://a/?retry_delay=5", "amqp://a/?retry_delay=5&heartbeat=10"),
        ("amqp://a/?retry_delay=5&heartbeat=60", "amqp://a/?retry_delay=5&heartbeat=60"),
        ("memory://a", "memory://a"),
    ],
)
def test_one_of_several_is_watched_more_closely(url: str, expected: str) -> None:
    assert watchful(Address(url)).url == expected
