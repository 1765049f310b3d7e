# SPDX-License-Identifier: MIT
"""An environment with this library's wheel and real schema packages, and the sources of those packages.

Both are kept in ``.cache`` under the pins' digest, so that only the first run downloads. The wheel is built and
installed again each time. What is asserted about them does not belong here.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[2]
PINS = Path(__file__).with_name("schema-packages.txt")
UV = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}") or "uv"


@dataclass(frozen=True)
class Environment:
    """Where an interpreter with the packages is, and a folder with the unpacked source of each suite."""

    python: Path
    sources: Path

    def run(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run the interpreter with ``arguments``; nothing of this process's environment leaks in."""
        clean = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "LANG": "C.UTF-8"}
        return subprocess.run(
            [str(self.python), *arguments], cwd=cwd, env=clean, capture_output=True, text=True, check=False
        )

    def packages(self) -> list[str]:
        """The schema packages that are installed: the first block of the pins."""
        first = PINS.read_text().partition("\n\n")[0]
        return [line.partition("==")[0] for line in first.splitlines() if not line.startswith("#")]

    def source(self, package: str) -> Path:
        """The folder of this package's source."""
        (found,) = self.sources.glob(f"{package.replace('-', '[-_]')}-[0-9]*")
        return found


def build(suites: list[str]) -> Environment:
    """The environment, with the sources of ``suites`` (names of packages)."""
    pins = [line for line in PINS.read_text().splitlines() if line and not line.startswith("#")]
    wanted = [pin for pin in pins if pin.partition("==")[0] in suites]
    digest = hashlib.sha256("\n".join([sys.version, *pins, "", *wanted]).encode()).hexdigest()[:16]
    home = ROOT / ".cache" / "schema-packages" / digest
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        environment = Environment(home / "venv" / "bin" / "python", home / "sources")
        if not (home / "complete").exists():
            _create(environment, home, wanted)
            (home / "complete").touch()
        _install_wheel(environment)
    return environment


def _create(environment: Environment, home: Path, wanted: list[str]) -> None:
    for rest in ("venv", "sources"):
        shutil.rmtree(home / rest, ignore_errors=True)
    _uv("venv", "--python", sys.executable, str(home / "venv"))
    _uv("pip", "install", "--no-deps", "--python", str(environment.python), "--requirement", str(PINS))
    environment.sources.mkdir()
    # A suite without settings of its own shall not find those of this repository further up.
    (environment.sources / "pytest.ini").write_text("[pytest]\n")
    names = ",".join(pin.partition("==")[0] for pin in wanted)
    with TemporaryDirectory() as folder:
        # uv has no command to fetch a source distribution.
        fetched = environment.run(
            *["-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"],
            *["--no-binary", names, "--dest", folder, *wanted],
        )
        assert fetched.returncode == 0, fetched.stderr
        for archive in Path(folder).iterdir():
            with tarfile.open(archive) as tar:
                # Not as an argument: Debian 12 has Python 3.11.2, which does not know it.
                tar.extraction_filter = getattr(tarfile, "data_filter", None)
                tar.extractall(environment.sources)


def _install_wheel(environment: Environment) -> None:
    with TemporaryDirectory() as folder:
        _uv("build", "--wheel", "--package", "fedora-messaging", "--out-dir", folder)
        (wheel,) = Path(folder).glob("*.whl")
        _uv("pip", "install", "--no-deps", "--reinstall", "--python", str(environment.python), str(wheel))
        # What the packages ask for, this version of the library is.
        _uv("pip", "check", "--python", str(environment.python))


def _uv(*arguments: str) -> None:
    done = subprocess.run([UV, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"uv {' '.join(arguments)}\n{done.stdout}{done.stderr}"
