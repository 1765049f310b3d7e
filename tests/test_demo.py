# SPDX-License-Identifier: MIT
"""The demo: its arithmetic, and whole runs of it, to the end and not."""

from __future__ import annotations

import itertools
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from demo import cast, ledger, sample
from demo.__main__ import choose_fedmsg
from demo.programs import seen
from tests.interop import environments

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]


def test_the_application_is_the_fourth_word() -> None:
    assert sample.application("org.fedoraproject.prod.bodhi.update.comment") == "bodhi"
    assert sample.application("fedoracollege.media.upload") == "fedoracollege"


def test_the_whole_sample_is_replayed_but_for_news_of_releases() -> None:
    found = sample.by_application()
    envelopes = list(itertools.chain.from_iterable(found.values()))
    assert set(found) == set(cast.REPLAYED)
    assert len(envelopes) == 542 - 5
    assert sample.RELEASES not in {envelope["topic"] for envelope in envelopes}


def test_no_message_is_called_like_another() -> None:
    messages = itertools.islice(sample.replay("bodhi", sample.by_application()["bodhi"]), 200)
    names = [seen.name(message["topic"], message["body"]) for message in messages]
    assert len(set(names)) == 200
    assert len(set(itertools.islice(sample.releases(), 200))) == 200


def test_a_checksum_shows_any_change() -> None:
    body = {"a": [1, {"b": "ü"}]}
    assert seen.checksum({"a": [1, {"b": "ü"}]}) == seen.checksum(body)
    assert seen.checksum({"a": [1, {"b": "u"}]}) != seen.checksum(body)


def test_one_that_comes_twice_does_not_make_up_for_one_that_is_missing() -> None:
    book = ledger.Ledger()
    for name in ("bodhi 1", "bodhi 2", "bodhi 3"):
        book.published("bodhi", "ZeroMQ", name)
    for name in ("bodhi 1", "bodhi 1", "bodhi 3"):
        book.had("outside", ledger.STRAIGHT, 0, name)
    assert book.account("outside") == ledger.Account("outside", should=3, had=2, twice=1, straight=3)
    assert book.account("outside").missing == 1


def test_each_path_is_counted_and_each_change_seen() -> None:
    book = ledger.Ledger()
    book.expect("bodhi 1", 7)
    book.published("bodhi", "ZeroMQ", "bodhi 1")
    book.published("bodhi", "AMQP", "bodhi 2")
    book.had("library", ledger.BRIDGE, 8, "bodhi 1")
    book.had("library", ledger.STRAIGHT, 9, "bodhi 2")
    assert book.account("library") == ledger.Account(
        "library", should=2, had=2, changed=1, straight=1, bridged=1
    )
    assert (book.over("ZeroMQ"), book.over("AMQP")) == (1, 1)


def test_trials_are_heard_and_not_counted() -> None:
    book = ledger.Ledger()
    for name in ("hello bodhi", "hello 3", "started hello amqp.12"):
        book.published("bodhi", "ZeroMQ", name)
        book.had("outside", ledger.STRAIGHT, 0, name)
    assert book.hellos["outside"] == {"hello bodhi", "hello ", "started hello amqp."}
    assert book.account("outside") == ledger.Account("outside", should=0, had=0)


def test_hotness_should_start_one_build_of_each_release() -> None:
    book = ledger.Ledger()
    for release in ("bash 1.1", "curl 1.1", "git 1.1"):
        book.published("monitor", "ZeroMQ", release)
    for build in ("started bash 1.1", "started git 1.1", "started git 1.1"):
        book.published("hotness", "AMQP", build)
    assert book.reactions("hotness", "monitor") == ledger.Account("hotness", should=3, had=2, twice=1)


@pytest.mark.parametrize(
    ("accounts", "code"),
    [
        ([ledger.Account("a", 2, 2)], 0),
        ([ledger.Account("a", 2, 2, twice=1)], 0),
        ([ledger.Account("a", 2, 1, twice=1)], 1),
        ([ledger.Account("a", 2, 2), ledger.Account("b", 2, 1)], 1),
        ([ledger.Account("a", 2, 2, changed=1)], 1),
        ([ledger.Account("a", 0, 0)], 1),
        ([], 1),
    ],
)
def test_only_a_run_without_loss_is_a_success(accounts: list[ledger.Account], code: int) -> None:
    assert ledger.verdict(accounts)[0] == code


def test_where_fedmsg_does_not_install_the_demo_says_what_it_uses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pins").write_text("fedmsg @ file:///nonexistent/fedmsg-1.1.7.tar.gz\n")
    monkeypatch.setattr(cast, "PINS", tmp_path / "pins")
    monkeypatch.setattr(environments, "CACHE", tmp_path)
    console = Console(record=True, width=500, quiet=False)
    fedmsg = choose_fedmsg(console, wanted=True)
    assert fedmsg.python == sys.executable
    assert "plain pyzmq in the place of fedmsg (which does not install here: " in console.export_text()


