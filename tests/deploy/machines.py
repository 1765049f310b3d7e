# SPDX-License-Identifier: MIT
"""Machines of one's own on a network of their own, with the files of ``deploy/rabbitmq`` where an operator puts them.

They are namespaces of Linux (network, mounts, processes, host name), so RabbitMQ is started by its own script, with the
ports and paths that stand in the files, and neither sees nor disturbs what else runs here. Needs root, or a system that
gives every user namespaces.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from fedora_messaging.private_node import installation

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

HERE = Path(__file__).parent
RABBITMQ = HERE.parents[1] / "deploy" / "rabbitmq"
BOOT = 120.0
"""Seconds that RabbitMQ may take to start; it takes 4 to 15."""


class Machines:
    """Machines, and a place outside of them. Use it as a context manager.

    Arguments:
        folder: for their files.
        hosts: their names.
    """

    def __init__(self, folder: Path, *hosts: str) -> None:
        self.folder = folder
        self.hosts = hosts
        root = os.environ.get("RABBITMQ_ROOT")
        self.root = Path(root).absolute() if root else Path("/")
        found = installation.find(os.environ.get("RABBITMQ_HOME"), root=self.root)
        self.version = found.version
        self._home = Path("/") / found.home.relative_to(self.root)
        self._network: subprocess.Popen[bytes] | None = None
        self._brokers: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        lines = [
            f"10.98.0.{number} {host} {host.partition('.')[0]}\n" for number, host in enumerate(self.hosts, 1)
        ]
        (self.folder / "hosts").write_text("127.0.0.1 localhost\n" + "".join(lines))
        for host in self.hosts:
            for name in ("etc", "lib", "log"):
                (self.folder / host / name).mkdir(parents=True)
        command: list[str | Path] = [
            "unshare",
            "--net",
            "--mount",
            "--uts",
            "--pid",
            "--fork",
            "--kill-child",
        ]
        if os.geteuid() != 0:
            command += ["--user", "--map-root-user"]
        command += ["--mount-proc", "sh", HERE / "network.sh", self.folder, self.root, *self.hosts]
        self._network = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        wait_for(
            lambda: all((self.folder / host / "pid").exists() for host in self.hosts), "the machines", 30
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._network:
            self._network.kill()  # and with it go all processes that were started in it
            self._network.wait()
        for broker in self._brokers.values():
            broker.wait(30)

    def install(self, *names: str, cookie: str = "") -> None:
        """Put these files of ``deploy/rabbitmq`` where they belong, on every machine."""
        for host in self.hosts:
            folder = self.etc(host)
            for name in names:
                into = folder / "conf.d" if name.startswith("conf.d/") else folder
                into.mkdir(exist_ok=True)
                shutil.copy(RABBITMQ / name, into)
        self.cookie(cookie or secrets.token_hex(20))

    def cookie(self, text: str) -> None:
        """Give all machines the same secret, by which nodes and ``rabbitmqctl`` know one another."""
        for host in self.hosts:
            path = self.folder / host / "lib" / ".erlang.cookie"
            path.write_text(text)
            path.chmod(0o400)

    def etc(self, host: str) -> Path:
        """What is its ``/etc/rabbitmq``."""
        return self.folder / host / "etc"

    def start(self, host: str) -> None:
        """Start RabbitMQ there; does not wait for it.

        As deploy/systemd/rabbitmq-server.service.d has it: without any of root's rights, on a file system that it can
        write to in its own two folders only.
        """
        log = self.log_file(host).open("ab")
        closed = 'mount -o remount,ro,bind /; mount -o remount,ro,bind "$0/etc/rabbitmq"; exec "$@"'
        sandbox = ["unshare", "--mount", "sh", "-c", closed, str(self.root)]
        program = [f"{self._home}/sbin/rabbitmq-server"]
        rights = ["setpriv", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]
        command = self.command(host, [*sandbox, "chroot", str(self.root), *rights, *program])
        self._brokers[host] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def await_start(self, host: str) -> None:
        """Wait until RabbitMQ says that it is ready.

        Raises:
            AssertionError: it ended, or took too long; with the end of its log.
        """
        broker = self._brokers[host]

        def ready() -> bool:
            assert broker.poll() is None, self.log(host)[-4000:]
            return "Server startup complete" in self.log(host)

        wait_for(ready, f"RabbitMQ on {host}", BOOT)

    def log_file(self, host: str) -> Path:
        """What RabbitMQ prints: the journal of that machine."""
        return self.folder / host / "journal"

    def log(self, host: str) -> str:
        """All it has printed."""
        return self.log_file(host).read_text(errors="replace")

    def run(self, host: str | None, *command: str, text: str = "") -> subprocess.CompletedProcess[str]:
        """A command on that machine, or outside of them for None."""
        return subprocess.run(
            self.command(host, list(command)),
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def ctl(self, host: str, *arguments: str, text: str = "") -> str:
        """``rabbitmqctl`` there, with the tools' own configuration; returns what it prints."""
        # Without --quiet: with it, the one of 4.0.5 waits for a terminal when it is to read a password.
        done = self.tool(host, "rabbitmqctl", *arguments, text=text)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def tool(self, host: str, name: str, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        """One of RabbitMQ's own tools there."""
        return self.run(host, "chroot", str(self.root), f"{self._home}/sbin/{name}", *arguments, text=text)

    def doctor(self, host: str | None, where: str, tls: Path, vhost: str = "/") -> list[str]:
        """What ``fedora-messaging doctor`` finds wrong on that machine, with the certificate in that folder."""
        names = {
            "ca_cert": tls.parents[1] / "ca.pem",
            "certfile": tls / "cert.pem",
            "keyfile": tls / "key.pem",
        }
        url = f"amqps://{where}/{quote(vhost, safe='')}?connection_attempts=1"
        lines = [f'{key} = "{path}"' for key, path in names.items() if path.exists()]
        conf = self.folder / "client.toml"
        conf.write_text("\n".join([f'amqp_url = "{url}"', "[tls]", *lines]))
        command = [sys.executable, "-m", "fedora_messaging", "--conf", str(conf), "doctor", "--json"]
        checks = json.loads(self.run(host, *command).stdout)
        return [check["text"] for check in checks if check["status"] == "FAIL"]

    def request(self, host: str | None, method: str, url: str, **more: object) -> tuple[int, Any]:
        """An HTTP request from that machine: the status, 0 without an answer, and the body or the reason.

        ``more`` are ``ca``, ``tls`` (a folder of a certificate), ``user``, ``password`` and ``body``.
        """
        asked = {key: str(value) if isinstance(value, Path) else value for key, value in more.items()}
        text = json.dumps({"method": method, "url": url, **asked})
        done = self.run(host, sys.executable, str(HERE / "request.py"), text=text)
        assert done.returncode == 0, done.stderr
        status, answer = json.loads(done.stdout)
        return status, answer

    def handshake(self, host: str | None, where: str, *options: str) -> str:
        """What ``openssl s_client`` prints of a TLS handshake; it is over when something was exchanged."""
        command = ["openssl", "s_client", "-connect", where, "-cipher", "ALL:@SECLEVEL=0", *options]
        done = self.run(host, *command, text="AMQP\0\0\x09\x01")
        return done.stdout + done.stderr

    def listeners(self, host: str) -> set[tuple[str, int]]:
        """Addresses and ports on which anything listens there, as the kernel says."""
        found = set()
        for table in ("/proc/net/tcp", "/proc/net/tcp6"):
            # /proc/net is that of the process which looks.
            for line in self.run(host, "cat", table).stdout.splitlines()[1:]:
                local, _, state = line.split()[1:4]
                if state == "0A":  # TCP_LISTEN, include/net/tcp_states.h
                    ip, _, port = local.partition(":")
                    found.add((_ADDRESSES.get(ip, ip), int(port, 16)))
        return found

    def command(self, host: str | None, command: list[str]) -> list[str]:
        """The command that runs a command there: into the network's namespaces, and from there to the machine's."""
        assert self._network is not None
        children = Path(f"/proc/{self._network.pid}/task/{self._network.pid}/children").read_text().split()
        into = ["nsenter", "--target", children[0], "--net", "--mount", "--uts", "--pid"]
        if os.geteuid() != 0:
            into += ["--user", "--preserve-credentials"]
        if host is not None:
            pid = (self.folder / host / "pid").read_text().strip()
            into += ["nsenter", "--target", pid, "--net", "--mount", "--uts"]
        return [*into, "env", "HOME=/var/lib/rabbitmq", *command]


_ADDRESSES = {
    "00000000": "0.0.0.0",
    "0100007F": "127.0.0.1",
    "0" * 32: "::",
    "00000000000000000000000001000000": "::1",
}


def wait_for(condition: Callable[[], bool], what: str, seconds: float) -> None:
    """Until a condition holds.

    Raises:
        AssertionError: it does not within so many seconds.
    """
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what} took longer than {seconds:g} s"
        time.sleep(0.05)
