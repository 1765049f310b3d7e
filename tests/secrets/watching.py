# SPDX-License-Identifier: MIT
"""Looking for secrets: in texts, in every form they may be written in, and in all command lines."""

from __future__ import annotations

import base64
import contextlib
import json
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

INTERVAL = 0.01  # seconds between two looks at the processes


def forms(secret: str) -> set[str]:
    """How a secret may be written."""
    plain = secret.encode()
    found = {secret, quote(secret, safe=""), quote(secret), quote_plus(secret), plain.hex()}
    found |= {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1]}
    found |= {repr(plain)[2:-1], quote(secret, safe="").lower()}
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for before in range(3):  # within something longer, such as "user:password"
            text = encode(b"\0" * before + plain).decode().rstrip("=")
            # What depends on the bytes in front and behind is left out.
            found.add(text[(0, 2, 3)[before] : len(text) - 2])
    return found


def seen(secret: str, text: str) -> str | None:
    """The form in which the text holds it."""
    return next((form for form in sorted(forms(secret)) if form in text), None)


class Processes:
    """The command lines of all processes of the machine, and of those that this one starts, while it is entered."""

    def __init__(self) -> None:
        self.lines: set[str] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        sys.addaudithook(self._heard)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        """What this process starts may be over before anybody looks. A hook stays for ever, so it says when to stop."""
        if event == "subprocess.Popen" and not self._over.is_set():
            line = arguments[1]
            self.lines.add(line if isinstance(line, str) else "\0".join(map(str, line)))

    def _look(self) -> None:
        while not self._over.wait(INTERVAL):
            for line in _command_lines():
                self.lines.add(line)


def _command_lines() -> Iterator[str]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has just ended
            yield path.read_bytes().decode(errors="replace")


def found(secrets: dict[str, str], texts: Iterable[tuple[str, str]]) -> list[str]:
    """Where which secret is, with what stands around it; the secrets themselves are not repeated."""
    places = []
    for where, text in texts:
        for name, secret in secrets.items():
            form = seen(secret, text)
            if form is not None:
                at = text.index(form)
                places.append(f"{where}: {name}: …{text[max(0, at - 80) : at]}<HERE>")
    return places
