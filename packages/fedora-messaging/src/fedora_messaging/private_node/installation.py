# SPDX-License-Identifier: MIT
"""Where RabbitMQ and Erlang are on this machine. Running them does not belong here.

The distributions' ``/usr/sbin/rabbitmq-server`` and ``rabbitmqctl`` are wrappers that change the user, and are never
used: the files behind them are.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..exceptions import NodeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

HOMES = (
    "usr/lib/rabbitmq/lib/rabbitmq_server-*",
    "usr/lib64/rabbitmq/lib/rabbitmq_server-*",
    "usr/local/lib/rabbitmq/lib/rabbitmq_server-*",
    "opt/rabbitmq_server-*",
    "opt/rabbitmq",
    "usr/local/opt/rabbitmq",
    "opt/homebrew/opt/rabbitmq",
)
ERLANGS = ("usr/lib/erlang", "usr/lib64/erlang", "usr/local/lib/erlang", "opt/erlang")
ADVICE = "Install it with 'apt-get install rabbitmq-server' (Debian, Ubuntu) or 'dnf install rabbitmq-server' (Fedora)"


@dataclass(frozen=True)
class Installation:
    """What is needed to run a node. ``erl_call`` may be missing: then ``rabbitmqctl`` does its work, slower."""

    home: Path
    erl: Path
    epmd: Path
    erl_call: Path | None

    @property
    def plugins_folder(self) -> Path:
        """Where the plugins and RabbitMQ's own applications are."""
        return self.home / "plugins"

    @property
    def rabbitmqctl(self) -> Path:
        """The real one, not the distribution's wrapper."""
        return self.home / "sbin" / "rabbitmqctl"

    @property
    def version(self) -> tuple[int, ...]:
        """RabbitMQ's version, like (3, 10, 8); empty when it cannot be told."""
        return next((_version(path.name) for path in self.plugins_folder.glob("rabbit-[0-9]*")), ())

    @property
    def plugins(self) -> set[str]:
        """The names of all plugins and applications."""
        return {path.name.partition("-")[0] for path in self.plugins_folder.glob("*-[0-9]*")}

    def require(self, plugins: Iterable[str]) -> None:
        """See that the plugins are there.

        Raises:
            NodeError: some are not; names them.
        """
        missing = sorted(set(plugins) - self.plugins)
        if missing:
            raise NodeError(f"The RabbitMQ in {self.home} has no plugin {', '.join(missing)}.")


def find(
    home: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] | None = None,
    root: Path = Path("/"),
) -> Installation:
    """The RabbitMQ in ``home``, or in $RABBITMQ_HOME, or the newest of those installed; and its Erlang.

    Arguments:
        home: the folder with ``sbin`` and ``plugins`` in it.
        environ: for RABBITMQ_HOME, ERLANG_HOME and PATH; this process's by default.
        root: the root of the file system to look in.

    Raises:
        NodeError: RabbitMQ or Erlang is missing; says what to install.
    """
    environ = os.environ if environ is None else environ
    rabbitmq = _rabbitmq(home or environ.get("RABBITMQ_HOME"), root)
    erl = _program("erl", environ, list(_erlang_folders(environ, root)))
    if erl is None:
        raise NodeError(f"RabbitMQ is in {rabbitmq}, but Erlang's 'erl' is missing. {ADVICE}.")
    erlang = erl.resolve().parent.parent
    beside = [erlang / "bin", *sorted(erlang.glob("erts-*/bin"), reverse=True)]
    epmd = _program("epmd", environ, beside)
    if epmd is None:
        raise NodeError(f"Erlang is in {erlang}, but its 'epmd' is missing. {ADVICE}.")
    calls = [*beside, *sorted(erlang.glob("lib/erl_interface-*/bin"), reverse=True)]
    return Installation(rabbitmq, erl, epmd, _program("erl_call", environ, calls))


def _rabbitmq(home: str | os.PathLike[str] | None, root: Path) -> Path:
    if home:
        if (Path(home) / "plugins").is_dir() and (Path(home) / "sbin").is_dir():
            return Path(home).absolute()
        raise NodeError(f"There is no RabbitMQ in {home}: no folders 'sbin' and 'plugins'.")
    found = [path for pattern in HOMES for path in root.glob(pattern) if (path / "plugins").is_dir()]
    if not found:
        raise NodeError(
            f"RabbitMQ is not installed. {ADVICE}, or set RABBITMQ_HOME to the folder where it is."
        )
    return max(found, key=lambda path: _version(path.name))


def _erlang_folders(environ: Mapping[str, str], root: Path) -> Iterator[Path]:
    if environ.get("ERLANG_HOME"):
        yield Path(environ["ERLANG_HOME"]) / "bin"
    for folder in ERLANGS:
        yield root / folder / "bin"


def _program(name: str, environ: Mapping[str, str], folders: list[Path]) -> Path | None:
    """The program in the first of the folders that has it, or on the PATH."""
    for folder in folders:
        if os.access(folder / name, os.X_OK):
            return folder / name
    found = shutil.which(name, path=environ.get("PATH", ""))
    return Path(found) if found else None


def _version(name: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", name))
