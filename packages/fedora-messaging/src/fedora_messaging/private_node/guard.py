# SPDX-License-Identifier: MIT
"""The guard: a small process between the owner of a private node and the node, so that nothing outlives the owner.

It runs as a script of its own (``python -I -S guard.py``), not as part of the package, and imports next to nothing:
it must be there in some twenty milliseconds. It starts programs, passes signals on to them, reports what becomes of
them, and when its owner is gone (by whatever death), or says so, it kills them all and deletes a temporary folder.
It knows nothing of RabbitMQ.

Orders come as lines of JSON on standard input, reports go as lines of JSON to standard output:

* ``{"do": "spawn", "name": …, "argv": […], "env": {…}, "cwd": …, "log": …, "needed": bool}``: start a program. When
  one that is ``needed`` ends, all others are killed.
* ``{"do": "signal", "name": …, "signal": 15}``
* ``{"do": "end"}``, or the end of standard input.

Three things watch over the owner, because each alone has a hole: the end of standard input (a forked child of the
owner may hold the pipe open), a pidfd of the owner (Linux 5.3), and, where there is none, looking at the parent's
pid five times a second. Should the guard itself be killed, the kernel kills the programs (PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import resource
import select
import signal
import sys
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
FILES = 65536
"""Open files allowed to a program, at most: what the distributions' service files set for RabbitMQ."""
PATIENCE = 3.0
"""Seconds to wait for killed programs to be gone."""


def prctl(option: int, value: int) -> None:
    """Linux's prctl; without effect elsewhere."""
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import ctypes  # noqa: PLC0415 - not everywhere to be had

        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


