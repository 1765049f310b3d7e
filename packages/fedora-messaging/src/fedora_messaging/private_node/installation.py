# SPDX-License-Identifier: MIT
"""Where RabbitMQ and Erlang are on this machine, and how they are called. Running a node does not belong here.

The distributions' ``/usr/sbin/rabbitmq-server`` and ``rabbitmqctl`` are wrappers that change the user, and are never
used: the files behind them are.

They may be those of another distribution that was unpacked into a folder. Then each program runs in a mount namespace
of its own (mount_namespaces(7)), in which that folder's ``usr`` lies upon ``/usr``: the programs and their libraries
are the other distribution's, all other files, processes and the network are this machine's, and the mount is gone with
the program. By a chain of ``exec``: what is started, signalled and waited for is the program itself.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
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
INSIDE = 'mount --rbind "$0/usr" /usr && exec "$@"'
"""For a shell in its own mount namespace: the folder, then the program and its arguments."""
INSIDE_AS_USER = 'mount --rbind "$0/usr" /usr && exec setpriv --pdeathsig KILL -- "$@"'
"""Who enters a user namespace is forgotten to be killed with his parent (prctl(2), PR_SET_PDEATHSIG)."""


@dataclass(frozen=True)
class Installation:
    """What is needed to run a node. ``erl_call`` may be missing: then ``rabbitmqctl`` does its work, slower.

    Attributes:
        home: of RabbitMQ. This and the following are paths as the programs themselves see them.
        erl: Erlang.
        epmd: its port mapper.
        erl_call: what runs an expression in a node.
        root: the folder of the distribution that all of them are from.
        entry: the words before each command, with which it runs in that distribution.
    """

    home: Path
    erl: Path
    epmd: Path
    erl_call: Path | None
    root: Path = Path("/")
    entry: tuple[str, ...] = ()

    def command(self, program: Path, *arguments: str) -> list[str]:
        """The words that run one of the programs."""
        return [*self.entry, str(program), *arguments]

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
        return next((_version(path.name) for path in self._plugins("rabbit-[0-9]*")), ())

    @property
    def plugins(self) -> set[str]:
        """The names of all plugins and applications."""
        return {path.name.partition("-")[0] for path in self._plugins("*-[0-9]*")}

    def require(self, plugins: Iterable[str]) -> None:
        """See that the plugins are there.

        Raises:
            NodeError: some are not; names them.
        """
        missing = sorted(set(plugins) - self.plugins)
        if missing:
            raise NodeError(f"The RabbitMQ in {self._seen(self.home)} has no plugin {', '.join(missing)}.")

    def _plugins(self, pattern: str) -> Iterator[Path]:
        return self._seen(self.plugins_folder).glob(pattern)

    def _seen(self, path: Path) -> Path:
        """A path of the programs as it is seen from outside."""
        return self.root / path.relative_to("/") if self.entry else path


def choose(
    home: str | os.PathLike[str] | None = None,
    root: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Installation:
    """The RabbitMQ to use: an argument wins over the environment, and an unpacked distribution over a folder.

    Arguments:
        home: the folder of a RabbitMQ, see :func:`find`.
        root: the folder of an unpacked distribution, see :func:`unpacked`.
        environ: for RABBITMQ_ROOT, RABBITMQ_HOME, ERLANG_HOME and PATH; this process's by default.

    Raises:
        NodeError: RabbitMQ or Erlang is missing, or an unpacked distribution cannot be used.
    """
    environ = os.environ if environ is None else environ
    if home and root:
        raise NodeError(
            "A RabbitMQ is either in a folder of its own or in an unpacked distribution: give one."
        )
    root = root or (None if home else environ.get("RABBITMQ_ROOT"))
    return unpacked(Path(root)) if root else find(home, environ)


def unpacked(root: Path) -> Installation:
    """The RabbitMQ of a distribution that was unpacked into a folder, as by ``debootstrap``.

    Raises:
        NodeError: there is none in it, or this user may not mount it.
    """
    root = root.resolve()
    if not (root / "usr").is_dir():
        raise NodeError(f"There is no unpacked distribution in {root}: no folder 'usr'.")
    found = find(None, {}, root)
    entry = _entry(root)

    def inside(path: Path) -> Path:
        # An absolute link was followed, and means the same inside.
        return Path("/") / path.relative_to(root) if path.is_relative_to(root) else path

    call = inside(found.erl_call) if found.erl_call else None
    return Installation(inside(found.home), inside(found.erl), inside(found.epmd), call, root, entry)


def _entry(root: Path) -> tuple[str, ...]:
    """The words before a command that run it in the unpacked distribution; they are tried.

    Raises:
        NodeError: they fail.
    """
    privileged = os.geteuid() == 0
    kind, script = ("-m", INSIDE) if privileged else ("-Urm", INSIDE_AS_USER)
    entry = (shutil.which("unshare") or "/usr/bin/unshare", kind, "/bin/sh", "-c", script, str(root))
    try:
        subprocess.run([*entry, "true"], capture_output=True, text=True, check=True, timeout=60)  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        said = str(getattr(error, "stderr", None) or error).strip().splitlines()[-1]
        who = "root" if privileged else "an ordinary user"
        raise NodeError(f"The distribution in {root} cannot be used by {who} here: {said}.") from error
    return entry


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
