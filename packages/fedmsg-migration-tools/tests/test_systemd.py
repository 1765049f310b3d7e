# SPDX-License-Identifier: MIT
"""The units in ``deploy/systemd``: what systemd says of them, and that they fit what the commands do."""

import configparser
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fedmsg_migration_tools.cli import COMMANDS

FOLDER = Path(__file__).parents[3] / "deploy" / "systemd"
UNITS = [FOLDER / f"fedmsg-{name}.service" for name in ("amqp-to-zmq", "verify-missing", "zmq-to-amqp")]
TIMED = sorted(path.with_suffix(".service") for path in FOLDER.glob("*.timer"))
SCRIPT = Path(sys.executable).with_name("fedmsg-migration-tools")
INSTALLED = "/usr/bin/fedmsg-migration-tools"
OWN = dict.fromkeys(("ExecStart", "ExecReload", "TimeoutStopSec"), "")  # what each has of its own


def service(unit: Path) -> dict[str, str]:
    """Its section [Service]; of keys that are given several times, the last."""
    parser = configparser.RawConfigParser(strict=False, comment_prefixes=("#",))
    parser.optionxform = str  # type: ignore[assignment,method-assign] # systemd's keys have capitals
    parser.read(unit)
    return dict(parser["Service"])


def here(unit: Path, folder: Path) -> Path:
    """The unit with the command as it is installed on this machine."""
    copy = folder / unit.name
    copy.write_text(unit.read_text().replace(INSTALLED, str(SCRIPT)))
    return copy


def test_there_is_one_for_each_service() -> None:
    assert sorted(FOLDER.glob("*.service")) == sorted(UNITS + TIMED)
    assert [unit.stem for unit in TIMED] == ["fedmsg-broker-check", "fedmsg-broker-plan", "fedmsg-pki"]


@pytest.mark.parametrize("unit", UNITS + TIMED, ids=lambda unit: unit.stem)
def test_systemd_accepts_it(unit: Path, tmp_path: Path) -> None:
    told = subprocess.run(
        ["systemd-analyze", "verify", here(unit, tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    ours = [line for line in told.stderr.splitlines() if "fedmsg" in line]
    assert ours == []
    assert told.returncode == 0, told.stderr


def test_systemd_would_have_said_so(tmp_path: Path) -> None:
    unit = here(UNITS[0], tmp_path)
    unit.write_text(unit.read_text().replace("WatchdogSec=", "WatchdogSeconds="))
    told = subprocess.run(
        ["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False, timeout=60
    )
    assert "WatchdogSeconds" in told.stderr


@pytest.mark.parametrize("unit", UNITS + TIMED, ids=lambda unit: unit.stem)
def test_what_it_is_exposed_to(unit: Path, tmp_path: Path) -> None:
    told = subprocess.run(
        [
            "systemd-analyze",
            "security",
            "--offline=true",
            "--no-pager",
            "--threshold=20",
            here(unit, tmp_path),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert told.returncode == 0, told.stdout.splitlines()[-1]  # 0 is nothing, 100 is everything


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_it_fits_the_command(unit: Path) -> None:
    settings = service(unit)
    program, command = settings["ExecStart"].split()
    assert program == INSTALLED
    assert command in COMMANDS
    assert unit.stem == f"fedmsg-{command.replace('_', '-')}"
    assert settings["Type"] == "notify"
    assert settings["WatchdogSec"] == "10min"
    assert settings["Restart"] == "on-failure"
    assert settings["RestartPreventExitStatus"] == "2"
    if command == "verify_missing":  # it reads its endpoints at the start only, and refuses to do so again
        assert "ExecReload" not in settings
    else:
        assert settings["ExecReload"].endswith("kill -HUP $MAINPID")
    assert settings["StateDirectory"] == "fedmsg-migration-tools"
    assert re.fullmatch(r"\d+s", settings["TimeoutStopSec"])


def test_all_keep_to_the_same_rules() -> None:
    first, *others = ({**service(unit), **OWN} for unit in UNITS)
    assert len(others) == 2
    assert all(other == first for other in others)
