# SPDX-License-Identifier: MIT
"""What the old bus says about who may publish what: fedmsg's configuration, read as data, and certificates.

The files are read here; what is proposed from them is known in ``proposing``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ...endpoints import read_config
from ...exceptions import ToolsError, Unbridgeable
from ...fedmsg.certificates import shown, subject
from ...fedmsg.policy import Policy
from .publishers import Unlearnt, proper, services

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["OldBus", "read"]

_LARGEST_CERTIFICATE = 256 * 1024  # bytes; a certificate has 2 kB
_NEEDED = ("routing_policy", "routing_nitpicky")


@dataclass(slots=True)
class OldBus:
    """What fedmsg's configuration and a folder of certificates say.

    Attributes:
        routing: topic → the CNs that may publish it.
        nitpicky: whether fedmsg refused what is not in there; None: no configuration was read.
        expires: CN → until when its certificate is valid, in seconds since the epoch; None where that is not known.
        services: CN → service, as ``certnames`` says.
        notes: what could not be read, a line each.
    """

    routing: dict[str, tuple[str, ...]] = field(default_factory=dict)
    nitpicky: bool | None = None
    expires: dict[str, float | None] = field(default_factory=dict)
    services: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def policy(self) -> Policy:
        """By which fedmsg decides."""
        return Policy(self.routing, bool(self.nitpicky))


def read(configurations: Sequence[str], folders: Sequence[str]) -> OldBus:
    """Read fedmsg's configuration and certificates.

    Arguments:
        configurations: files, or folders such as ``fedmsg.d``; what is in later ones replaces and adds.
        folders: with certificates, ``*.crt`` in PEM; those of CAs are left out.

    Raises:
        ToolsError: one line; the policy cannot be read as data, or has not its form.
    """
    old = OldBus()
    for path in configurations:
        _configuration(old, path)
    for folder in folders:
        _certificates(old, folder)
    return old


def _configuration(old: OldBus, path: str) -> None:
    config = read_config(path, needed=_NEEDED)
    nitpicky = config.get("routing_nitpicky", bool(old.nitpicky))
    if not isinstance(nitpicky, bool):
        raise ToolsError(f"{path}: routing_nitpicky has to be True or False")
    old.nitpicky = nitpicky
    for topic, names in _table(path, config, "routing_policy").items():
        listed = [names] if isinstance(names, str) else names
        if not isinstance(listed, list | tuple) or not all(isinstance(name, str) for name in listed):
            raise ToolsError(
                f"{path}: routing_policy of {topic!r:.100} has to be a list of names of certificates"
            )
        old.routing[topic] = tuple(_named(old, f"{path}: routing_policy of {topic!r:.100}", listed))
    _certnames(old, path)


def _certnames(old: OldBus, path: str) -> None:
    """They hang on the host's name in many files, and are of use without: a note is enough."""
    try:
        config = read_config(path, needed=("certnames",))
    except ToolsError as error:
        old.notes.append(f"{error}; certnames are left out")
        return
    names = {
        key: name
        for key, name in _table(path, config, "certnames").items()
        if isinstance(name, str) and _named(old, f"{path}: certnames of {key!r:.100}", [name])
    }
    old.services.update(services(names))
    for name in names.values():
        old.expires.setdefault(name, None)


def _table(path: str, config: Mapping[str, object], key: str) -> Mapping[str, object]:
    table = config.get(key) or {}
    if not isinstance(table, dict) or not all(isinstance(name, str) for name in table):
        raise ToolsError(f"{path}: {key} has to be a dictionary with texts as its keys")
    return table


def _named(old: OldBus, place: str, names: Sequence[str]) -> list[str]:
    """Those after which a user can be called."""
    found = []
    for name in names:
        try:
            found.append(proper(name, "name"))
        except (Unlearnt, UnicodeEncodeError):
            old.notes.append(f"{place}: no user can be called {name!a:.100}; it is left out")
    return found


# certificates


def _certificates(old: OldBus, folder: str) -> None:
    try:
        files = sorted(file for file in Path(folder).iterdir() if file.suffix == ".crt")
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else error
        raise ToolsError(f"{folder!r}: no folder of certificates that can be read: {said}") from error
    if not files:
        raise ToolsError(f"{folder}: there is no certificate in it: no file whose name ends with .crt")
    for file in files:
        try:
            found = subject(_content(file), str(file))
        except Unbridgeable as error:
            old.notes.append(error.detail)
            continue
        if found.is_ca:
            continue
        if len(found.names) != 1:
            old.notes.append(f"{file}: its subject has {len(found.names)} names (CN) where one is needed")
        for name in _named(old, str(file), found.names if len(found.names) == 1 else ()):
            old.expires[name] = max(old.expires.get(name) or 0.0, found.period.ends)


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(_LARGEST_CERTIFICATE)
    except OSError as error:
        raise ToolsError(f"{shown(str(file))} cannot be read: {error.strerror}") from error
