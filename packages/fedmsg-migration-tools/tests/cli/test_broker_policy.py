# SPDX-License-Identifier: MIT
"""``broker policy`` as people run it."""

import json
import signal
import threading
import tomllib
from pathlib import Path
from typing import Any

import pytest
import zmq

from fedmsg_migration_tools.fedmsg import translation
from tests.pki import Pki

Run = Any  # the Command of conftest

REAL = Path(__file__).parents[4] / "tests" / "data" / "real-fedmsg-messages.jsonl"
ANNOUNCE = "org.fedoraproject.prod.announce.announcement"
HOST = "announce-lockbox.phx2.fedoraproject.org"
CONFIG = f"""\
config = dict(
    certnames={{"shell.app01": "shell-app01.phx2.fedoraproject.org"}},
    routing_policy={{"{ANNOUNCE}": ["{HOST}"]}},
    routing_nitpicky=False,
)
"""


def conf(folder: Path, text: str = CONFIG) -> Path:
    (folder / "fedmsg.d").mkdir(exist_ok=True)
    (folder / "fedmsg.d" / "ssl.py").write_text(text)
    return folder / "fedmsg.d"


def failed(run: Any, code: int = 1) -> str:
    assert run.returncode == code, run
    assert run.stdout == ""
    assert "Traceback" not in run.stderr
    return str(run.stderr)


def test_from_fedmsgs_configuration_and_certificates(command: Run, tmp_path: Path) -> None:
    (tmp_path / "pki").mkdir()
    Pki(tmp_path / "pki")
    run = command(
        "broker", "policy", "--from", conf(tmp_path), "--certificates", tmp_path / "pki", "--vhost", "/pubsub"
    )
    assert run.returncode == 0, run.stderr
    tables = tomllib.loads(run.stdout)
    assert tables["vhosts"] == {"/pubsub": {"users": {HOST: {"publish": {"amq.topic": [ANNOUNCE]}}}}}
    assert set(tables["users"]) == {
        HOST,
        "shell-app01.phx2.fedoraproject.org",
        *(f"app-{kind}.example.org" for kind in ("valid", "revoked", "expired", "future")),
    }
    assert "# app-expired.example.org: its certificate expired on" in run.stdout
    assert "routing_policy: 1 topic, routing_nitpicky is off\n" in run.stderr


def test_from_all_three_with_what_is_against_each_other(command: Run, tmp_path: Path) -> None:
    recording = tmp_path / "recording"
    stranger = json.dumps({"topic": ANNOUNCE, "msg": {}, "msg_id": "2023-x", "timestamp": 1_700_000_000})
    recording.write_bytes(REAL.read_bytes() + stranger.encode() + b"\nnonsense\n")
    run = command("broker", "policy", "--from", conf(tmp_path), "--observe", recording)
    assert run.returncode == 0, run.stderr
    assert (
        f"#   announce → amq.topic {ANNOUNCE}: routing_policy lets only {HOST} publish it; 1 time"
        in run.stdout
    )
    assert f"#   {HOST} → amq.topic {ANNOUNCE}\n" in run.stdout  # never seen
    assert f"#   {recording}: 1 time no JSON object, the first in line 544" in run.stdout
    assert "#   org.fedoraproject.prod.bugzilla.bug.update: bugzilla, bugzilla2fedmsg-" in run.stdout
    assert "not allowed: 1, not learned: 1; see its comments" in run.stderr
    assert len(tomllib.loads(run.stdout)["users"]) == 55


