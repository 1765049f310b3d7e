# SPDX-License-Identifier: MIT
"""What is proposed from fedmsg's own configuration and messages lets through just what fedmsg 1.1.7 found valid."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests import pki
from tests.interop.bridging import endpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.interop.bridging import Lines

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]

CN = "app-valid.example.org"
LISTED, ANOTHERS, UNLISTED = (f"org.example.prod.app.{word}" for word in ("listed", "anothers", "unlisted"))


def proposed(*arguments: object) -> dict[str, Any]:
    """The tables that ``broker policy`` prints."""
    command = [
        str(Path(sys.executable).with_name("fedmsg-migration-tools")),
        "broker",
        "policy",
        *map(str, arguments),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "signature checked" in done.stdout
    return tomllib.loads(done.stdout)


@pytest.mark.parametrize("nitpicky", [False, True])
def test_fedmsg_and_the_proposal_agree(tmp_path: Path, fedmsg: Callable[..., Lines], nitpicky: bool) -> None:
    keys = pki.Pki(tmp_path)
    config = {
        "routing_policy": {LISTED: [CN], ANOTHERS: ["another.example.org"]},
        "routing_nitpicky": nitpicky,
    }
    files = {"ca_cert_location": str(keys.ca_file), "crl_location": str(keys.crl_file)}
    signing = {"sign_messages": True, "ssldir": str(keys.folder), "certnames": {"publisher": "valid"}}
    with (
        fedmsg("publish", endpoints={"publisher": [endpoint()]}, **signing) as publisher,
        fedmsg("validate", validate_signatures=True, **files, **config) as judge,
    ):
        sent = [publisher.ask({"topic": topic, "msg": {}}) for topic in (LISTED, ANOTHERS, UNLISTED)]
        valid = {one["topic"] for one in sent if judge.ask(one) is True}
        recording = tmp_path / "recording"
        recording.write_text("".join(f"{json.dumps(one)}\n" for one in sent))
        tables = proposed("--from", judge.config, "--observe", recording, "--ca", keys.ca_file)
    users = tables["vhosts"]["/"]["users"]
    assert set(users[CN]["publish"]["amq.topic"]) == valid == ({LISTED} if nitpicky else {LISTED, UNLISTED})
    assert set(users) == {CN, "another.example.org"}
