# SPDX-License-Identifier: MIT
"""Who the administrator of a private node is: a name, and a password that nobody else knows.

RabbitMQ's own ``guest`` with the password ``guest`` is known to every program of every user of the machine. The
password is random, and written to files that only the owner may read. Telling it to RabbitMQ belongs to ``layout``.
"""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

USER = "admin"
"""The administrator's name, unless the configuration says another."""
FILE = "password"
"""Where a folder of data that is kept has the password: RabbitMQ remembers it with the data."""


def new() -> str:
    """A password of 128 random bits that needs no escaping: neither in a URL nor in rabbitmq.conf."""
    return secrets.token_hex(16)


def kept_in(folder: Path, name: str = FILE) -> str:
    """The password that belongs to the data in this folder; made and written at the first time."""
    file = folder / name
    if not file.exists():
        write_privately(file, new() + "\n")
    return file.read_text().strip()


def write_privately(file: Path, text: str) -> None:
    """Write a file that only its owner may read, at no moment anybody else."""
    with open(file, "w", opener=_private, encoding="utf-8") as opened:
        os.fchmod(opened.fileno(), 0o600)  # one that was there keeps its mode otherwise
        opened.write(text)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
