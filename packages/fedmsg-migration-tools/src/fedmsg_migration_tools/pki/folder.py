# SPDX-License-Identifier: MIT
"""The folder on disk: what lies where, written so that a crash leaves the old or the new, one writer at a time.

::

    ca.pem              the CA certificates to trust: for every client, and the broker
    crl.pem             their revocation lists, one behind the other
    crl/HASH.r0         the same, one a file, under the names that Erlang and OpenSSL look for
    issued/NAME         -> ../private/SERIAL: cert.pem and key.pem, which so change together
    ledger.json         what was issued
    private/            0700
    private/SERIAL/     cert.pem, and key.pem with 0600: never written a second time

What is written is decided elsewhere.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ..exceptions import ToolsError
from .ledger import Ledger
from .making import Pair

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Folder"]

PATIENCE = 10.0  # seconds to wait for another who writes
_TEMPORARY = ".new-"


class Folder:
    """One CA's files. All methods raise ``ToolsError``."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def ca(self) -> Path:
        """The certificates to trust."""
        return self.path / "ca.pem"

    @property
    def crl(self) -> Path:
        """The revocation lists in one file."""
        return self.path / "crl.pem"

    @property
    def crls(self) -> Path:
        """The revocation lists in one file each."""
        return self.path / "crl"

    def issued(self, name: str) -> Path:
        """Where the certificate and the key of that name are."""
        return self.path / "issued" / name

    @property
    def _ledger(self) -> Path:
        return self.path / "ledger.json"

    @property
    def _private(self) -> Path:
        return self.path / "private"

    # reading

    def ledger(self) -> Ledger:
        """What was issued."""
        with _told(self._ledger):
            try:
                text = self._ledger.read_bytes()
            except FileNotFoundError as error:
                raise ToolsError(
                    f"There is no CA in {self.path}: make one with 'pki init', or name its folder with --folder"
                ) from error
        try:
            return Ledger.of(text)
        except ToolsError as error:
            raise ToolsError(f"{self._ledger}: {error}; take it from a backup") from error

    def pair(self, serial: str) -> Pair:
        """The certificate of that serial number, and its key."""
        folder = self._private / serial
        with _told(folder):
            pem, key = (folder / "cert.pem").read_bytes(), (folder / "key.pem").read_bytes()
        try:
            return Pair.of(pem, key)
        except ToolsError as error:
            raise ToolsError(f"{folder}: {error}; take them from a backup") from error

    # writing

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Alone: another program waits until this one is done, or gives up after some seconds."""
        with _told(self.path):
            _for_everybody(self.path)
            self._private.mkdir(mode=0o700, exist_ok=True)
            self._private.chmod(0o700)
            number = os.open(self._private / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._lock(number)
            with _told(self.path):
                self._sweep()
                yield
        finally:
            os.close(number)

    def _lock(self, number: int) -> None:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if time.monotonic() > end:
                    raise ToolsError(
                        f"Another program is writing in {self.path}: try again when it is done"
                    ) from error
                time.sleep(0.05)
            else:
                return

    def _sweep(self) -> None:
        """What a crash left half done was never handed out."""
        for folder in (self.path, self._private, self.crls, self.path / "issued"):
            for left in folder.glob(f"{_TEMPORARY}*"):
                if left.is_dir() and not left.is_symlink():
                    shutil.rmtree(left)
                else:
                    left.unlink()

    def may_begin(self) -> None:
        """Raises ``ToolsError`` when a CA is there already, or files of another's."""
        if self._ledger.exists():
            raise ToolsError(f"There is a CA in {self.path} already: see 'pki list'")
        for path in (self.ca, self.crl, self.crls):
            if path.exists():
                raise ToolsError(f"{path} is there already, and not of this program: take another folder")

    def keep(self, pair: Pair) -> None:
        """Put a certificate and its key where nothing was."""
        temporary = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=self._private))  # 0700
        _create(temporary / "key.pem", pair.key_pem, 0o600)
        _create(temporary / "cert.pem", pair.pem, 0o644)
        _settle(temporary)
        temporary.rename(self._private / pair.serial)  # fails where there are files
        _settle(self._private)

    def commit(self, ledger: Ledger) -> None:
        """From now on it is as this ledger says."""
        _replace(self._ledger, ledger.text())

    def publish(self, ca: bytes, crl: bytes, crls: Mapping[str, bytes]) -> None:
        """Write what is for everybody. Files of ``crl/`` that are not named go; unchanged ones are left alone."""
        _for_everybody(self.crls)
        _replace(self.ca, ca)
        for name, text in crls.items():
            _replace(self.crls / name, text)
        for path in self.crls.iterdir():
            if path.name not in crls:
                path.unlink()
        _replace(self.crl, crl)

    def link(self, names: Mapping[str, str]) -> None:
        """``issued/NAME`` leads to the files of this serial number; of a name that is not there, nowhere."""
        folder = self.path / "issued"
        _for_everybody(folder)
        for name, serial in names.items():
            path, target = folder / name, Path("..", "private", serial)
            if path.is_symlink() and path.readlink() == target:
                continue
            temporary = folder / f"{_TEMPORARY}{name}"
            temporary.symlink_to(target)
            temporary.replace(path)
        for path in folder.iterdir():
            if path.is_symlink() and path.name not in names:
                path.unlink()
        _settle(folder)


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """What the system says, in one line."""
    try:
        yield
    except OSError as error:
        raise ToolsError(f"{error.filename or path}: {error.strerror or error}") from error


def _for_everybody(folder: Path) -> None:
    """A folder that the broker's user may look into, whatever the umask; one that is there is left as it is."""
    if not folder.is_dir():
        folder.mkdir(parents=True)
        folder.chmod(0o755)


def _replace(path: Path, data: bytes) -> None:
    with contextlib.suppress(FileNotFoundError):
        if path.read_bytes() == data:
            return
    temporary = path.parent / f"{_TEMPORARY}{path.name}"
    _create(temporary, data, 0o644)
    temporary.replace(path)
    _settle(path.parent)


def _create(path: Path, data: bytes, mode: int) -> None:
    """A file that was not there; its mode does not depend on the umask, and was never wider."""
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(number, "wb") as file:
        file.write(data)
        os.fchmod(number, mode)
        file.flush()
        os.fsync(number)


def _settle(folder: Path) -> None:
    """What was renamed in it is so after a power failure too."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(number)
    finally:
        os.close(number)
