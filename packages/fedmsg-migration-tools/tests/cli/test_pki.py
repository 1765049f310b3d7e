# SPDX-License-Identifier: MIT
"""The CA from the command line: what is said, and the exit codes."""

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Pki = Callable[..., Any]


@pytest.fixture
def pki(command: Any) -> Pki:
    """``fedmsg-migration-tools pki``, with the folder from the environment."""
    command.environment["FEDMSG_MIGRATION_TOOLS_PKI"] = str(command.folder / "pki")
    return lambda *arguments: command("pki", *arguments)


@pytest.fixture
def made(pki: Pki) -> Pki:
    assert pki("init").returncode == 0
    return pki


def test_from_the_beginning_to_the_end(pki: Pki, tmp_path: Path) -> None:
    assert pki("init", "--name", "Example CA").stdout.startswith(
        f"{tmp_path}/pki/ca.pem: Example CA, until 20"
    )
    assert (
        "server rabbit, for localhost, ::1"
        in pki("issue", "rabbit", "--host", "localhost", "--host", "::1").stdout
    )
    assert f"{tmp_path}/pki/issued/bodhi/cert.pem" in pki("issue", "bodhi").stdout
    assert stat.S_IMODE((tmp_path / "pki/issued/bodhi/key.pem").stat().st_mode) == 0o600
    assert pki("renew", "bodhi").returncode == 0
    assert pki("revoke", "bodhi", "--replaced").stdout.startswith("revoked bodhi, serial ")
    assert pki("crl").returncode == 0
    listed = pki("list")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert [line.split()[:2] for line in listed.stdout.splitlines()] == [
        ["NAME", "KIND"],
        ["Example", "CA"],
        ["rabbit", "server"],
        ["bodhi", "client"],
        ["crl.pem", "crl"],
    ]
    facts = json.loads(pki("list", "--json", "--all").stdout)
    assert sorted(one["state"] for one in facts["certificates"]) == ["revoked", *["valid"] * 4]
    assert facts["warnings"] == []


def test_for_cron(made: Pki) -> None:
    made("issue", "bodhi", "--days", 20)
    assert made("list", "--expiring", 10).returncode == 0
    soon = made("list", "--expiring", 21)
    assert soon.returncode == 1
    assert "pki renew bodhi" in soon.stderr
    assert made("renew", "--expiring", 21, "--days", 90).stdout.count("bodhi") == 2  # its folder, its name
    assert made("list", "--expiring", 21).returncode == 0
    assert made("renew", "--expiring", 21).stdout == "There is nothing to renew.\n"


def test_another_authority(made: Pki, tmp_path: Path) -> None:
    made("issue", "bodhi")
    assert made("renew", "--ca").returncode == 0
    assert "Message bus CA 2" in made("renew", "--ca", "--new-key").stdout
    assert (tmp_path / "pki/ca.pem").read_text().count("BEGIN CERTIFICATE") == 2
    refused = made("retire")
    assert (refused.returncode, "Renew these first" in refused.stderr) == (1, True)
    assert made("renew", "bodhi").returncode == 0
    assert made("retire").stdout == "retired Message bus CA\n"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("init",), 1, "already"),
        (("issue", "a,b"), 1, "cannot be a certificate's name"),
        (("issue", "a", "--host", "b c"), 1, "neither a host's name nor an IP address"),
        (("issue", "a", "--days", "0"), 2, "--days"),
        (("renew",), 2, "give either names, or --expiring, or --ca"),
        (("renew", "a", "--ca"), 2, "give either"),
        (("renew", "a", "--new-key"), 2, "--new-key belongs to --ca"),
        (("renew", "a"), 1, "a has no certificate here"),
        (("revoke",), 2, "give either a name or --serial"),
        (("revoke", "a", "--serial", "1"), 2, "give either"),
        (("revoke", "--serial", "zz"), 1, "no certificate of the serial number zz"),
        (("revoke", "a", "--reason", "boredom"), 2, "boredom"),
        (("list", "-C", "nowhere"), 1, "There is no CA in nowhere"),
        (("issue", "a", "-C", "/proc/nowhere"), 1, "/proc/nowhere"),
    ],
)
def test_mistakes_are_one_line(made: Pki, arguments: tuple[str, ...], code: int, said: str) -> None:
    done = made(*arguments)
    assert done.returncode == code
    assert said in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("Error")]) == 1
    assert "Traceback" not in done.stderr
