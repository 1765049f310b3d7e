# SPDX-License-Identifier: MIT
"""What several test modules share: looking at processes from outside."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest


class Processes:
    """What /proc says."""

    @staticmethod
    def gone(pid: int) -> bool:
        """Whether the process has ended; a zombie waits only for whoever adopted it."""
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            return True

    @staticmethod
    def name(pid: int) -> str:
        """The name of its program."""
        return Path(f"/proc/{pid}/comm").read_text().strip()

    @classmethod
    def family(cls, pid: int) -> set[int]:
        """The process and all its descendants."""
        try:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        except OSError:
            return set()
        return {pid}.union(*(cls.family(int(child)) for child in children))

    @staticmethod
    def parent(pid: int) -> int:
        """The pid of the parent process."""
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])

    @staticmethod
    def listeners(pid: int) -> set[str]:
        """Addresses (not ports) on which the process takes TCP connections, in the kernel's hexadecimal."""
        links = [entry.readlink() for entry in Path(f"/proc/{pid}/fd").iterdir()]
        sockets = {str(link)[8:-1] for link in links if str(link).startswith("socket:[")}
        found = set()
        for table in ("tcp", "tcp6"):
            for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
                words = line.split()
                if words[3] == "0A" and words[9] in sockets:
                    found.add(words[1].partition(":")[0])
        return found

    @staticmethod
    def eventually(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
        """Whether the condition holds within that time."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                return False
            time.sleep(0.01)
        return True


@pytest.fixture(scope="session")
def processes() -> type[Processes]:
    return Processes
