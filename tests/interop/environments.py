# SPDX-License-Identifier: MIT
"""Python environments of their own, built by uv from pinned lists.

They are kept in ``.cache`` under the pins' digest, so that only the first run downloads. What is in them, and what is
asserted about them, does not belong here.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache" / "interop"
UV = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}") or "uv"


@dataclass(frozen=True)
class Environment:
    """An environment, in a folder where more may be kept."""

    home: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.home / "venv" / "bin" / "python"

    def script(self, name: str) -> Path:
        """A command that one of its packages has."""
        return self.python.with_name(name)

    def variables(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment variables for its programs: nothing of this process's leaks in."""
        clean = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "LANG": "C.UTF-8"}
        return {**clean, **(more or {})}

    def run(
        self, *arguments: str, cwd: Path | None = None, timeout: float | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run the interpreter with ``arguments``, for ``timeout`` seconds at most."""
        return subprocess.run(
            [str(self.python), *arguments],
            cwd=cwd,
            env=self.variables(),
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )


def pins(path: Path) -> list[str]:
    """The requirements in a file."""
    return [line for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]


def create(name: str, pinned: Iterable[str]) -> Environment:
    """The environment with just these packages, of exactly these versions."""
    requirements = "\n".join(pinned)
    digest = hashlib.sha256(f"{sys.version}\n{requirements}".encode()).hexdigest()[:16]
    environment = Environment(CACHE / f"{name}-{digest}")
    with once(environment.home, "venv") as missing:
        if missing:
            uv("venv", "--python", sys.executable, str(environment.home / "venv"))
            listed = environment.home / "requirements.txt"
            listed.write_text(requirements)
            uv(
                "pip",
                "install",
                "--no-deps",
                "--python",
                str(environment.python),
                "--requirement",
                str(listed),
            )
    return environment


@contextlib.contextmanager
def once(home: Path, part: str) -> Iterator[bool]:
    """Whether ``home/part`` has still to be made, which is then done while other processes wait."""
    home.mkdir(parents=True, exist_ok=True)
    complete = home / f"{part}.complete"
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        missing = not complete.exists()
        if missing:
            shutil.rmtree(home / part, ignore_errors=True)
        yield missing
        complete.touch()


@functools.cache
def install_wheel(environment: Environment) -> None:
    """Build this library's wheel and install it there, once in the life of this process."""
    with TemporaryDirectory() as folder:
        uv("build", "--wheel", "--package", "fedora-messaging", "--out-dir", folder)
        (wheel,) = Path(folder).glob("*.whl")
        uv("pip", "install", "--no-deps", "--reinstall", "--python", str(environment.python), str(wheel))


def check(environment: Environment) -> None:
    """Each package finds what it asks for, in a version that it takes."""
    uv("pip", "check", "--python", str(environment.python))


def uv(*arguments: str) -> None:
    """Run uv; it must succeed."""
    done = subprocess.run([UV, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"uv {' '.join(arguments)}\n{done.stdout}{done.stderr}"
