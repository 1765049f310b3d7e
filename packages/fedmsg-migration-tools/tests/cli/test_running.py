# SPDX-License-Identifier: MIT
"""What is around every command: options that become settings, logging, errors that become exit codes."""

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from click.testing import CliRunner

from fedmsg_migration_tools.cli import cli, running
from fedmsg_migration_tools.config import Config
from fedmsg_migration_tools.exceptions import Expired, SpoolFull, ToolsError
from fedora_messaging.config import conf
from fedora_messaging.exceptions import (
    BadDeclaration,
    ConfigurationException,
    ConnectionException,
    ConsumerCanceled,
    NoFreeChannels,
    PermissionException,
    PublishForbidden,
    PublishTimeout,
)

Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Commands change what belongs to the process: the configuration, the loggers, the signal handler."""
    for name in (f"FEDMSG_MIGRATION_TOOLS_{end}" for end in ("CONFIG", "CONF", "AMQP_URL")):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FEDORA_MESSAGING_CONF", str(tmp_path / "library.toml"))
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    terminate = signal.getsignal(signal.SIGTERM)
    loggers = [logging.getLogger(name) for name in (None, "fedora_messaging", "fedmsg_migration_tools")]
    kept = [(one, one.level, one.propagate, one.handlers[:]) for one in loggers]
    yield
    for one, level, propagate, handlers in kept:
        one.setLevel(level)
        one.propagate = propagate
        one.handlers[:] = handlers
    signal.signal(signal.SIGTERM, terminate)
    conf.clear()
    conf.loaded = False


@pytest.fixture
def bridge(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command with a bridge that only remembers what it was started with, or does what it is told to."""

    def run(*arguments: str, does: Callable[[], None] | None = None) -> Any:
        seen: list[tuple[Config, str | None]] = []

        def pretended(
            config: Config, *, amqp_url: str | None, sources: Callable[[], Any] | None = None
        ) -> None:
            assert sources is None or tuple(sources()) == config.zmq_to_amqp.zmq_endpoints
            seen.append((config, amqp_url))
            if does is not None:
                does()

        for name in ("zmq_to_amqp", "amqp_to_zmq"):
            module = ModuleType(name)
            module.run = pretended  # type: ignore[attr-defined]
            monkeypatch.setitem(sys.modules, f"fedmsg_migration_tools.bridges.{name}", module)
        result: Any = CliRunner().invoke(cli, arguments, prog_name="fedmsg-migration-tools")
        result.seen = seen
        return result

    return run


def test_options_of_zmq_to_amqp(bridge: Run) -> None:
    result = bridge(
        *["zmq-to-amqp", "--zmq-endpoint", "tcp://a_b:1", "--zmq_endpoint=tcp://c_d:2", "--topic", "org."],
        *["--topic=com.", "--exchange", "x", "--durable", "--spool", "/tmp/s_p", "--name", "me"],
        *["--monitoring-port", "9100", "--monitoring_address", "127.0.0.1", "--amqp-url", "amqp://h"],
    )
    assert result.exit_code == 0, result.output
    ((config, amqp_url),) = result.seen
    settings = config.zmq_to_amqp
    assert amqp_url == "amqp://h"
    assert settings.zmq_endpoints == ("tcp://a_b:1", "tcp://c_d:2")
    assert settings.topics == ("org.", "com.")
    assert (settings.exchange, settings.durable, settings.name) == ("x", True, "me")
    assert settings.spool.path == Path("/tmp/s_p")
    assert (settings.monitoring.port, settings.monitoring.address) == (9100, "127.0.0.1")


@pytest.mark.parametrize(
    ("url", "warned"), [("amqp://me:secret@h", True), ("amqp://me@h:5673", False), ("amqp://h:5673/v", False)]
)
def test_a_password_on_the_command_line_is_warned_of(bridge: Run, url: str, warned: bool) -> None:
    result = bridge("amqp_to_zmq", "--amqp-url", url)
    assert result.seen[0][1] == url
    assert ("every user of this machine can read the password" in result.stderr) == warned
    assert "secret" not in result.output