class Guard:
    """Looks after the programs of one owner.

    Arguments:
        owner: the pid of the parent process.
        folder: what is locked while the guard lives.
        temporary: whether to delete the folder at the end.
    """

    def __init__(self, owner: int, folder: str, temporary: bool) -> None:
        self.owner = owner
        self.folder = folder
        self.temporary = temporary
        self.programs: dict[int, str] = {}
        self.needed: set[int] = set()
        self.orders = b""
        self.ended = False

    def run(self) -> None:
        """Take the folder, serve until the owner is gone or says the end, and clean up."""
        if not self.lock():
            self.report(event="locked")
            return
        try:
            self.report(event="ready")
            self.serve()
        except Exception as error:  # noqa: BLE001 - the owner should learn of it, whatever it is
            self.report(event="failed", error=repr(error))
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            self.clean_up()

    def lock(self) -> bool:
        """Whether no other guard has the folder. The lock goes with this process."""
        handle = os.open(os.path.join(self.folder, "lock"), os.O_RDWR | os.O_CREAT, 0o600)  # noqa: PTH118
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            # Some network file systems know no locks: then there is no protection, and no harm.
            return error.errno not in {errno.EWOULDBLOCK, errno.EACCES}
        return True

    def serve(self) -> None:
        """Wait for orders, for programs to end, and for the owner to be gone."""
        wake, wakeup = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        waiting = select.poll()
        waiting.register(0, select.POLLIN)
        waiting.register(wake, select.POLLIN)
        pause = self.watch_owner(waiting)
        while not self.ended and os.getppid() == self.owner:
            ready = [handle for handle, _ in waiting.poll(pause)]
            if wake in ready:
                os.read(wake, 4096)
            self.reap()
            if 0 in ready:
                self.read_orders()

    def watch_owner(self, waiting: select.poll) -> int | None:
        """Have the poll wake when the owner dies; else say how often to look, in milliseconds."""
        try:
            waiting.register(os.pidfd_open(self.owner), select.POLLIN)
        except (OSError, AttributeError):
            return 200
        return None

    def read_orders(self) -> None:
        """Carry out what has come in; the end of input is an order to end."""
        data = os.read(0, 65536)
        if not data:
            self.ended = True
        *lines, self.orders = (self.orders + data).split(b"\n")
        for line in lines:
            self.obey(json.loads(line))

    def obey(self, order: dict[str, object]) -> None:
        """Carry out one order."""
        if order["do"] == "spawn":
            self.spawn(order)
        elif order["do"] == "signal":
            for pid, name in self.programs.items():
                if name == order["name"]:
                    os.kill(pid, int(str(order["signal"])))
        else:
            self.ended = True

    def spawn(self, order: dict[str, object]) -> None:
        """Start a program that dies with this process; report its pid when it runs, so that signals reach it."""
        guard = os.getpid()
        running, starting = os.pipe()  # closed by the exec
        pid = os.fork()
        if pid == 0:
            try:
                become(order, guard)
            finally:
                os._exit(127)
        os.close(starting)
        os.read(running, 1)
        os.close(running)
        self.programs[pid] = str(order["name"])
        if order.get("needed"):
            self.needed.add(pid)
        self.report(event="started", name=order["name"], pid=pid)

    def reap(self) -> None:
        """Report programs that stopped, went on, or ended."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED | os.WCONTINUED)
                if pid == 0:
                    return
                if pid in self.programs:
                    self.tell(pid, status)

    def tell(self, pid: int, status: int) -> None:
        """Report what became of one program, and draw the consequences."""
        name = self.programs[pid]
        if os.WIFSTOPPED(status):
            self.report(event="stopped", name=name)
        elif os.WIFCONTINUED(status):
            self.report(event="continued", name=name)
        else:
            del self.programs[pid]
            self.report(event="exited", name=name, status=os.waitstatus_to_exitcode(status))
            if pid in self.needed:
                self.kill_all()

    def report(self, **event: object) -> None:
        """One line to the owner, who may be gone."""
        with contextlib.suppress(OSError):
            os.write(1, json.dumps(event).encode() + b"\n")

    def kill_all(self) -> None:
        """SIGKILL, which ends stopped programs too."""
        for pid in self.programs:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def clean_up(self) -> None:
        """Leave nothing: no program, none of their children, no temporary folder."""
        self.kill_all()
        self.wait_for_all()
        if self.temporary:
            import shutil  # noqa: PLC0415 - fifteen milliseconds, needed only here

            end = (
                time.monotonic() + PATIENCE
            )  # a cluster's nodes, under guards of their own, may still write there
            shutil.rmtree(self.folder, ignore_errors=True)
            while os.path.exists(self.folder) and time.monotonic() < end:  # noqa: PTH110 - as above
                time.sleep(0.02)
                shutil.rmtree(self.folder, ignore_errors=True)

    def wait_for_all(self) -> None:
        """Until every child is gone: also those that the programs leave, which this process adopts."""
        end = time.monotonic() + PATIENCE
        with contextlib.suppress(ChildProcessError):
            while time.monotonic() < end:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    kill_children()
                    time.sleep(0.002)


def become(order: dict[str, object], guard: int) -> None:
    """In the forked child: turn into the program."""
    os.setsid()
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != guard:
        return
    for number in (signal.SIGPIPE, signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    argv, env = order["argv"], order["env"]
    assert isinstance(argv, list)  # noqa: S101 - for the type checker
    assert isinstance(env, dict)  # noqa: S101
    log = os.open(str(order["log"]), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    try:
        allow_files()
        os.chdir(str(order["cwd"]))
        os.execve(argv[0], argv, env)  # noqa: S606
    except OSError as error:
        os.write(2, f"cannot run {argv[0]}: {error}\n".encode())


def allow_files() -> None:
    """As many open files as the service files of the distributions allow, if the hard limit does."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def kill_children() -> None:
    """SIGKILL to whatever is a child of this process (Linux)."""
    own = os.getpid()
    with contextlib.suppress(OSError), open(f"/proc/{own}/task/{own}/children") as children:  # noqa: PTH123
        for pid in children.read().split():
            os.kill(int(pid), signal.SIGKILL)


def leave(*_: object) -> None:
    """A signal to the guard itself: end, properly."""
    raise SystemExit


def main(owner: int, folder: str, temporary: bool) -> None:
    """Run the guard."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, leave)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    Guard(owner, folder, temporary).run()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3] == "temporary")
