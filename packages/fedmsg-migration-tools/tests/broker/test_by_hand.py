# SPDX-License-Identifier: MIT
"""A broker that was set up by hand, exported, and applied to an empty one, by the commands, is the same broker."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

from fedmsg_migration_tools.broker.bus.writing import exported
from fedora_messaging.private_node import PrivateNode

from . import handmade

SCRIPT = Path(sys.executable).with_name("fedmsg-migration-tools")


class Command:
    """The command in a folder of its own, for one node."""

    def __init__(self, folder: Path, secrets: dict[str, str]) -> None:
        configured = ("FEDMSG_MIGRATION_TOOLS_", "FEDORA_MESSAGING_")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(configured)}
        self.folder, self.environment = folder, kept | secrets

    def __call__(self, node: PrivateNode, *arguments: str) -> Any:
        return subprocess.run(
            [SCRIPT, "broker", *arguments, "--management-url", node.management_url, "--user", node.user],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=self.folder,
            env=self.environment,
            check=False,
        )


def test_a_broker_set_up_by_hand_comes_out_of_its_file_again(tmp_path: Path) -> None:
    path = tmp_path / "bus.toml"
    with PrivateNode(plugins=handmade.PLUGINS) as by_hand:
        handmade.make(by_hand)
        before = handmade.state(by_hand)
        password = by_hand.password
        command = Command(tmp_path, {"FEDMSG_MIGRATION_TOOLS_BROKER_PASSWORD": password})
        run = command(by_hand, "export", "--output", path.name)
        assert (run.returncode, run.stdout) == (0, ""), run.stderr
    secrets = exported(before).secrets
    assert run.stderr.splitlines() == [
        f"Not in the file, for it has a password: set {name} (the file says what it is)." for name in secrets
    ]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for secret in (password, handmade.PASSWORD):
        assert secret not in path.read_text(encoding="utf-8")
    command.environment |= {name: secret.reveal() for name, secret in secrets.items()}
    with PrivateNode(plugins=handmade.PLUGINS, config={"default_pass": password}) as new:
        assert command(new, "plan", path.name).returncode == 2
        applied = command(new, "apply", path.name)
        assert applied.returncode == 0, applied.stderr
        again = command(new, "plan", path.name)
        assert (again.returncode, again.stdout) == (0, "Nothing differs.\n")
        assert handmade.state(new) == before
    for secret in (password, handmade.PASSWORD):
        for one in (run, applied, again):
            assert secret not in one.stdout + one.stderr