class Demo:
    """A run of it, and what it has written so far."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self.process = process
        self.folder = folder
        self.said = ""

    def until(self, text: str) -> None:
        """Read until it writes that."""
        assert self.process.stdout is not None
        while text not in self.said:
            character = self.process.stdout.read(1)
            assert character, self.said
            self.said += character

    def end(self) -> int:
        """Read the rest; the exit code."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said += line
        return self.process.wait()

    def programs(self) -> dict[int, str]:
        """What it has started, and what that has started, by process id; the folder for its files betrays them."""
        found = {}
        for path in Path("/proc").glob("[0-9]*"):
            try:
                ours = f"TMPDIR={self.folder}\0" in (path / "environ").read_text(errors="replace")
                command = (path / "cmdline").read_text(errors="replace")
            except OSError:  # gone, or another user's
                continue
            if ours and command and int(path.name) != self.process.pid:  # without a command line: a zombie
                found[int(path.name)] = command
        return found

    def is_over(self) -> bool:
        """Whether nothing that it started runs any more, within some seconds."""
        end = time.monotonic() + 10
        while self.programs() and time.monotonic() < end:
            time.sleep(0.1)
        return not self.programs()


@contextmanager
def running(folder: Path, *arguments: str) -> Iterator[Demo]:
    with subprocess.Popen(
        [sys.executable, "-m", "demo", *arguments],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        demo = Demo(process, folder)
        try:
            yield demo
        finally:
            process.kill()
            sys.stdout.write(demo.said)  # for whom it failed


@pytest.mark.slow
@pytest.mark.interop
@pytest.mark.timeout(600)  # the first time, fedmsg is installed
def test_a_migration_loses_nothing(tmp_path: Path) -> None:
    with running(tmp_path, "--seconds", "10") as demo:
        code = demo.end()
        assert demo.is_over()
    assert code == 0, demo.said
    assert "use fedmsg 1.1.7." in demo.said
    steps = Counter(re.findall(r"^(\d) of 5", demo.said, re.MULTILINE))
    assert steps == Counter("12345")
    found = re.search(r"All ([\d,]+) messages arrived everywhere, none is missing\.", demo.said)
    assert found, demo.said
    assert int(found[1].replace(",", "")) >= 3500
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_it_stays_until_ctrl_c_and_works_without_fedmsg(tmp_path: Path) -> None:
    with running(tmp_path, "--seconds", "4", "--rate", "100", "--stay", "--without-fedmsg") as demo:
        demo.until("5 of 5")
        demo.until("had:")
        demo.process.send_signal(signal.SIGINT)
        code = demo.end()
    assert code == 0, demo.said
    assert "plain pyzmq in the place of fedmsg" in demo.said
    assert "messages arrived everywhere, none is missing." in demo.said


def test_ctrl_c_ends_it_cleanly(tmp_path: Path) -> None:
    with running(tmp_path, "--without-fedmsg") as demo:
        demo.until("1 of 5")
        assert len(demo.programs()) > 13
        demo.process.send_signal(signal.SIGINT)
        assert demo.end() == 130
        assert demo.is_over()
    assert "Traceback" not in demo.said
    assert demo.said.splitlines()[-1] == "Interrupted; all programs are stopped and their data removed."
    assert list(tmp_path.iterdir()) == []


def test_nothing_outlives_it_when_it_is_killed(tmp_path: Path) -> None:
    with running(tmp_path, "--without-fedmsg") as demo:
        demo.until("until all hear each other")
        demo.process.kill()
        demo.process.wait()
        assert demo.is_over(), demo.programs()
    assert list(tmp_path.iterdir()) == []


def test_a_bridge_that_dies_ends_it_with_a_line(tmp_path: Path) -> None:
    with running(tmp_path, "--without-fedmsg") as demo:
        demo.until("1 of 5")
        (bridge,) = [number for number, command in demo.programs().items() if "amqp_to_zmq" in command]
        os.kill(bridge, signal.SIGKILL)
        assert demo.end() == 1
        assert demo.is_over()
    assert "amqp_to_zmq ended with exit code -9." in demo.said
    assert "Traceback" not in demo.said


@pytest.mark.slow
def test_what_a_bridge_does_wrong_the_verifier_finds(tmp_path: Path) -> None:
    with running(tmp_path, "--seconds", "24", "--lose", "2%", "--without-fedmsg") as demo:
        code = demo.end()
    assert code == 0, demo.said
    assert "on purpose, and the verifier found just that." in " ".join(demo.said.split())
