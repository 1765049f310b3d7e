# SPDX-License-Identifier: MIT
"""Files that nobody else may read, whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["create", "replace"]


def create(path: Path, text: str) -> None:
    """A new file.

    Raises:
        ToolsError: there is one already, or it cannot be written.
    """
    _write(path, text, anew=True)


def replace(path: Path, text: str) -> None:
    """A file in the place of what is there. Raises ``ToolsError``: it cannot be written."""
    _write(path, text, anew=False)


def _write(path: Path, text: str, *, anew: bool) -> None:
    from ...exceptions import ToolsError  # noqa: PLC0415 - only when a command runs

    temporary = ""
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # its mode is 0600
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        if anew:
            path.hardlink_to(temporary)
        else:
            os.replace(temporary, path)  # noqa: PTH105 - the path is a string
    except FileExistsError as exc:
        raise ToolsError(f"{path} is there already: give --output another name, or move it away") from exc
    except OSError as exc:
        raise ToolsError(f"{path} cannot be written: {exc.strerror}") from exc
    finally:
        if temporary:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)  # noqa: PTH108
