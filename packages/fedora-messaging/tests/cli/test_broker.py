# SPDX-License-Identifier: MIT
"""``fedora-messaging broker`` as a person starts and ends it."""

import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

COMMAND = [sys.executable, "-c", "from fedora_messaging.cli.broker import broker; broker(prog_name='broker')"]


@pytest.mark.parametrize(
    ("end", "kept"), [(signal.SIGINT, False), (signal.SIGTERM, True)], ids=["Ctrl-C", "SIGTERM and kept data"]
)
def test_runs_until_it_is_told_to_end(
    end: signal.Signals, kept: bool, tmp_path: Path, processes: Any
) -> None:
    data = ["--data", str(tmp_path / "data")] if kept else ["--plugin", "rabbitmq_prometheus"]
    process = subprocess.Popen([*COMMAND, *data], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = iter(process.stdout.readline, "Ctrl-C ends it.\n")
    told = dict(re.split(r": +", line.strip(), maxsplit=1) for line in lines)
    family = processes.family(process.pid)
    assert len(family) >= 5
    assert re.fullmatch(r"amqp://admin:[0-9a-f]{32}@127\.0\.0\.1:\d+/%2F", told["AMQP"])
    assert re.match(r"http://127\.0\.0\.1:\d+/ ", told["Management"])
    assert ("prometheus" in told) is not kept
    configuration = Path(told["To use it"].partition("FEDORA_MESSAGING_CONF=")[2])
    assert configuration.stat().st_mode & 0o777 == 0o600
    assert configuration.read_text() == f'amqp_url = "{told["AMQP"]}"\n'
    process.send_signal(end)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output, errors) == (0, "", "")
    assert all(map(processes.gone, family))
    assert configuration.parent.exists() is kept


def test_a_broker_that_ends_by_itself_is_an_error(processes: Any) -> None:
    process = subprocess.Popen(COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    while not process.stdout.readline().startswith("Ctrl-C"):
        pass
    beam = next(pid for pid in processes.family(process.pid) if processes.name(pid) == "beam.smp")
    subprocess.run(["kill", "-9", str(beam)], check=True)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert errors.startswith("Error: The broker ended by itself.\n")
    assert "Server startup complete" in errors


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--plugin", "rabbitmq_nothing"], 1, "has no plugin rabbitmq_nothing."),
        (
            ["--data", "/proc/nothing"],
            1,
            "The private node cannot be set up: No such file or directory: /proc/nothing.",
        ),
        (["--port", "70000"], 2, "70000 is not in the range"),
    ],
)
def test_errors_are_one_clear_line(arguments: list[str], code: int, words: str) -> None:
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert done.stdout == ""
    last = done.stderr.splitlines()[-1]
    assert last.startswith("Error: ")
    assert words in last
    assert code == 2 or done.stderr.count("\n") == 1
