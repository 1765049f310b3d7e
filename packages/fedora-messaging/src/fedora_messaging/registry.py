# SPDX-License-Identifier: MIT
"""Message classes by name: what the installed packages declare in the entry-point group ``fedora.messages``.

The declarations are read once, at first need; each class is imported when it is first asked for, so that a
package which does not import harms nobody but itself. What a message *is* does not belong here.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "fedora.messages"

_log = logging.getLogger(__name__)

# Applications' tests put classes of their own in these two, under the names they have in ``message``.
schema_name_to_class: dict[str, type[Any]] = {}
class_to_schema_name: dict[type[Any], str] = {}
#: Schema name to the normalised name of the distribution that declares it.
schema_name_to_package: dict[str, str] = {}


class Declaration(NamedTuple):
    """One entry point: the class ``attribute`` of ``module`` is called ``name``."""

    name: str
    module: str
    attribute: str
    point: EntryPoint

    @property
    def package(self) -> str | None:
        """The distribution that declares it, as it stands in the header."""
        return normalise(self.point.dist.name) if self.point.dist else None


class _Table:
    """Everything that is declared; read under a lock, at first use."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_name: dict[str, Declaration] | None = None
        self._by_place: dict[tuple[str, str], Declaration] = {}
        self.broken: set[str] = set()

    def by_name(self) -> dict[str, Declaration]:
        if self._by_name is None:
            with self._lock:
                if self._by_name is None:
                    self._by_name = self._read()
        return self._by_name

    def by_place(self) -> dict[tuple[str, str], Declaration]:
        self.by_name()
        return self._by_place

    def _read(self) -> dict[str, Declaration]:
        from importlib.metadata import entry_points  # noqa: PLC0415 - costs 20 ms, and many never need it

        found = [Declaration(p.name, p.module, p.attr, p) for p in entry_points(group=GROUP)]
        # Two declarations of one name, or two names of one class: the later one wins, as in 3.x.
        self._by_place = {(d.module, d.attribute): d for d in found}
        return {d.name: d for d in found}

    def mark_broken(self, name: str) -> bool:
        """True the first time: that is when it is worth a line in the log."""
        with self._lock:
            first = name not in self.broken
            self.broken.add(name)
            return first

    def forked(self) -> None:
        """In a forked child: whichever thread held the lock, it is not here to let it go."""
        self._lock = threading.Lock()


_table = _Table()
os.register_at_fork(after_in_child=_table.forked)


def normalise(distribution: str) -> str:
    """A distribution's name as the header ``fedora_messaging_schema_package`` has it."""
    return re.sub(r"[-_.]+", "_", distribution).lower()


def register(name: str, cls: type[Any], package: str | None) -> None:
    """Make ``cls`` known as ``name``, without asking the entry points."""
    schema_name_to_class[name] = cls
    class_to_schema_name[cls] = name
    if package:
        schema_name_to_package[name] = package


def find_class(name: object) -> type[Any] | None:
    """The class that is declared under ``name``; None when there is none, or when it does not import."""
    if not isinstance(name, str):
        return None
    known = schema_name_to_class.get(name)
    if known is not None or name in _table.broken:
        return known
    declaration = _table.by_name().get(name)
    return _load(declaration) if declaration else None


def find_name(cls: type[Any]) -> str | None:
    """The name under which ``cls`` is declared; imports other packages only when nothing else settles it."""
    name = class_to_schema_name.get(cls)
    if name is None:
        declaration = _declaration_of(cls)
        if declaration is None:
            return None
        name = declaration.name
        class_to_schema_name[cls] = name
    return name


def find_package(name: str) -> str | None:
    """The distribution that declares the schema ``name``, normalised; None for one that is not installed."""
    package = schema_name_to_package.get(name)
    if package is None and (declaration := _table.by_name().get(name)):
        package = declaration.package
        if package:
            schema_name_to_package[name] = package
    return package


def declarations() -> list[Declaration]:
    """All that is declared, in no particular order; imports no class."""
    return list(_table.by_name().values())


def load_all() -> None:
    """Import every declared class. One that fails leaves a warning."""
    for name in _table.by_name():
        find_class(name)


def _declaration_of(cls: type[Any]) -> Declaration | None:
    declaration = _table.by_place().get((cls.__module__, cls.__qualname__))
    if declaration:
        return declaration
    for declaration in _table.by_place().values():
        if _already_imported(declaration) is cls:
            return declaration
    # It may be declared under the name of a module that re-exports it and that nobody has imported yet.
    load_all()
    matching = (d for d in _table.by_place().values() if _already_imported(d) is cls)
    return next(matching, None)


def _already_imported(declaration: Declaration) -> object:
    found: object = sys.modules.get(declaration.module)
    for part in declaration.attribute.split("."):
        found = getattr(found, part, None)
    return found


def _load(declaration: Declaration) -> type[Any] | None:
    # No lock is held while importing: the package's own import may come back here from another thread.
    try:
        cls = declaration.point.load()
        if not isinstance(cls, type):
            raise TypeError(f"{declaration.point.value} is not a class")  # noqa: TRY301
    except Exception as exc:  # noqa: BLE001 - whatever a foreign package raises while it is imported
        if _table.mark_broken(declaration.name):
            _log.warning(
                "The message class %r of the package %r cannot be imported (%s: %s); "
                "its messages are taken as plain ones.",
                declaration.name, declaration.package, type(exc).__name__, exc,
            )  # fmt: skip
        return None
    schema_name_to_class[declaration.name] = cls
    class_to_schema_name.setdefault(cls, _table.by_place()[declaration.module, declaration.attribute].name)
    return cls
