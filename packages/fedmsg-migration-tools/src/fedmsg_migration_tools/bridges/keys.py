# SPDX-License-Identifier: MIT
"""The keys of CURVE, from the files that hold them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..exceptions import ToolsError
from ..sockets import Curve, CurveServer

if TYPE_CHECKING:
    from pathlib import Path

    from ..config import Curve as ClientFiles
    from ..config import CurveServer as ServerFiles

__all__ = ["client_keys", "server_keys"]


def client_keys(files: ClientFiles | None) -> Curve | None:
    """The keys of one who connects. Raises ``ToolsError``."""
    if files is None:
        return None
    return Curve(
        _key(files.server_key, "public-key"),
        _key(files.public_key, "public-key"),
        _key(files.secret_key, "secret-key"),
    )


def server_keys(files: ServerFiles | None) -> CurveServer | None:
    """The keys of one who is connected to. Raises ``ToolsError``."""
    if files is None:
        return None
    return CurveServer(_key(files.secret_key, "secret-key"), files.allowed)


def _key(path: Path, name: str) -> str:
    """A file has the key alone, or is a certificate as pyzmq writes it (``zmq.auth.create_certificates``)."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ToolsError(f"{path}: the CURVE key cannot be read: {error}") from error
    found = re.search(rf'^\s*{name}\s*=\s*"([^"]*)"', text, re.MULTILINE)
    return found[1] if found else text.strip()
