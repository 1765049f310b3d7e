# SPDX-License-Identifier: MIT
"""The settings: lazily, from a file, with its errors in one line. Files and forks are real."""

from __future__ import annotations

import copy
import logging
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from fedora_messaging import config
from fedora_messaging.exceptions import ConfigurationException

# All that the documentation of 3.9 shows, as one file.
FULL = """
amqp_url = "amqps://user:secret@one.example.org/%2Fpubsub?connection_attempts=3&retry_delay=5"
callback = "fedora_messaging.example:printer"
passive_declares = true
publish_exchange = "amq.topic"
topic_prefix = "org.example"
publish_priority = 3

[tls]
ca_cert = "/etc/fedora-messaging/cacert.pem"
keyfile = "/etc/fedora-messaging/fedora-key.pem"
certfile = "/etc/fedora-messaging/fedora-cert.pem"

[client_properties]
app = "Example Application"
app_url = "https://example.org"
app_contacts_email = ["someone@example.org"]

[exchanges."amq.topic"]
type = "topic"
durable = true
auto_delete = false
arguments = {}

[exchanges.short]
type = "direct"

[queues.my_queue]
durable = true
auto_delete = false
exclusive = false
arguments = {x-max-length = 100}

[[bindings]]
queue = "my_queue"
exchange = "amq.topic"
routing_keys = ["#"]

[[bindings]]
exchange = "amq.topic"
routing_keys = ["a.*", "b.#"]

[consumer_config]
example_key = "for my consumer"

[qos]
prefetch_size = 0
prefetch_count = 25

[monitoring]
port = 9000

[log_config]
version = 1
disable_existing_loggers = true

[log_config.formatters.simple]
format = "[%(levelname)s %(name)s] %(message)s"

[log_config.handlers.console]
class = "logging.StreamHandler"
formatter = "simple"
stream = "ext://sys.stdout"

[log_config.loggers.fedora_messaging]
level = "INFO"
propagate = false
handlers = ["console"]

[log_config.root]
level = "ERROR"
handlers = ["console"]
"""


@pytest.fixture
def conf(monkeypatch: pytest.MonkeyPatch) -> config.LazyConfig:
    """Settings that nobody has loaded, and no file for them."""
    monkeypatch.setenv(config.ENVIRONMENT, "/no/such/file")
    return config.LazyConfig()


def write(folder: Path, text: str | bytes) -> str:
    path = folder / "config.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


# Loading


def test_a_missing_file_is_defaults(conf: config.LazyConfig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "fedora_messaging")
    assert conf.load_config() is conf
    assert conf == config.DEFAULTS
    assert "/no/such/file" in caplog.text


def test_the_defaults_are_those_of_the_reference() -> None:
    expected = {
        "amqp_url": "amqp://?connection_attempts=3&retry_delay=5",
        "publish_exchange": "amq.topic",
        "topic_prefix": "",
        "publish_priority": None,
        "passive_declares": False,
        "qos": {"prefetch_size": 0, "prefetch_count": 10},
        "callback": None,
        "consumer_config": {},
        "monitoring": {},
        "tls": {"ca_cert": None, "certfile": None, "keyfile": None},
        "exchanges": {"amq.topic": {"type": "topic", "durable": True, "auto_delete": False, "arguments": {}}},
        "queues": {"": {"durable": False, "auto_delete": True, "exclusive": True, "arguments": {}}},
        "bindings": [{"queue": "", "exchange": "amq.topic", "routing_keys": ["#"]}],
    }
    assert expected.items() <= config.DEFAULTS.items()
    assert config.DEFAULTS["amqp_urls"] == []
    version = config.DEFAULTS["client_properties"]["version"]
    assert version.startswith("fedora_messaging-3.100.0 with pika-1.")
    assert config.DEFAULTS is config.DEFAULTS


def test_a_full_file(tmp_path: Path) -> None:
    conf = config.LazyConfig().load_config(write(tmp_path, FULL))
    assert conf["amqp_url"].startswith("amqps://user")
    assert (conf["passive_declares"], conf["topic_prefix"], conf["publish_priority"]) == (
        True,
        "org.example",
        3,
    )
    assert conf["tls"]["keyfile"] == "/etc/fedora-messaging/fedora-key.pem"
    assert conf["client_properties"]["app_contacts_email"] == ["someone@example.org"]
    assert conf["client_properties"]["version"] == config.DEFAULTS["client_properties"]["version"]
    assert list(conf["queues"]) == ["my_queue"]
    assert [binding.get("queue") for binding in conf["bindings"]] == ["my_queue", None]
    assert conf["log_config"]["root"]["level"] == "ERROR"


