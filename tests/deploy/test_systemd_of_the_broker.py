# SPDX-License-Identifier: MIT
"""``deploy/systemd``: what goes to the broker's own units, and the timers that look after it.

The units of the bridges and the verifier, and what all units are exposed to, are looked at in the tools' own tests.
"""

from __future__ import annotations

import configparser
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "deploy" / "systemd"
INSTALLED = "/usr/bin/fedmsg-migration-tools"
SCRIPT = Path(sys.executable).with_name("fedmsg-migration-tools")
TIMERS = sorted(FOLDER.glob("*.timer"))
RABBITMQ = next(
    (
        path / "rabbitmq-server.service"
        for path in map(Path, ("/usr/lib/systemd/system", "/lib/systemd/system"))
        if (path / "rabbitmq-server.service").exists()
    ),
    None,
)


def systemd_analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize("timer", TIMERS, ids=lambda timer: timer.stem)
def test_systemd_accepts_the_timer(timer: Path, tmp_path: Path) -> None:
    (tmp_path / timer.name).write_text(timer.read_text())
    service = timer.with_suffix(".service")
    (tmp_path / service.name).write_text(service.read_text().replace(INSTALLED, str(SCRIPT)))
    told = systemd_analyze("verify", tmp_path / timer.name)
    assert [line for line in told.stderr.splitlines() if timer.stem in line] == []
    calendar = re.findall(r"^OnCalendar=(.+)$", timer.read_text(), re.MULTILINE)
    assert systemd_analyze("calendar", *calendar).returncode == 0


@pytest.mark.parametrize("timer", TIMERS, ids=lambda timer: timer.stem)
def test_the_command_of_the_timer_is_there(timer: Path) -> None:
    """With the options that the unit gives it: --help comes last, so those before it are read first."""
    text = timer.with_suffix(".service").read_text()
    commands = re.findall(r"^ExecStart=(.+)$", text, re.MULTILINE)
    assert commands
    for command in commands:
        program, *arguments = shlex.split(command)
        assert program == INSTALLED
        told = subprocess.run(
            [SCRIPT, *arguments, "--help"], capture_output=True, text=True, check=False, timeout=60
        )
        assert told.returncode == 0, told.stderr
        known = set(re.findall(r"(?<![\w-])(--[a-z-]+)", told.stdout))
        assert {one for one in arguments if one.startswith("--")} <= known


@pytest.mark.parametrize("service", sorted(FOLDER.glob("*.service")), ids=lambda service: service.stem)
def test_no_secret_is_an_argument(service: Path) -> None:
    for line in re.findall(r"^Exec\w+=(.+)$", service.read_text(), re.MULTILINE):
        assert not re.search(r"--password(?!-file)|amqps?://[^ ]*@", line)
    assert not re.search(r"^Environment=.*(PASSWORD|TOKEN|SECRET)", service.read_text(), re.MULTILINE)


def with_our_part(folder: Path) -> Path:
    """RabbitMQ's own unit with ours below it: what it says again goes over what it said, as in a drop-in."""
    assert RABBITMQ, "there is no unit of RabbitMQ here"
    unit = folder / "rabbitmq-server.service"
    ours = (FOLDER / "rabbitmq-server.service.d" / "bus.conf").read_text()
    unit.write_text(RABBITMQ.read_text().replace("[Install]", f"{ours}\n[Install]"))
    return unit


def test_what_rabbitmq_is_exposed_to(tmp_path: Path) -> None:
    unit = with_our_part(tmp_path)
    told = systemd_analyze("verify", unit)
    assert "Unknown key" not in told.stderr
    assert "bus.conf" not in told.stderr
    wanted = systemd_analyze("security", "--offline=true", "--no-pager", "--threshold=25", unit)
    assert wanted.returncode == 0, wanted.stdout.splitlines()[-1]


def test_the_port_mapper_listens_on_loopback_only() -> None:
    parser = configparser.RawConfigParser(strict=False, comment_prefixes=("#",))
    parser.read(FOLDER / "epmd.socket.d" / "loopback.conf")
    assert parser["Socket"]["ListenStream"] == "127.0.0.1:4369"
    lines = (FOLDER / "epmd.socket.d" / "loopback.conf").read_text().splitlines()
    assert lines.index("ListenStream=") < lines.index("ListenStream=127.0.0.1:4369")  # the first takes back


def test_rabbitmq_writes_where_it_is_tried() -> None:
    """In these two folders it is left to write when the tests of its configuration start it (machines.py)."""
    text = (FOLDER / "rabbitmq-server.service.d" / "bus.conf").read_text()
    [paths] = re.findall(r"^ReadWritePaths=(.+)$", text, re.MULTILINE)
    assert paths.split() == ["/var/lib/rabbitmq", "/var/log/rabbitmq"]
