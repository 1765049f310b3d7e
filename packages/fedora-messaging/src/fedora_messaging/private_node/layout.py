# SPDX-License-Identifier: MIT
"""What a node needs: which ports, files, environment and commands. Pure: nothing is looked up, written or started.

Sources: RabbitMQ's guides on configuration and networking, and the distribution's own start script, whose Erlang
arguments are taken over, but smaller. Erlang is called directly: that saves a shell and the extra virtual machine which
RabbitMQ starts to have an epmd, about a second of four.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from .installation import Installation

Value = str | int | bool | None
"""What a line of rabbitmq.conf may be set to; None leaves the line out."""

HOST = "127.0.0.1"
ALWAYS = ("amqp", "dist", "epmd")
MEMORY = 2 * 1024**3
"""Bytes a node may use, at most, before it holds publishers back."""

LONGEST_SOCKET = 104
"""Bytes in the path of a Unix socket, on the systems with the least."""

LISTENERS: dict[str, dict[str, str]] = {
    "amqp": {"listeners.tcp.default": "{host}:{port}"},
    "amqps": {"listeners.ssl.default": "{host}:{port}"},
    "management": {"management.tcp.ip": "{host}", "management.tcp.port": "{port}"},
    "prometheus": {"prometheus.tcp.ip": "{host}", "prometheus.tcp.port": "{port}"},
    "mqtt": {"mqtt.listeners.tcp.default": "{host}:{port}"},
    "stomp": {"stomp.listeners.tcp.1": "{host}:{port}"},
    "stream": {"stream.listeners.tcp.1": "{host}:{port}"},
    "web_mqtt": {"web_mqtt.tcp.ip": "{host}", "web_mqtt.tcp.port": "{port}"},
    "web_stomp": {"web_stomp.tcp.ip": "{host}", "web_stomp.tcp.port": "{port}"},
}
"""The name of a port, and the lines of rabbitmq.conf that make a listener of it."""

LISTENING: dict[str, tuple[str, ...]] = {
    "rabbitmq_federation_management": ("management",),
    "rabbitmq_management": ("management",),
    "rabbitmq_mqtt": ("mqtt",),
    "rabbitmq_prometheus": ("prometheus",),
    "rabbitmq_shovel_management": ("management",),
    "rabbitmq_stomp": ("stomp",),
    "rabbitmq_stream": ("stream",),
    "rabbitmq_stream_management": ("management", "stream"),
    "rabbitmq_top": ("management",),
    "rabbitmq_tracing": ("management",),
    "rabbitmq_web_mqtt": ("mqtt", "web_mqtt"),
    "rabbitmq_web_stomp": ("stomp", "web_stomp"),
}
"""The ports that a plugin opens, those of the plugins it depends on included. By default: on all interfaces."""

ALLOCATORS = "+MBas ageffcbf +MHas ageffcbf +MBlmbcs 512 +MHlmbcs 512 +MMmcs 30"
SMALL = "+P 65536 +t 1048576 +sbwt none +sbwtdcpu none +sbwtdio none +S 2:2 +A 8 +SDio 4"


@dataclass(frozen=True)
class Settings:
    """All that distinguishes one private node from another.

    Arguments:
        folder: an absolute path, everything is below it.
        ports: by name, see :func:`port_names`.
        name: of the node, ``name@host``; long if the host has a dot.
        plugins: names of plugins to enable.
        config: lines of rabbitmq.conf; they win over the node's own.
        advanced: the whole of advanced.config, an Erlang list with its full stop.
        environment: more variables for Erlang and RabbitMQ; they win over the node's own.
        user: the administrator of a fresh node.
        password: the administrator's.
        memory: bytes the machine has.
        cookie_text: the secret that Erlang nodes share; empty: a random one.
        own_epmd: whether the node has an epmd of its own; else one listens on the port already.
    """

    folder: Path
    ports: Mapping[str, int]
    name: str = "rabbit@localhost"
    plugins: tuple[str, ...] = ()
    config: Mapping[str, Value] = field(default_factory=dict, repr=False)
    advanced: str = "[]."
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str = "admin"
    password: str = field(default="", repr=False)
    memory: int = 5 * 1024**3
    cookie_text: str = field(default="", repr=False)
    own_epmd: bool = True

    @property
    def cookie(self) -> Path:
        """The file with the secret that Erlang nodes and tools share."""
        return self.folder / "home" / ".erlang.cookie"

    @property
    def log(self) -> Path:
        """What the node logs and prints."""
        return self.folder / "node.log"

    @property
    def notify(self) -> Path | None:
        """The socket on which the node tells that it is ready; None where its path would be too long for one."""
        path = self.folder / "notify"
        return path if len(os.fsencode(path)) < LONGEST_SOCKET else None

    @property
    def long(self) -> bool:
        """Whether the node has a long name: Erlang does not let long and short ones talk to each other."""
        return "." in self.name.partition("@")[2]


def port_names(plugins: Iterable[str], wanted: Iterable[str] = ()) -> list[str]:
    """Names of all ports that a node needs: for itself, its plugins, and those asked for."""
    opened = [port for plugin in plugins for port in LISTENING.get(plugin, ())]
    return list(dict.fromkeys([*ALWAYS, *opened, *wanted]))


def files(settings: Settings) -> dict[Path, str]:
    """The files to write before the node starts, but for the cookie."""
    return {
        settings.folder / "rabbitmq.conf": configuration(settings),
        settings.folder / "advanced.config": settings.advanced.rstrip() + "\n",
        settings.folder / "enabled_plugins": f"[{','.join(settings.plugins)}].\n",
    }


def configuration(settings: Settings) -> str:
    """The text of rabbitmq.conf."""
    lines: dict[str, Value] = {
        "log.console": True,
        "log.console.level": "info",
        "log.console.use_colors": "off",
        "log.file": False,
        "disk_free_limit.absolute": "50MB",
        "vm_memory_high_watermark.absolute": min(MEMORY, settings.memory * 2 // 5),
        "default_user": settings.user,
        "default_pass": settings.password or None,
    }
    for name, port in settings.ports.items():
        for key, text in LISTENERS.get(name, {}).items():
            lines[key] = text.format(host=HOST, port=port)
    lines.update(settings.config)
    return "".join(f"{key} = {_text(value)}\n" for key, value in lines.items() if value is not None)


def _text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def environment(settings: Settings, installation: Installation, path: str) -> dict[str, str]:
    """All variables of the node, and of the tools that talk to it; none comes from the owner but PATH."""
    folder = settings.folder
    return {
        "PATH": path or "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(settings.cookie.parent),
        "LANG": "C.UTF-8",
        "ERL_EPMD_ADDRESS": HOST,
        "ERL_EPMD_PORT": str(settings.ports["epmd"]),
        "ERL_LIBS": str(installation.plugins_folder),
        "ERL_MAX_ETS_TABLES": "50000",
        "ERL_MAX_PORTS": "65536",
        "ERL_CRASH_DUMP": str(folder / "erl_crash.dump"),
        "ERL_CRASH_DUMP_SECONDS": "0",  # none: it takes seconds, and the log says what happened
        **({"NOTIFY_SOCKET": str(settings.notify)} if settings.notify else {}),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_CTL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        "RABBITMQ_DIST_PORT": str(settings.ports["dist"]),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_HOME": str(installation.home),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_NODENAME": settings.name,
        "RABBITMQ_PLUGINS_DIR": str(installation.plugins_folder),
        "RABBITMQ_USE_LONGNAME": str(settings.long).lower(),
        **settings.environment,
    }


def epmd_command(settings: Settings, installation: Installation) -> list[str]:
    """An epmd of the node's own, in the foreground: Erlang's daemon would stay for ever, on all interfaces."""
    return installation.command(installation.epmd, "-address", HOST, "-port", str(settings.ports["epmd"]))


def node_command(settings: Settings, installation: Installation) -> list[str]:
    """Erlang with RabbitMQ in it. The shell script ``erl`` turns into the virtual machine: the pid stays the same."""
    dist = str(settings.ports["dist"])
    return installation.command(
        installation.erl,
        *("-noinput", "-boot", "start_sasl", "-s", "rabbit", "boot", "+W", "w"),
        *ALLOCATORS.split(),
        *SMALL.split(),
        *("-name" if settings.long else "-sname", settings.name, "-start_epmd", "false"),
        *("-kernel", "inet_dist_use_interface", "{127,0,0,1}"),
        *("-kernel", "inet_dist_listen_min", dist, "-kernel", "inet_dist_listen_max", dist),
        *("-kernel", "prevent_overlapping_partitions", "false"),
        *("-syslog", "logger", "[]", "-syslog", "syslog_error_logger", "false"),
    )
