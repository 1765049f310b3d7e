# SPDX-License-Identifier: MIT
"""``broker shadow`` as people run it."""

import json
from pathlib import Path
from typing import Any

import pytest

Run = Any  # the Command of conftest

REAL = Path(__file__).parents[4] / "tests" / "data" / "real-fedmsg-messages.jsonl"


@pytest.fixture
def bus(command: Run, tmp_path: Path) -> Path:
    """A file that was proposed from the real messages."""
    run = command("broker", "policy", "--observe", REAL, "--vhost", "/pubsub", "--generalise-above", 0)
    assert run.returncode == 0, run.stderr
    (tmp_path / "bus.toml").write_text(run.stdout)
    return tmp_path / "bus.toml"


def without(bus: Path, topic: str) -> None:
    """Take a topic out of the file."""
    lines = bus.read_text().splitlines(keepends=True)
    assert sum(f'"{topic}"' in line for line in lines) == 1
    bus.write_text("".join(line for line in lines if f'"{topic}"' not in line))


def test_nothing_is_refused_of_what_it_was_made_of(command: Run, bus: Path) -> None:
    run = command("broker", "shadow", bus, "--recording", REAL)
    assert (run.returncode, run.stdout, run.stderr) == (0, "0 of 542 messages would be refused\n", "")


def test_one_topic_less(command: Run, bus: Path) -> None:
    topic = "org.fedoraproject.prod.git.lookaside.new"
    seen = sum(json.loads(line)["topic"] == topic for line in REAL.read_bytes().splitlines())
    assert seen
    without(bus, topic)
    run = command("broker", "shadow", bus, "--recording", REAL)
    assert run.returncode == 2
    assert run.stdout.splitlines()[:3] == ["", "git", run.stdout.splitlines()[2]]
    assert f"  amq.topic  {topic}  {seen} time" in run.stdout
    assert f'      vhosts."/pubsub".users."git".publish."amq.topic" = ["{topic}"]\n' in run.stdout
    assert run.stdout.endswith(f"{seen} of 542 messages would be refused: 1 topic of 1 user\n")
    told = command("broker", "shadow", bus, "--recording", REAL, "--json")
    assert told.returncode == 2
    (refused,) = json.loads(told.stdout)["refused"]
    assert (refused["user"], refused["topic"], refused["count"]) == ("git", topic, seen)


def test_a_user_may_be_called_otherwise(command: Run, bus: Path) -> None:
    text = bus.read_text()
    assert '"fas"' in text
    bus.write_text(text.replace('"fas"', '"accounts"'))
    run = command("broker", "shadow", bus, "--recording", REAL)
    assert run.returncode == 2
    assert "the file has no such user" in run.stdout
    assert 'users."fas".certificate = true' in run.stdout
    assert command("broker", "shadow", bus, "--recording", REAL, "--as", "fas=accounts").returncode == 0


def test_another_exchange_is_refused(command: Run, bus: Path) -> None:
    run = command(
        "broker", "shadow", bus, "--recording", REAL, "--exchange", "zmq.topic", "--topics", "#.fas.#"
    )
    assert run.returncode == 2
    assert "the user may not publish to this exchange" in run.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["missing.toml", "--recording", REAL], 1, "there is no such file"),
        (["bus.toml"], 2, "say what to try the file with"),
        (["bus.toml", "--recording", "missing"], 1, "No such file"),
        (["bus.toml", "--recording", REAL, "--topics", "nothing"], 1, "no message to try the file with"),
        (["bus.toml", "--recording", REAL, "--vhost", "/other"], 1, "has no virtual host '/other'"),
        (["broken.toml", "--recording", REAL], 1, "broken.toml"),
        (["bus.toml", "--recording", REAL, "--as", "nonsense"], 2, "NAME=USER"),
    ],
)
def test_what_is_wrong_is_one_line(
    command: Run, bus: Path, arguments: list[str], code: int, said: str
) -> None:
    bus.with_name("broken.toml").write_text("[users]\nusers = 7\n")
    run = command("broker", "shadow", *arguments)
    assert (run.returncode, run.stdout) == (code, "")
    assert said in run.stderr
    assert "Traceback" not in run.stderr
    assert code == 2 or run.stderr.count("\n") == 1
