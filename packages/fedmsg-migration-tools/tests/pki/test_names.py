# SPDX-License-Identifier: MIT
"""Which names are taken, and what is said of the others."""

from ipaddress import ip_address

import pytest

from fedmsg_migration_tools.exceptions import ToolsError
from fedmsg_migration_tools.pki.names import check_authority, check_user, host


@pytest.mark.parametrize(
    "name", ["bodhi", "bodhi.stg", "amqp-bridge.ci@example.org", "9p", "_x", "a" * 64, "c++"]
)
def test_users(name: str) -> None:
    check_user(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a" * 65,
        "a,b",
        "a:b",
        "a/b",
        "..",
        ".hidden",
        "-C",
        "a b",
        "a\n",
        "a\0b",
        "ä",
        "a=b",
        "a\\b",
        "$x",
        "a\u202eb",
    ],
)
def test_names_that_no_user_may_have(name: str) -> None:
    with pytest.raises(ToolsError) as caught:
        check_user(name)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("name", ["", " ", "x\n", "ä", "x" * 61])
def test_names_that_no_authority_may_have(name: str) -> None:
    with pytest.raises(ToolsError):
        check_authority(name)
    check_authority("Fedora's message bus CA, 2026")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("localhost", "localhost"),
        ("Rabbit01.Example.ORG.", "rabbit01.example.org"),
        ("*.example.org", "*.example.org"),
        ("127.0.0.1", ip_address("127.0.0.1")),
        ("::1", ip_address("::1")),
        ("[2001:db8::1]", ip_address("2001:db8::1")),
        ("my_host", "my_host"),
    ],
)
def test_hosts(text: str, meant: object) -> None:
    assert host(text) == meant


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "*",
        "*.org",
        "a.*.org",
        "a b",
        "a..b",
        "-a",
        "a-",
        "300.1.1.1",
        "ä.org",
        "a/b",
        "amqps://a",
        "a:5671",
        "x" * 64,
    ],
)
def test_what_is_no_host(text: str) -> None:
    with pytest.raises(ToolsError, match="neither a host's name nor an IP address"):
        host(text)