def test_what_a_section_leaves_out_is_default(tmp_path: Path) -> None:
    conf = config.LazyConfig().load_config(write(tmp_path, FULL.replace("prefetch_size = 0\n", "")))
    assert conf["qos"] == {"prefetch_size": 0, "prefetch_count": 25}
    assert conf["exchanges"]["short"] == {
        "type": "direct",
        "durable": True,
        "auto_delete": False,
        "arguments": {},
    }
    assert conf["monitoring"] == {"address": "", "port": 9000}
    some = config.LazyConfig().load_config(
        write(tmp_path, '[tls]\nca_cert = "x"\n[client_properties]\na = 1')
    )
    assert some["tls"] == {"ca_cert": "x", "certfile": None, "keyfile": None}
    assert some["client_properties"]["app"] == "Unknown"
    assert some["monitoring"] == {}


def test_the_environment_is_read_when_loading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    conf = config.LazyConfig()
    monkeypatch.setenv(config.ENVIRONMENT, write(tmp_path, 'topic_prefix = "a"'))
    assert conf["topic_prefix"] == "a"
    (tmp_path / "other.toml").write_text('topic_prefix = "b"')
    assert conf.load_config(tmp_path / "other.toml")["topic_prefix"] == "b"


def test_loading_again_starts_from_the_defaults(tmp_path: Path, conf: config.LazyConfig) -> None:
    conf.load_config(write(tmp_path, 'topic_prefix = "a"'))
    assert conf.load_config("/no/such/file")["topic_prefix"] == ""


def test_settings_share_nothing_with_the_defaults(conf: config.LazyConfig) -> None:
    before = copy.deepcopy(config.DEFAULTS)
    conf["bindings"].append({})
    conf["queues"][""]["durable"] = True
    conf["client_properties"]["app"] = "mine"
    assert before == config.DEFAULTS


# What cannot be read


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a = \n", "Invalid value (at line 1, column 5)"),
        ("topic_prefix = 'a'\n\nb = [1\n", "Unclosed array (at line 3, column 7, the end)"),
        ("a = 1\na = 2", "overwrite"),
        (b"# fine\n# \xff", "is not UTF-8: byte 9, line 2"),
        ("a = " + "[" * 100_000, "nested too deeply"),
        ("no_such_key = 1", "Unknown configuration key 'no_such_key'"),
        ("topic_prefix = 1", "topic_prefix is 1"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path: Path, text: str | bytes, sentence: str) -> None:
    conf = config.LazyConfig()
    with pytest.raises(ConfigurationException) as caught:
        conf.load_config(write(tmp_path, text))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not conf.loaded


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationException, match="cannot be read: Is a directory"):
        config.LazyConfig().load_config(tmp_path)


def test_a_file_without_permission(tmp_path: Path) -> None:
    path = write(tmp_path, "")
    code = (
        "import os, sys, tomllib\n"
        "from fedora_messaging import config, exceptions\n"
        "config.LazyConfig().load_config('/no/such/file')\n"
        "if os.geteuid() == 0: os.seteuid(65534)\n"
        "try: config.LazyConfig().load_config(sys.argv[1])\n"
        "except exceptions.ConfigurationException as exc: print(exc)\n"
    )
    Path(path).chmod(0)
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert done.stdout == f"Configuration error: {path} cannot be read: Permission denied\n"


def test_a_byte_order_mark_is_no_harm(tmp_path: Path) -> None:
    assert (
        config.LazyConfig().load_config(write(tmp_path, b"\xef\xbb\xbftopic_prefix='a'"))["topic_prefix"]
        == "a"
    )


# As a dict