def test_options_that_make_it_wider_or_narrower(command: Run) -> None:
    def proposed(*options: object) -> dict[str, Any]:
        run = command("broker", "policy", "--observe", REAL, "--json", *options)
        assert run.returncode == 0, run.stderr
        return dict(json.loads(run.stdout))

    def topics(told: dict[str, Any]) -> list[str]:
        return [topic for user in told["users"].values() for one in user["publish"].values() for topic in one]

    assert not any(topic.endswith("#") for topic in topics(proposed("--generalise-above", 0)))
    assert any(topic.endswith(".#") for topic in topics(proposed("--generalise-above", 3)))
    assert set(proposed("--signed-only")["users"]) == {
        "bugzilla2fedmsg-bugzilla2fedmsg01.phx2.fedoraproject.org"
    }
    assert "bugzilla2fedmsg" in proposed("--by", "service")["users"]
    only = proposed(
        "--topics", "org.fedoraproject.stg.#", "--topics", "io.pagure.#", "--exchange", "zmq.topic"
    )
    assert {topic.split(".")[0] for topic in topics(only)} == {"org", "io"}
    assert {topic.split(".")[2] for topic in topics(only)} == {"stg", "dev", "prod"}
    assert {exchange for user in only["users"].values() for exchange in user["publish"]} == {"zmq.topic"}


def test_signatures_are_checked_by_a_ca(command: Run, tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    run = command("broker", "policy", "--observe", REAL, "--ca", pki.ca_file)
    assert run.returncode == 0, run.stderr
    assert "2 times a signature that is not good, the first in line" in run.stdout
    assert "bugzilla2fedmsg" not in tomllib.loads(run.stdout)["users"]


def test_live_until_ctrl_c(command: Run) -> None:
    context: zmq.Context[Any] = zmq.Context()
    socket = context.socket(zmq.XPUB)
    socket.linger = 0
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    frames = translation.frames({"topic": "org.example.prod.bodhi.event", "msg": {}})
    try:
        endpoints = ("--zmq-endpoint", f"tcp://127.0.0.1:{port}", "--zmq-endpoint", "tcp://127.0.0.1:1")
        process = command.start("broker", "policy", *endpoints, "--seconds", 600)
        assert socket.poll(60_000)
        socket.recv()
        for _ in range(40):
            socket.send_multipart(frames)
            threading.Event().wait(0.05)
        process.send_signal(signal.SIGINT)
        out, said = process.communicate(timeout=60)
    finally:
        socket.close()
        context.term()
    assert process.returncode == 0, said
    tables = tomllib.loads(out)
    assert tables["vhosts"]["/"]["users"]["bodhi"]["publish"] == {
        "amq.topic": ["org.example.prod.bodhi.event"]
    }
    assert "tcp://127.0.0.1:1: could not be reached; nothing was heard of it" in out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "say what to learn from"),
        (["--from", "missing"], 1, "neither an endpoint"),
        (["--certificates", "missing"], 1, "no folder of certificates"),
        (["--observe", "missing"], 1, "No such file"),
        (["--observe", "binary"], 1, "no message in this recording"),
        (["--from", "code.py"], 1, "is not data"),
        (["--observe", "binary", "--ca", "binary"], 1, "holds no CERTIFICATE in PEM"),
        (["--zmq-endpoint", "tcp://nonsense"], 1, "tcp://nonsense"),
        (
            ["--zmq-endpoint", "tcp://127.0.0.1:1", "--seconds", "0.3"],
            1,
            "none of the publishers could be reached",
        ),
        (["--observe", "binary", "--by", "host"], 2, "--by"),
    ],
)
def test_what_is_wrong_is_one_line(
    command: Run, tmp_path: Path, arguments: list[str], code: int, said: str
) -> None:
    (tmp_path / "binary").write_bytes(bytes(range(256)) * 1000)
    (tmp_path / "code.py").write_text(
        "config = dict(routing_policy=__import__('os').system('touch executed'))"
    )
    error = failed(command("broker", "policy", *arguments), code)
    assert said in error
    assert code == 2 or len([line for line in error.splitlines() if not line.startswith("Listening")]) == 1
    assert not (tmp_path / "executed").exists()


def test_its_options_are_explained(command: Run) -> None:
    run = command("broker", "policy", "--help")
    assert run.returncode == 0
    for option in (
        "--from",
        "--certificates",
        "--observe",
        "--zmq-endpoint",
        "--by",
        "--generalise-above",
        "--signed-only",
    ):
        assert option in run.stdout
