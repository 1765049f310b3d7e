# SPDX-License-Identifier: MIT
"""Certificates for the machines, made as an operator makes them: by ``fedmsg-migration-tools pki``."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .machines import Machines

TOOLS = Path(sys.executable).with_name("fedmsg-migration-tools")
HOSTS = ("bus1.example.org", "bus2.example.org", "bus3.example.org")


class Pki:
    """A certificate authority in a folder; clients ``alice`` and ``bob``, of whom bob's certificate is revoked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run("init")
        for host in HOSTS:
            self.run("issue", host, "--host", host, "--host", "localhost", "--also-client")
            shutil.copytree(self.folder / "issued" / host, self.of(host))
        self.issue("alice")
        self.issue("bob")
        self.run("revoke", "bob")

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    def run(self, command: str, *arguments: str) -> None:
        subprocess.run([TOOLS, "pki", command, *arguments, "-C", self.folder], check=True, capture_output=True)

    def issue(self, name: str) -> None:
        """For a client, who has it for good: of what was revoked the authority gives nothing away."""
        self.run("issue", name)
        shutil.copytree(self.folder / "issued" / name, self.of(name))

    def of(self, name: str) -> Path:
        """The folder with a client's ``cert.pem`` and ``key.pem``."""
        return self.folder / "clients" / name

    def bring(self, machines: Machines) -> None:
        """What each machine needs goes to its ``/etc/rabbitmq/tls``; revocation lists that were there are replaced."""
        for host in machines.hosts:
            tls = machines.etc(host) / "tls"
            (tls / "crl").mkdir(parents=True, exist_ok=True)
            for source in (self.ca, *(self.folder / "issued" / host).iterdir()):
                shutil.copy(source, tls)
            for source in (self.folder / "crl").iterdir():
                shutil.copy(source, tls / "crl")


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki") / "pki")
