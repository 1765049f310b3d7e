# SPDX-License-Identifier: MIT
"""An environment with this library's wheel and real schema packages, and the sources of those packages.

The wheel is built and installed anew in each run. What is asserted about them does not belong here.
"""

from __future__ import annotations

import hashlib
import tarfile
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.interop import environments

PINS = Path(__file__).with_name("schema-packages.txt")


@dataclass(frozen=True)
class Environment(environments.Environment):
    """Where an interpreter with the packages is, and a folder with the unpacked source of each suite."""

    sources: Path

    def packages(self) -> list[str]:
        """The schema packages that are installed: the first block of the pins."""
        first = PINS.read_text().partition("\n\n")[0]
        return [line.partition("==")[0] for line in first.splitlines() if not line.startswith("#")]

    def source(self, package: str) -> Path:
        """The folder of this package's source."""
        (found,) = self.sources.glob(f"{package.replace('-', '[-_]')}-[0-9]*")
        return found


def installed() -> environments.Environment:
    """The environment alone."""
    environment = environments.create("schemas", environments.pins(PINS))
    environments.install_wheel(environment)
    environments.check(environment)
    return environment


def build(suites: list[str]) -> Environment:
    """The environment, with the sources of ``suites`` (names of packages)."""
    home = installed().home
    wanted = [pin for pin in environments.pins(PINS) if pin.partition("==")[0] in suites]
    name = f"sources-{hashlib.sha256(chr(10).join(wanted).encode()).hexdigest()[:16]}"
    environment = Environment(home, home / name)
    with environments.once(home, name) as missing:
        if missing:
            _fetch(environment, wanted)
    return environment


def _fetch(environment: Environment, wanted: list[str]) -> None:
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
