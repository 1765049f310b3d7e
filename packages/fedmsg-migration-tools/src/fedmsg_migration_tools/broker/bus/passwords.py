# SPDX-License-Identifier: MIT
"""Passwords as RabbitMQ keeps them, and the secrets that the operator's file only points to.

A hash is Base64 of four bytes of salt and the digest of salt and password
(https://www.rabbitmq.com/docs/passwords#this-is-the-algorithm).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import stat
from typing import TYPE_CHECKING

from ...exceptions import ToolsError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["ALGORITHMS", "Secret", "Secrets", "hashed", "same_password", "size_of_hash"]

#: RabbitMQ's name → hashlib's.
ALGORITHMS = {
    "rabbit_password_hashing_sha256": "sha256",
    "rabbit_password_hashing_sha512": "sha512",
    "rabbit_password_hashing_md5": "md5",
}
_SALT = 4  # bytes
_OF_OTHERS = stat.S_IRGRP | stat.S_IROTH


class Secret(str):
    """A text that does not show itself in a log, a traceback or a dump; ``str()`` and ``format()`` hide it too."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "***"

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return "***"

    def reveal(self) -> str:
        """The text itself, as an ordinary string."""
        return "".join(self)


class Secrets:
    """Reads what the operator's file points to.

    Arguments:
        environ: the environment; the process's own if None.

    Attributes:
        warnings: what the operator should know: files that others may read, a line each.
    """

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._environ = os.environ if environ is None else environ
        self.warnings: list[str] = []

    def read(self, file: Path | None, variable: str | None, whose: str) -> Secret:
        """The secret in a file, or else in an environment variable; without a newline at its end.

        Arguments:
            file: where it is.
            variable: where it is, if there is no file.
            whose: what the operator calls its owner, such as ``user bodhi``.

        Raises:
            ToolsError: it is not there, or empty.
        """
        text = self._of_file(file, whose) if file is not None else self._of_variable(variable or "", whose)
        return Secret(text)

    def _of_file(self, file: Path, whose: str) -> str:
        try:
            if file.stat().st_mode & _OF_OTHERS:
                self.warnings.append(
                    f"{file}, the secret of {whose}, may be read by others: chmod 600 {file}"
                )
            text = file.read_text(encoding="utf-8").rstrip("\r\n")
        except OSError as exc:
            raise ToolsError(f"the secret of {whose} cannot be read from {file}: {exc.strerror}") from exc
        except UnicodeDecodeError as exc:
            raise ToolsError(f"the secret of {whose} in {file} is not UTF-8") from exc
        if not text:
            raise ToolsError(f"the secret of {whose} is missing: {file} is empty")
        return text

    def _of_variable(self, variable: str, whose: str) -> str:
        text = self._environ.get(variable, "")
        if not text:
            raise ToolsError(f"the secret of {whose} is missing: set the environment variable {variable}")
        return text


def hashed(password: str, salt: bytes, algorithm: str = "rabbit_password_hashing_sha256") -> str:
    """The hash of a password.

    Arguments:
        password: in clear.
        salt: four bytes.
        algorithm: RabbitMQ's name of one of :data:`ALGORITHMS`.
    """
    clear = "".join(password).encode()
    return base64.b64encode(salt + hashlib.new(ALGORITHMS[algorithm], salt + clear).digest()).decode()


def same_password(password: str, live_hash: str, algorithm: str) -> bool:
    """Whether ``live_hash`` is a hash of this password; False for an algorithm that only the broker knows."""
    if algorithm not in ALGORITHMS:
        return False
    try:
        salt = base64.b64decode(live_hash, validate=True)[:_SALT]
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(hashed(password, salt, algorithm).encode(), live_hash.encode())


def size_of_hash(algorithm: str) -> int | None:
    """How many bytes a hash has, its salt included; None for an algorithm that only the broker knows."""
    name = ALGORITHMS.get(algorithm)
    return None if name is None else _SALT + hashlib.new(name, usedforsecurity=False).digest_size
