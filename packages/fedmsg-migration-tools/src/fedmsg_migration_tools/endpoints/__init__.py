# SPDX-License-Identifier: MIT
"""Which endpoints to listen to: from options, and from files and folders in fedmsg's own format.

``fedmsg.d/*.py`` are Python files that leave a dictionary ``config`` behind. They are read as data (``data``) and
never executed. Whether an endpoint's text is right is known by the sockets, not here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..exceptions import ToolsError
from .data import Unreadable, first_unreadable, parse

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

__all__ = ["read", "read_config"]

# The largest known file, Fedora's list of endpoints, had some 100 kB; parsing takes up to 500 times this in memory.
_LARGEST_FILE = 512 * 1024
# fedmsg puts the place where its relay *listens* for publishers among the endpoints, and skips it when it subscribes.
_NO_PUBLISHERS = frozenset({"relay_inbound"})


def read(sources: Sequence[str]) -> list[str]:
    """The endpoints that ``sources`` name, in their order, each once.

    Arguments:
        sources: endpoints (all that has ``://`` in it), or paths of files or folders in fedmsg's format.

    In such a file ``tcp://*:4001`` is where a publisher on this very host listens: it becomes
    ``tcp://127.0.0.1:4001``.

    Raises:
        ToolsError: a file cannot be read, or names no endpoints, or names one by something that is not data.
    """
    found: dict[str, None] = {}
    for source in sources:
        found.update(dict.fromkeys([source] if "://" in source else _endpoints_of(source)))
    return list(found)


def read_config(path: str, needed: Collection[str] = ()) -> dict[str, Any]:
    """The configuration that a file, or a folder of files, in fedmsg's format amounts to.

    A folder's ``*.py`` are taken in the order of their names: what comes later replaces what was there, and
    dictionaries are merged, as fedmsg does.

    Arguments:
        path: the file or folder.
        needed: keys that matter. One of these that is not data is an error; any other one is left out.

    Raises:
        ToolsError: one line that says which file cannot be read as data, and why.
    """
    config: dict[Any, Any] = {}
    for file in _files(Path(path)):
        _merge(config, parse(_text(file), str(file)))
    for key in needed:
        if (culprit := first_unreadable(config.get(key))) is not None:
            raise ToolsError(str(culprit))
    return {
        key: value
        for key, value in config.items()
        if isinstance(key, str) and first_unreadable(value) is None
    }


def _endpoints_of(path: str) -> Iterator[str]:
    endpoints = read_config(path, needed=("endpoints",)).get("endpoints")
    if not endpoints or not isinstance(endpoints, dict | list | tuple | str):
        raise ToolsError(
            f"{path}: no endpoints in it: config = dict(endpoints={{'name': ['tcp://HOST:PORT']}})"
        )
    named = endpoints if isinstance(endpoints, dict) else {"endpoints": endpoints}
    for name, listed in named.items():
        if name not in _NO_PUBLISHERS:
            yield from _listed(path, name, listed)


def _listed(path: str, name: object, listed: object) -> Iterator[str]:
    texts = [listed] if isinstance(listed, str) else listed
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        raise ToolsError(
            f"{path}: the endpoints of {name!r} have to be a list of texts, such as tcp://HOST:PORT"
        )
    for text in texts:
        yield text.replace("tcp://*:", "tcp://127.0.0.1:", 1)


def _files(path: Path) -> list[Path]:
    try:
        if path.is_dir():
            return sorted(file for file in path.iterdir() if file.name.endswith(".py") and file.is_file())
        if path.is_file():
            return [path]
    except (OSError, ValueError) as exc:
        raise ToolsError(f"{path}: cannot be read: {exc}") from exc
    raise ToolsError(
        f"{str(path)!r} is neither an endpoint (tcp://HOST:PORT) nor a file or folder that is there"
    )


def _text(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            data = stream.read(_LARGEST_FILE + 1)
        if len(data) <= _LARGEST_FILE:
            return data.decode("utf-8-sig")
    except OSError as exc:
        raise ToolsError(f"{file}: cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise ToolsError(f"{file}: is no UTF-8: {exc.reason} at byte {exc.start}") from exc
    raise ToolsError(f"{file}: is longer than {_LARGEST_FILE} bytes, and so no list of endpoints")


def _merge(into: dict[Any, Any], new: dict[Any, Any]) -> None:
    """Level by level, each pair of dictionaries once: they may share parts, or hold themselves."""
    merged: dict[tuple[int, int], tuple[Any, ...]] = {}
    waiting = [(into, new)]
    while waiting:
        target, source = waiting.pop()
        for key, value in source.items():
            old = target.get(key)
            if isinstance(old, dict) and isinstance(value, dict):
                pair = (id(old), id(value))
                if pair not in merged:
                    merged[pair] = (dict(old), old, value)  # the ids stay taken while the parts are held
                    waiting.append((merged[pair][0], value))
                target[key] = merged[pair][0]
            elif not (isinstance(old, Unreadable) and isinstance(value, dict)):
                target[key] = value  # what is unknown stays so when something is merged into it