@pytest.mark.parametrize(
    "use",
    [
        lambda conf: conf["tls"],
        lambda conf: conf.get("tls"),
        lambda conf: "tls" in conf,
        list,
        lambda conf: len(conf) == len(config.DEFAULTS),
        lambda conf: dict(conf)["tls"],
        lambda conf: {**conf}["tls"],
        lambda conf: [value for key, value in conf.items() if key == "tls"],
        lambda conf: list(conf.values()),
        lambda conf: list(conf.keys()),
        lambda conf: conf.copy()["tls"],
        lambda conf: conf.setdefault("tls", None),
        lambda conf: conf.update(a=1) or conf["tls"],
    ],
)
def test_the_first_use_loads(conf: config.LazyConfig, use: Any) -> None:
    assert not conf.loaded
    assert use(conf)
    assert conf.loaded


def test_keys_cannot_be_popped(conf: config.LazyConfig) -> None:
    with pytest.raises(ConfigurationException, match="cannot be removed"):
        conf.pop("tls")
    with pytest.raises(ConfigurationException):
        conf.pop("tls", None)


def test_a_copy_is_a_plain_dict(conf: config.LazyConfig) -> None:
    assert type(conf.copy()) is dict


def test_an_application_may_fill_in_everything(conf: config.LazyConfig) -> None:
    conf.loaded = True
    conf.update(copy.deepcopy(config.DEFAULTS))
    conf.update(topic_prefix="a")
    assert conf["topic_prefix"] == "a"


def test_tests_of_applications_may_patch_it(conf: config.LazyConfig) -> None:
    with mock.patch.dict(conf, {"topic_prefix": "a"}):
        assert conf["topic_prefix"] == "a"
    assert conf["topic_prefix"] == ""
    assert conf == config.DEFAULTS


def test_unknown_keys(conf: config.LazyConfig) -> None:
    assert conf.get("no_such_key", 5) == 5
    with pytest.raises(KeyError):
        conf["no_such_key"]


# Logging


LOGGING = "from fedora_messaging.config import conf; conf.setup_logging(); import logging; logging.getLogger({!r}).{}"


def test_setup_logging_prints_what_the_library_logs(tmp_path: Path) -> None:
    code = LOGGING.format("fedora_messaging.x", "info('hello')")
    environment = {**os.environ, config.ENVIRONMENT: write(tmp_path, "")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout == "[fedora_messaging.x INFO] hello\n"


@pytest.mark.parametrize(
    ("log_config", "sentence"),
    [
        ({}, "log_config: dictionary doesn't specify a version"),
        ({"version": 1, "root": {"level": "LOUD"}}, "Unknown level"),
        ({"version": 1, "handlers": {"h": {"class": "no.such.Handler"}}}, "handler 'h' (Cannot resolve"),
    ],
)
def test_a_log_config_that_logging_refuses(log_config: Any, sentence: str) -> None:
    code = (
        "from fedora_messaging import config, exceptions\n"
        f"config.conf.loaded, config.conf['log_config'] = True, {log_config!r}\n"
        "try: config.conf.setup_logging()\n"
        "except exceptions.ConfigurationException as exc: print(exc)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert sentence in done.stdout
    assert done.stdout.count("\n") == 1


# Threads, forks, cost


def test_many_threads_load_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "fedora_messaging")
    monkeypatch.setenv(config.ENVIRONMENT, write(tmp_path, FULL))
    conf = config.LazyConfig()
    with ThreadPoolExecutor(16) as pool:
        answers = set(pool.map(lambda _: conf["topic_prefix"], range(64)))
    assert answers == {"org.example"}
    assert caplog.text.count("Loading configuration") == 1


def test_a_fork_while_another_thread_loads() -> None:
    code = (
        "import os, threading\n"
        "from fedora_messaging import config\n"
        "held = threading.Event()\n"
        "def hold():\n"
        "    with config._lock:\n"
        "        held.set(); threading.Event().wait()\n"
        "threading.Thread(target=hold, daemon=True).start(); held.wait()\n"
        "child = os.fork()\n"
        "if not child: os._exit(0 if config.conf['topic_prefix'] == '' else 1)\n"
        "raise SystemExit(os.waitpid(child, 0)[1])\n"
    )
    environment = {**os.environ, config.ENVIRONMENT: "/no/such/file"}
    subprocess.run([sys.executable, "-c", code], check=True, timeout=20, env=environment)


def test_importing_it_costs_next_to_nothing() -> None:
    code = (
        "import sys, fedora_messaging.config\n"
        "heavy = {'tomllib', 'msgspec', 'importlib.metadata', 'pika', 'logging.config'}\n"
        "raise SystemExit(sorted(heavy & set(sys.modules)) or None)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