def test_a_url_from_the_environment(bridge: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEDMSG_MIGRATION_TOOLS_AMQP_URL", "amqp://me:secret@h")
    result = bridge("amqp_to_zmq")
    assert (result.seen[0][1], result.stderr) == ("amqp://me:secret@h", "")


def test_options_of_amqp_to_zmq(bridge: Run) -> None:
    result = bridge(
        *[
            "amqp_to_zmq",
            "--publish-endpoint",
            "tcp://h:1",
            "--publish-endpoint",
            "tcp://h:2",
            "--remote-publish",
        ],
        *[
            "--topic",
            "a.#",
            "--exchange",
            "x",
            "--queue_name",
            "q",
            "--replay-endpoint",
            "tcp://*:3",
            "--name",
            "me",
        ],
    )
    assert result.exit_code == 0, result.output
    ((config, amqp_url),) = result.seen
    settings = config.amqp_to_zmq
    assert amqp_url is None
    assert settings.publish_endpoint == ("tcp://h:1", "tcp://h:2")
    assert (settings.remote_publish, settings.topics, settings.exchange) == (True, ("a.#",), "x")
    assert (settings.queue, settings.replay.endpoint, settings.name) == ("q", "tcp://*:3", "me")
    assert settings.monitoring is None


def test_amqp_to_zmq_needs_nothing(bridge: Run) -> None:
    result = bridge("amqp_to_zmq")
    assert result.exit_code == 0, result.output
    assert result.seen[0][0].amqp_to_zmq.publish_endpoint == ("tcp://*:9940",)


def test_options_go_over_the_file_key_by_key(bridge: Run, tmp_path: Path) -> None:
    (tmp_path / "tools.toml").write_text(
        'amqp_url = "amqp://from-the-file"\n[zmq_to_amqp]\nzmq_endpoints = ["tcp://a:1"]\nexchange = "x"\n'
        'durable = true\n[zmq_to_amqp.monitoring]\nport = 1\naddress = "::1"\n'
    )
    result = bridge(
        "--conf", str(tmp_path / "tools.toml"), "zmq_to_amqp", "--monitoring-port", "2", "--topic", "a"
    )
    assert result.exit_code == 0, result.output
    ((config, amqp_url),) = result.seen
    settings = config.zmq_to_amqp
    assert amqp_url == "amqp://from-the-file"
    assert (settings.exchange, settings.durable, settings.zmq_endpoints) == ("x", True, ("tcp://a:1",))
    assert (settings.monitoring.port, settings.monitoring.address) == (2, "::1")


def test_no_endpoint(bridge: Run) -> None:
    result = bridge("zmq_to_amqp")
    assert result.exit_code == 2
    assert not result.seen
    assert "there is no ZeroMQ endpoint" in result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--conf", "/no/such/file", "amqp_to_zmq"], "/no/such/file: there is no such file"),
        (["amqp_to_zmq", "--exchange", ""], "amqp_to_zmq.exchange is ''; its length must be at least 1"),
        (["amqp_to_zmq", "--remote-publish"], "with remote_publish it must name a host"),
        (["amqp_to_zmq", "--monitoring-address", "::1"], "amqp_to_zmq.monitoring lacks the key 'port'"),
        (["--conf", "/no/such/file", "quarantine", "list"], "/no/such/file: there is no such file"),
    ],
)
def test_a_wrong_configuration_is_2(bridge: Run, arguments: list[str], said: str) -> None:
    result = bridge(*arguments)
    assert (result.exit_code, result.seen) == (2, [])
    assert said in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_the_librarys_configuration_counts_as_well(bridge: Run, tmp_path: Path) -> None:
    (tmp_path / "library.toml").write_text("amqp_urll = 'x'\n")
    result = bridge("amqp_to_zmq")
    assert result.exit_code == 2
    assert "Did you mean 'amqp_url" in result.output


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ToolsError("mend this"), 1, "mend this"),
        (SpoolFull("the disk is full"), 1, "the disk is full"),
        (Expired("the CA has expired"), 1, "the CA has expired"),
        (ConfigurationException("wrong"), 2, "Configuration error: wrong"),
        (BadDeclaration("queue", "q", "refused"), 10, "Unable to declare the queue (q): refused"),
        (ConsumerCanceled("the queue is gone"), 12, "the queue is gone"),
        (ConnectionException(reason="no broker"), 14, "no broker"),
        (PermissionException("queue", "q", "refused"), 15, "queue q: refused"),
        (PublishTimeout("no confirm"), 111, "no confirm"),
        (PublishForbidden("not you"), 121, "not you"),
        (NoFreeChannels("too many channels"), 1, "too many channels"),
    ],
)
def test_an_expected_failure_is_one_line(bridge: Run, error: Exception, code: int, said: str) -> None:
    def fail() -> None:
        raise error

    result = bridge("amqp_to_zmq", does=fail)
    assert (result.exit_code, result.stderr) == (code, f"Error: {said}\n")
    assert "Traceback" not in result.output


