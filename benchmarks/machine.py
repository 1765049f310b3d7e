# SPDX-License-Identifier: MIT
"""What a result depends on besides the code: versions, and the machine, without its name."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

VERSIONS = (
    "import importlib.metadata as m; "
    "print(*sorted(f'{d.name}=={d.version}' for d in m.distributions()), sep='\\n')"
)
#: Of ours, those that a message passes through; the workspace holds tools as well.
RELEVANT = (
    "jsonschema_rs",
    "fedora-messaging",
    "pika",
    "msgspec",
    "jsonschema",
    "blinker",
    "click",
    "uvloop",
    "fedmsg-migration-tools",
    "pyzmq",
    "cryptography",
)


def facts(rabbitmq: str, peer_python: Path, old_python: Path) -> dict[str, object]:
    """JSON data, fit to be published."""
    return {
        "rabbitmq": rabbitmq,
        "python": platform.python_version(),
        "kernel": platform.release(),
        "system": _system(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1_000_000,
        "load_before": os.getloadavg()[0],
        "ours": [line for line in _installed(None) if line.partition("==")[0].lower() in RELEVANT],
        "peer": _installed(peer_python),
        "old_tools": _installed(old_python),
    }


def _installed(python: Path | None) -> list[str]:
    command = [str(python or sys.executable), "-c", VERSIONS]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
