# SPDX-License-Identifier: MIT
"""Which programs there are, how each is started, and the configuration that they read.

When they are started is the business of ``play``.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.interop import environments

from .processes import Command
from .sample import APPLICATIONS, OTHERS

if TYPE_CHECKING:
    from fedora_messaging.private_node import PrivateNode

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
PINS = ROOT / "tests" / "interop" / "fedmsg-packages.txt"
TOOLS = str(Path(sys.executable).with_name("fedmsg-migration-tools"))

MONITOR = "release monitor"
HOTNESS = "hotness"
REPLAYED = (*APPLICATIONS, OTHERS)
PUBLISHERS = (MONITOR, *REPLAYED, HOTNESS)
FEDMSG, LIBRARY, OUTSIDE = "fedmsg, over ZeroMQ", "this library, AMQP", "outside, over ZeroMQ"
CONSUMERS = (FEDMSG, LIBRARY, OUTSIDE)
BRIDGE = "amqp-bridge"
PAGE = "page"  # of the verifier
ENDPOINTS = {
    **{name: f"{name}.demo" for name in REPLAYED},
    MONITOR: "anitya.example",
    HOTNESS: "hotness.example",
    BRIDGE: "amqp-bridge.demo",
}  # by what fedmsg's configuration calls them
WINDOW = 6.0  # seconds that the verifier waits for a message, at most: the demo is short
PORTS = (*ENDPOINTS, PAGE)


@dataclass(frozen=True)
class Fedmsg:
    """The interpreter that has fedmsg, or something in its place, and what to tell the reader about it."""

    python: str
    path: str
    said: str

    def run(self, *arguments: str) -> Command:
        """A program that imports fedmsg."""
        return Command([self.python, *arguments], {"PYTHONPATH": self.path})


def real_fedmsg() -> Fedmsg:
    """The real one in an environment of its own, made at the first call.

    Raises ``RuntimeError`` where it does not install, or does not run.
    """
    try:
        environment = environments.create("fedmsg", environments.pins(PINS))
    except (AssertionError, OSError) as error:
        raise RuntimeError(last_line(str(error))) from error
    done = environment.run(
        "-c", "import fedmsg; from importlib.metadata import version; print(version('fedmsg'))"
    )
    if done.returncode != 0:
        raise RuntimeError(last_line(done.stderr))
    return Fedmsg(str(environment.python), str(ROOT), f"fedmsg {done.stdout.strip()}")


def standin(reason: str) -> Fedmsg:
    """Something in fedmsg's place."""
    path = f"{ROOT}:{ROOT / 'demo' / 'standin'}"
    return Fedmsg(sys.executable, path, f"plain pyzmq in the place of fedmsg ({reason})")


def last_line(text: str) -> str:
    """The last line of an error, which says what it was."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no reason given")


class Cast:
    """The commands of all programs, and the files that they read, in ``folder``."""

    def __init__(self, node: PrivateNode, fedmsg: Fedmsg, folder: Path) -> None:
        self._url = node.amqp_url
        self._fedmsg = fedmsg
        self._folder = folder
        self._ports = node.ports
        (folder / "fedmsg.d").mkdir()
        (folder / "builds").mkdir()
        (folder / "state").mkdir()
        (folder / "fedmsg.d" / "endpoints.py").write_text(self._endpoints())
        (folder / "tools.toml").write_text(f"[verify_missing]\nlongest_window = {WINDOW}\n")
        for name in ("release_monitor", "hotness"):
            text = (EXAMPLES / name / "config.toml").read_text()
            (folder / f"{name}.toml").write_text(text.replace('"amqp://"', f'"{self._url}"'))

    def endpoint(self, name: str) -> str:
        """Where a publisher's socket is."""
        return f"tcp://127.0.0.1:{self._ports[name]}"

    def _endpoints(self) -> str:
        endpoints = {called: [self.endpoint(name)] for name, called in ENDPOINTS.items()}
        return f"config = {{'endpoints': {endpoints!r}}}\n"

    def publisher(self, name: str, over: str) -> Command:
        """An application that publishes what it is fed."""
        if name == MONITOR:
            return self._example("release_monitor", over)
        if over == "AMQP":
            return self._with_config("release_monitor", "-m", "demo.programs.publish_amqp")
        return self._fedmsg.run("-m", "demo.programs.publish_fedmsg", ENDPOINTS[name])

    def hotness(self, over: str) -> Command:
        """The application that consumes and publishes."""
        return self._example("hotness", over, str(self._folder / "builds"))

    def consumer(self, name: str) -> Command:
        """A program that writes down what arrives."""
        if name == FEDMSG:
            return self._fedmsg.run("-m", "demo.programs.consume_fedmsg")
        if name == LIBRARY:
            command = self._python("-m", "demo.programs.consume_amqp")
            return Command(command.arguments, {**command.variables, **self._tools})
        return self._python("-m", "demo.programs.consume_outside", *map(self.endpoint, ENDPOINTS))

    def zmq_to_amqp(self) -> Command:
        """The bridge, told where all sockets are by fedmsg's own configuration."""
        return self._bridge("zmq_to_amqp", "--zmq-endpoint", str(self._folder / "fedmsg.d"))

    def amqp_to_zmq(self, lose: float = 0.0) -> Command:
        """The bridge for those who have not moved; to ``lose`` some, one that does wrong with a part of them."""
        if lose:
            arguments = (str(lose), self.endpoint(BRIDGE))
            command = self._python("-m", "demo.programs.faulty_bridge", *arguments)
            return Command(command.arguments, {**command.variables, **self._tools})
        return self._bridge("amqp_to_zmq", "--publish-endpoint", self.endpoint(BRIDGE))

    @property
    def page(self) -> str:
        """Where the verifier shows what it sees."""
        return f"127.0.0.1:{self._ports[PAGE]}"

    def verifier(self) -> Command:
        """The service that watches both worlds."""
        publishers = [f"--zmq-endpoint={self.endpoint(name)}" for name in ENDPOINTS if name != BRIDGE]
        bridge = f"--bridge-endpoint={self.endpoint(BRIDGE)}"
        return self._bridge("verify_missing", *publishers, bridge, "--listen", self.page)

    def _example(self, name: str, over: str, *arguments: str) -> Command:
        if over == "AMQP":
            return self._with_config(name, str(EXAMPLES / name / "over_amqp.py"), *arguments)
        return self._fedmsg.run(str(EXAMPLES / name / "over_zeromq.py"), *arguments)

    def _with_config(self, name: str, *arguments: str) -> Command:
        command = self._python(*arguments)
        conf = {"FEDORA_MESSAGING_CONF": str(self._folder / f"{name}.toml")}
        return Command(command.arguments, {**command.variables, **conf})

    def _python(self, *arguments: str) -> Command:
        return Command([sys.executable, *arguments], {"PYTHONPATH": str(ROOT)})

    def _bridge(self, name: str, *arguments: str) -> Command:
        return Command([TOOLS, name, *arguments], self._tools)

    @property
    def _tools(self) -> dict[str, str]:
        """Where the tools keep their state, and what they are told; others could read a password in arguments."""
        return {
            "STATE_DIRECTORY": str(self._folder / "state"),
            "FEDMSG_MIGRATION_TOOLS_AMQP_URL": self._url,
            "FEDMSG_MIGRATION_TOOLS_CONFIG": str(self._folder / "tools.toml"),
        }
