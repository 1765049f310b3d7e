# SPDX-License-Identifier: MIT
"""The guard, with programs that sleep in the place of a broker: whatever ends, nothing is left."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fedora_messaging.exceptions import NodeError
from fedora_messaging.private_node.guard_client import GuardClient

Owner = Callable[[str], dict[str, Any]]

OWNER = """
import json, os, sys, threading, time
from pathlib import Path
from fedora_messaging.private_node.guard_client import GuardClient

def start():
    global guard
    folder = Path(sys.argv[1])
    guard = GuardClient(folder, temporary=True)
    sleep = ["/bin/sh", "-c", "sleep 600 & echo >> up; exec sleep 600"]
    for name in ("one", "two"):
        guard.spawn(name, sleep, env={"PATH": os.environ["PATH"]}, cwd=folder, log=folder / "log")
    while not (folder / "up").exists() or len((folder / "up").read_text()) < 2:
        guard.hear(0.01)

"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the guard is to delete."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


@pytest.fixture
def owner(folder: Path, processes: Any) -> Iterator[Owner]:
    """Start a process that has a guard with two programs: how it starts it, and goes on, is the test's."""
    started = []

    def run(script: str) -> dict[str, Any]:
        process = subprocess.Popen(
            [sys.executable, "-c", OWNER + script, str(folder)],
            stdout=subprocess.PIPE,
            stdin=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        return {
            "process": process,
            "guard": told["guard"],
            "pids": told["pids"],
            "all": processes.family(told["guard"]),
            "extra": told.get("extra", 0),
        }

    yield run
    for process in started:
        process.kill()
        process.wait()


SAY = "print(json.dumps({'guard': guard.pid, 'pids': guard.pids}), flush=True)\n"
WAIT = "sys.stdin.read()\n"


def test_nothing_outlives_an_owner_that_is_killed(owner: Owner, folder: Path, processes: Any) -> None:
    alive = owner("start()\n" + SAY + WAIT)
    assert len(alive["all"]) == 5  # the guard, two programs, a child of each
    alive["process"].kill()
    assert processes.eventually(lambda: all(map(processes.gone, alive["all"])))
    assert processes.eventually(lambda: not folder.exists())


def test_nothing_outlives_an_owner_that_just_ends(owner: Owner, folder: Path, processes: Any) -> None:
    alive = owner("start()\n" + SAY)
    alive["process"].wait(10)
    assert processes.eventually(lambda: all(map(processes.gone, alive["all"])))
    assert processes.eventually(lambda: not folder.exists())


def test_nothing_outlives_an_owner_whose_forked_children_live_on(
    owner: Owner, folder: Path, processes: Any
) -> None:
    # The child holds a copy of the pipe to the guard: its end alone would say nothing.
    alive = owner(
        "start()\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os.close(1)\n"
        "    time.sleep(600)\n"
        "print(json.dumps({'guard': guard.pid, 'pids': guard.pids, 'extra': child}), flush=True)\n" + WAIT
    )
    alive["process"].kill()
    try:
        assert processes.eventually(lambda: all(map(processes.gone, alive["all"])))
        assert not processes.gone(alive["extra"])
        assert processes.eventually(lambda: not folder.exists())
    finally:
        os.kill(alive["extra"], signal.SIGKILL)


def test_nothing_outlives_an_owner_that_becomes_another_program(
    owner: Owner, folder: Path, processes: Any
) -> None:
    alive = owner("start()\n" + SAY + "os.execv('/bin/sleep', ['sleep', '600'])\n")
    assert processes.eventually(lambda: all(map(processes.gone, alive["all"])))
    assert not processes.gone(alive["process"].pid)
    assert processes.eventually(lambda: not folder.exists())


def test_the_thread_that_started_it_may_end(owner: Owner, processes: Any) -> None:
    alive = owner("thread = threading.Thread(target=start)\nthread.start()\nthread.join()\n" + SAY + WAIT)
    time.sleep(0.3)
    assert not any(map(processes.gone, alive["all"]))
    alive["process"].kill()
    assert processes.eventually(lambda: all(map(processes.gone, alive["all"])))


def test_programs_that_are_frozen_go_too(owner: Owner, processes: Any) -> None:
    alive = owner("start()\n" + SAY + WAIT)
    for pid in alive["pids"].values():
        os.kill(pid, signal.SIGSTOP)
    alive["process"].kill()
    assert processes.eventually(lambda: all(map(processes.gone, alive["all"])))


def test_programs_do_not_outlive_a_guard_that_is_killed(owner: Owner, processes: Any) -> None:
    alive = owner("start()\n" + SAY + WAIT)
    os.kill(alive["pids"]["one"], signal.SIGSTOP)
    os.kill(alive["guard"], signal.SIGKILL)
    assert processes.eventually(lambda: all(map(processes.gone, [alive["guard"], *alive["pids"].values()])))
    for pid in alive["all"]:  # children of the programs are the kernel's business no longer
        if not processes.gone(pid):
            os.kill(pid, signal.SIGKILL)


def test_a_guard_that_is_asked_to_end_cleans_up(owner: Owner, folder: Path, processes: Any) -> None:
    alive = owner("start()\n" + SAY + WAIT)
    os.kill(alive["guard"], signal.SIGTERM)
    assert processes.eventually(lambda: all(map(processes.gone, alive["all"])))
    assert processes.eventually(lambda: not folder.exists())


def test_without_pidfd_the_owners_end_is_still_seen(folder: Path, processes: Any) -> None:
    """On old kernels: the guard looks at its parent's pid."""
    from fedora_messaging.private_node import guard  # noqa: PLC0415

    script = (
        "import os, sys\n"
        "del os.pidfd_open\n"
        f"sys.path.insert(0, {str(Path(guard.__file__).parent)!r})\n"
        "import guard\n"
        "owner = os.getpid()\n"
        "read, write = os.pipe()\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    os.dup2(read, 0)\n"  # the writing end stays open, in the child too
        f"    guard.main(owner, {str(folder)!r}, True)\n"
        "    os._exit(0)\n"
        "os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=10, stdout=subprocess.DEVNULL)
    assert processes.eventually(lambda: not folder.exists())


@pytest.fixture
def guard(folder: Path) -> Iterator[GuardClient]:
    """A guard of this process."""
    guard = GuardClient(folder, temporary=True)
    yield guard
    guard.close()


def spawn(guard: GuardClient, folder: Path, script: str, name: str = "it", *, needed: bool = False) -> None:
    argv = ["/bin/sh", "-c", script]
    guard.spawn(name, argv, env={"PATH": os.environ["PATH"]}, cwd=folder, log=folder / "log", needed=needed)


def test_reports_how_a_program_ended(guard: GuardClient, folder: Path) -> None:
    spawn(guard, folder, "echo words; echo more >&2; exit 7")
    assert guard.wait(lambda: "it" in guard.exits, 5)
    assert guard.exits["it"] == 7
    assert not guard.runs("it")
    assert (folder / "log").read_text() == "words\nmore\n"


def test_passes_signals_on_and_reports_what_they_do(guard: GuardClient, folder: Path) -> None:
    spawn(guard, folder, "exec sleep 600")
    assert guard.wait(lambda: guard.runs("it"), 5)
    guard.signal("it", signal.SIGSTOP)
    assert guard.wait(lambda: "it" in guard.stopped, 5)
    assert Path(f"/proc/{guard.pids['it']}/stat").read_text().split()[2] == "T"
    guard.signal("it", signal.SIGCONT)
    assert guard.wait(lambda: "it" not in guard.stopped, 5)
    guard.signal("it", signal.SIGTERM)
    assert guard.wait(lambda: "it" in guard.exits, 5)
    assert guard.exits["it"] == -signal.SIGTERM


def test_the_end_of_a_needed_program_ends_the_others(guard: GuardClient, folder: Path) -> None:
    spawn(guard, folder, "exec sleep 600", "other")
    spawn(guard, folder, "sleep 0.1", "needed", needed=True)
    assert guard.wait(lambda: "other" in guard.exits, 5)
    assert guard.exits == {"needed": 0, "other": -signal.SIGKILL}


def test_a_program_that_cannot_be_run_says_why(guard: GuardClient, folder: Path) -> None:
    guard.spawn("it", ["/no/such/program"], env={}, cwd=folder, log=folder / "log")
    assert guard.wait(lambda: "it" in guard.exits, 5)
    assert guard.exits["it"] == 127
    assert "cannot run /no/such/program: [Errno 2]" in (folder / "log").read_text()


def test_programs_inherit_nothing_but_what_they_are_given(
    guard: GuardClient, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "of the owner")
    spawn(guard, folder, "exec env")
    assert guard.wait(lambda: "it" in guard.exits, 5)
    told = {line.partition("=")[0] for line in (folder / "log").read_text().splitlines()}
    assert "PATH" in told
    assert "SECRET" not in told
    spawn(guard, folder, "ls -l /proc/self/fd", "files")
    assert guard.wait(lambda: "files" in guard.exits, 5)
    assert "pipe:" not in (folder / "log").read_text()


@pytest.mark.usefixtures("guard")
def test_a_folder_has_one_guard_at_a_time(folder: Path) -> None:
    with pytest.raises(NodeError, match="in use by another private node"):
        GuardClient(folder, temporary=True)
    assert folder.exists()


def test_a_kept_folder_stays_and_can_be_taken_again(folder: Path) -> None:
    for _ in range(2):
        GuardClient(folder, temporary=False).close()
    assert folder.exists()


def test_starts_in_little_time(folder: Path) -> None:
    start = time.monotonic()
    GuardClient(folder, temporary=False).close()
    assert (
        time.monotonic() - start < 2
    )  # 0.05 s on an idle machine: what matters is that it imports next to nothing
