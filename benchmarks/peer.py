# SPDX-License-Identifier: MIT
"""The peers' own environments, built once by uv: fedora-messaging 3.9.1 from the pinned list beside this file, and
fedmsg-migration-tools 0.1.2 from that of the interoperation tests.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from tests.interop import environments

REQUIREMENTS = Path(__file__).with_name("peer-requirements.txt")
OLD_TOOLS = Path(__file__).parent.parent / "tests" / "interop" / "old-tools-packages.txt"
ENVIRONMENTS = Path(__file__).parent.parent / ".cache" / "bench"


def python() -> Path:
    """The interpreter that has fedora-messaging 3.9.1, and nothing of ours.

    Raises ``subprocess.CalledProcessError`` when uv cannot build the environment.
    """
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()[:12]
    environment = ENVIRONMENTS / f"peer-{wanted}"
    interpreter, complete = environment / "bin" / "python", environment / "complete"
    if not complete.exists():
        _uv("venv", "--quiet", "--clear", "--python", sys.executable, str(environment))
        _uv(
            "pip",
            "install",
            "--quiet",
            "--compile-bytecode",
            "--python",
            str(interpreter),
            "-r",
            str(REQUIREMENTS),
        )
        complete.touch()
    return interpreter


def old_tools() -> Path:
    """The interpreter that has fedmsg-migration-tools 0.1.2 and what it was used with."""
    return environments.create("old-tools", environments.pins(OLD_TOOLS)).python


def _uv(*arguments: str) -> None:
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.exists() else shutil.which("uv") or "uv"
    subprocess.run([uv, *arguments], check=True)