@pytest.mark.parametrize("error", [KeyError("x"), ValueError("x"), OSError(5, "x")])
def test_an_unexpected_one_has_its_traceback_in_the_log(bridge: Run, error: Exception) -> None:
    def fail() -> None:
        raise error

    result = bridge("amqp_to_zmq", does=fail)
    assert result.exit_code == 11
    assert result.stderr.splitlines()[-1].startswith(f"Error: unexpected error, {type(error).__name__}: ")
    assert "Traceback" in result.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_it_starts_is_0(bridge: Run, number: signal.Signals) -> None:
    def wait() -> None:
        os.kill(os.getpid(), number)
        signal.sigtimedwait([], 5)
        raise AssertionError("no signal came")

    result = bridge("amqp_to_zmq", does=wait)
    assert (result.exit_code, result.stderr) == (0, "")


def tell() -> None:
    logging.getLogger("fedmsg_migration_tools.bridges.x").info("for the tools")
    logging.getLogger("fedmsg_migration_tools.bridges.x").debug("too much")
    logging.getLogger("fedora_messaging.x").info("for the library")
    logging.getLogger("something.else").info("for nobody")


def test_both_are_logged_from_info(bridge: Run) -> None:
    lines = bridge("amqp_to_zmq", does=tell).stdout.splitlines()
    assert lines[-2:] == [
        "[fedmsg_migration_tools.bridges.x INFO] for the tools",
        "[fedora_messaging.x INFO] for the library",
    ]


def test_the_librarys_log_config_counts(bridge: Run, tmp_path: Path) -> None:
    (tmp_path / "library.toml").write_text(
        "[log_config]\nversion = 1\ndisable_existing_loggers = false\n"
        "[log_config.loggers.fedmsg_migration_tools]\nlevel = 'DEBUG'\nhandlers = ['h']\n"
        "[log_config.handlers.h]\nclass = 'logging.StreamHandler'\nstream = 'ext://sys.stdout'\n"
    )
    assert bridge("amqp_to_zmq", does=tell).stdout.splitlines()[-2:] == ["for the tools", "too much"]


def test_the_tools_log_config_counts_more(bridge: Run, tmp_path: Path) -> None:
    (tmp_path / "tools.toml").write_text(
        "[log_config]\nversion = 1\n"
        "[log_config.root]\nlevel = 'ERROR'\nhandlers = ['h']\n"
        "[log_config.handlers.h]\nclass = 'logging.StreamHandler'\nstream = 'ext://sys.stdout'\n"
    )
    result = bridge("--conf", str(tmp_path / "tools.toml"), "amqp_to_zmq", does=tell)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == "for the tools"
    (tmp_path / "tools.toml").write_text("[log_config]\nversion = 7\n")
    result = bridge("--conf", str(tmp_path / "tools.toml"), "amqp_to_zmq")
    assert result.exit_code == 2
    assert "log_config: " in result.stderr


def test_only_what_is_given_becomes_a_setting() -> None:
    table = running.given(a=None, b=(), c=("x", "y"), d=False, e__f=1, e__g=None, e__h__i="z")
    assert table == {"c": ["x", "y"], "d": False, "e": {"f": 1, "h": {"i": "z"}}}
