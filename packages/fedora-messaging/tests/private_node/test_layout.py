# SPDX-License-Identifier: MIT
"""What a node needs, as text and words."""

from pathlib import Path

import pytest

from fedora_messaging.private_node import layout
from fedora_messaging.private_node.installation import Installation

FOLDER = Path("/tmp/node")
PORTS = {"amqp": 20001, "dist": 20002, "epmd": 20003}
INSTALLED = Installation(Path("/opt/rabbitmq"), Path("/otp/bin/erl"), Path("/otp/bin/epmd"), None)


def lines(settings: layout.Settings) -> dict[str, str]:
    return dict(line.split(" = ") for line in layout.configuration(settings).splitlines())


@pytest.mark.parametrize(
    ("plugins", "wanted", "names"),
    [
        ((), (), ["amqp", "dist", "epmd"]),
        (("rabbitmq_management",), (), ["amqp", "dist", "epmd", "management"]),
        (("rabbitmq_shovel",), ("amqps",), ["amqp", "dist", "epmd", "amqps"]),
        # What a plugin depends on listens too.
        (("rabbitmq_web_mqtt",), (), ["amqp", "dist", "epmd", "mqtt", "web_mqtt"]),
        (("rabbitmq_top", "rabbitmq_management"), ("amqp",), ["amqp", "dist", "epmd", "management"]),
    ],
)
def test_which_ports_are_needed(plugins: tuple[str, ...], wanted: tuple[str, ...], names: list[str]) -> None:
    assert layout.port_names(plugins, wanted) == names


def test_every_port_that_a_plugin_opens_is_configured() -> None:
    assert {port for ports in layout.LISTENING.values() for port in ports} <= layout.LISTENERS.keys()


def test_all_listeners_are_on_this_machine_only() -> None:
    ports = {name: 20000 + number for number, name in enumerate(layout.LISTENERS)}
    told = lines(layout.Settings(FOLDER, ports))
    assert told["listeners.tcp.default"] == f"127.0.0.1:{ports['amqp']}"
    assert told["management.tcp.ip"] == "127.0.0.1"
    assert told["management.tcp.port"] == str(ports["management"])
    listeners = {key: value for key, value in told.items() if "tcp" in key or "ssl" in key}
    assert sum("127.0.0.1" in value for value in listeners.values()) == len(ports)


def test_lines_of_the_caller_win() -> None:
    config: dict[str, layout.Value] = {"log.file": True, "heartbeat": 5, "disk_free_limit.absolute": None}
    told = lines(layout.Settings(FOLDER, PORTS, config=config))
    assert told["log.file"] == "true"
    assert told["heartbeat"] == "5"
    assert "disk_free_limit.absolute" not in told


@pytest.mark.parametrize(("memory", "allowed"), [(24 * 1024**3, 2 * 1024**3), (1000_000_000, 400_000_000)])
def test_memory_is_bounded_by_the_machine_and_by_modesty(memory: int, allowed: int) -> None:
    told = lines(layout.Settings(FOLDER, PORTS, memory=memory))
    assert told["vm_memory_high_watermark.absolute"] == str(allowed)


def test_files() -> None:
    settings = layout.Settings(
        FOLDER, PORTS, plugins=("rabbitmq_stomp", "rabbitmq_top"), advanced="[{a, []}].\n"
    )
    files = layout.files(settings)
    assert files[FOLDER / "enabled_plugins"] == "[rabbitmq_stomp,rabbitmq_top].\n"
    assert files[FOLDER / "advanced.config"] == "[{a, []}].\n"
    assert files[FOLDER / "rabbitmq.conf"] == layout.configuration(settings)


def test_the_environment_is_made_from_nothing_but_can_be_added_to() -> None:
    settings = layout.Settings(FOLDER, PORTS, environment={"RABBITMQ_LOG": "debug", "LANG": "C"})
    env = layout.environment(settings, INSTALLED, "/bin")
    assert env["PATH"] == "/bin"
    assert env["HOME"] == str(settings.cookie.parent)
    assert env["RABBITMQ_LOG"] == "debug"
    assert env["LANG"] == "C"
    assert env["ERL_EPMD_PORT"] == "20003"
    assert env["ERL_LIBS"] == "/opt/rabbitmq/plugins"
    folders = [value for key, value in env.items() if key.endswith(("_BASE", "_FILE", "COOKIE", "HOME"))]
    assert all(value.startswith(("/tmp/node", "/opt/rabbitmq", "/dev/null")) for value in folders)


@pytest.mark.parametrize(
    ("name", "option", "long"),
    [("rabbit@localhost", "-sname", "false"), ("r1@10.98.0.1", "-name", "true")],
)
def test_names_with_a_dot_in_the_host_are_long(name: str, option: str, long: str) -> None:
    settings = layout.Settings(FOLDER, PORTS, name=name)
    command = layout.node_command(settings, INSTALLED)
    assert command[command.index(name) - 1] == option
    assert layout.environment(settings, INSTALLED, "")["RABBITMQ_USE_LONGNAME"] == long


def test_commands_stay_on_this_machine_and_start_no_daemon() -> None:
    settings = layout.Settings(FOLDER, PORTS)
    epmd = layout.epmd_command(settings, INSTALLED)
    assert epmd == ["/otp/bin/epmd", "-address", "127.0.0.1", "-port", "20003"]
    node = " ".join(layout.node_command(settings, INSTALLED))
    assert node.startswith("/otp/bin/erl ")
    assert "-kernel inet_dist_use_interface {127,0,0,1}" in node
    assert "-kernel inet_dist_listen_min 20002 inet_dist_listen_max 20002" in node.replace(
        " -kernel inet_dist_listen_max", " inet_dist_listen_max"
    )
    assert "-start_epmd false" in node


def test_a_path_too_long_for_a_socket_has_none() -> None:
    short, long = (layout.Settings(Path("/") / ("x" * length), PORTS) for length in (90, 120))
    assert short.notify is not None
    assert long.notify is None
    assert "NOTIFY_SOCKET" in layout.environment(short, INSTALLED, "")
    assert "NOTIFY_SOCKET" not in layout.environment(long, INSTALLED, "")
