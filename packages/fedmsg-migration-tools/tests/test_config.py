# SPDX-License-Identifier: MIT
"""The tools' file: defaults, older spellings, and what is said about a setting that is wrong."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fedmsg_migration_tools import config, shapes
from fedora_messaging.exceptions import ConfigurationException

OLD_FILE = """
amqp_url = "amqp://broker"
[amqp_to_zmq]
publish_endpoint = "tcp://*:9940"
[[amqp_to_zmq.bindings]]
exchange = "amq.topic"
routing_key = "#"
arguments = {}
[zmq_to_amqp]
exchange = "zmq.topic"
topics = [""]
zmq_endpoints = ["tcp://a:1"]
[verify_missing]
queue_name = "amqp_bridge_verify_missing"
[log_config]
version = 1
disable_existing_loggers = true
"""


@pytest.fixture(autouse=True)
def nothing_configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (*config.ENVIRONMENT, "STATE_DIRECTORY", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(
        config, "DEFAULT_PATHS", (str(tmp_path / "dashed.toml"), str(tmp_path / "older.toml"))
    )


def complaint(tables: dict[str, Any]) -> str:
    with pytest.raises(ConfigurationException) as wrong:
        config.check(tables)
    assert "\n" not in wrong.value.message
    return wrong.value.message


def test_the_defaults() -> None:
    found = config.load()
    assert found == config.Config()
    assert (found.zmq_to_amqp.exchange, found.zmq_to_amqp.topics) == ("zmq.topic", ("",))
    assert (found.amqp_to_zmq.exchange, found.amqp_to_zmq.publish_endpoint) == (
        "amq.topic",
        ("tcp://*:9940",),
    )
    assert found.quarantine.queue == "zmq.quarantine"


def test_nothing_of_it_can_be_changed() -> None:
    found = config.load()
    with pytest.raises(AttributeError, match="immutable"):
        found.zmq_to_amqp.exchange = "x"  # type: ignore[misc]


def test_the_older_tools_file(tmp_path: Path) -> None:
    (tmp_path / "f.toml").write_text(OLD_FILE)
    found = config.load(str(tmp_path / "f.toml"))
    assert found.amqp_url == "amqp://broker"
    assert found.amqp_to_zmq == config.AmqpToZmq()
    assert found.zmq_to_amqp == config.ZmqToAmqp(zmq_endpoints=("tcp://a:1",))
    assert found.verify_missing == config.VerifyMissing()
    assert found.log_config == {"version": 1, "disable_existing_loggers": True}


def test_fedmsgs_names() -> None:
    ours = config.check(
        {
            "zmq_to_amqp": {
                "signatures": {
                    "validate": True,
                    "ca": ["/ca"],
                    "crl": "/crl",
                    "routing_policy": {"a": ["b"]},
                    "nitpicky": True,
                }
            },
            "amqp_to_zmq": {
                "queue": "q",
                "signing": {"sign_messages": True, "ssldir": "/s", "certname": "me"},
            },
        }
    )
    named = {
        "validate_signatures": True,
        "ca_cert_location": "/ca",
        "crl_location": "/crl",
        "routing_nitpicky": True,
    }
    policy = {"routing_policy": {"a": ["b"]}}
    signing = {"sign_messages": True, "ssldir": "/s", "certname": "me", "queue_name": "q"}
    in_section = config.check({"zmq_to_amqp": named | policy, "amqp_to_zmq": signing})
    in_table = config.check({"zmq_to_amqp": {"signatures": named | policy}, "amqp_to_zmq": signing})
    assert ours == in_section == in_table
    assert ours.amqp_to_zmq.signing.files() == (Path("/s/me.crt"), Path("/s/me.key"))


def test_an_older_name_beside_todays() -> None:
    tables = {"zmq_to_amqp": {"ca_cert_location": "/a", "signatures": {"ca": ["/b"]}}}
    assert complaint(tables) == (
        "zmq_to_amqp.ca_cert_location is an older name of zmq_to_amqp.signatures.ca: give one of them"
    )


def test_older_bindings_of_several_exchanges() -> None:
    bindings = [{"exchange": "a", "routing_key": "#"}, {"exchange": "b", "routing_key": "#"}]
    assert "found the exchanges ['a', 'b']" in complaint({"amqp_to_zmq": {"bindings": bindings}})
    bindings = [{"exchange": "a", "routing_key": "x"}, {"exchange": "a", "routing_key": "y"}]
    found = config.check({"amqp_to_zmq": {"bindings": bindings}}).amqp_to_zmq
    assert (found.exchange, found.topics) == ("a", ("x", "y"))


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"zmq_to_amqpp": {}}, "Unknown configuration key 'zmq_to_amqpp'! Did you mean 'zmq_to_amqp'?"),
        (
            {"zmq_to_amqp": {"topic": []}},
            "Unknown configuration key 'topic' in zmq_to_amqp! Did you mean 'topics'?",
        ),
        (
            {"zmq_to_amqp": {"spool": {"pth": "x"}}},
            "'pth' in zmq_to_amqp.spool! Did you mean 'path'? Valid configuration keys are ['max_bytes', 'path']",
        ),
        ({"zmq_to_amqp": 5}, "zmq_to_amqp is 5 (an integer); it must be a table"),
        ({"zmq_to_amqp": {"signatures": []}}, "zmq_to_amqp.signatures is [] (a list); it must be a table"),
        (
            {"zmq_to_amqp": {"validate_signatures": True, "signatures": []}},
            "zmq_to_amqp.signatures is [] (a list); it must be a table",
        ),
        ({"zmq_to_amqp": {"topics": []}}, "zmq_to_amqp.topics is []; its length must be at least 1"),
        (
            {"zmq_to_amqp": {"topics": ["", 1]}},
            "zmq_to_amqp.topics[1] is 1 (an integer); it must be a string",
        ),
        ({"zmq_to_amqp": {"exchange": "x" * 256}}, "its length must be at most 255"),
        (
            {"zmq_to_amqp": {"durable": "yes"}},
            "zmq_to_amqp.durable is 'yes' (a string); it must be true or false",
        ),
        ({"zmq_to_amqp": {"max_unconfirmed": 0}}, "zmq_to_amqp.max_unconfirmed is 0; it must be at least 1"),
        (
            {"zmq_to_amqp": {"progress_timeout": 0}},
            "zmq_to_amqp.progress_timeout is 0; it must be more than 0",
        ),
        (
            {"zmq_to_amqp": {"spool": {"path": 5}}},
            "zmq_to_amqp.spool.path is 5 (an integer); it must be a string",
        ),
        ({"zmq_to_amqp": {"spool": {"path": ""}}}, "zmq_to_amqp.spool.path is '': a path is wanted here"),
        ({"zmq_to_amqp": {"crl_location": "https://h/crl"}}, "no URL: fetch the file first"),
        (
            {"zmq_to_amqp": {"signatures": {"when_expired": "drop"}}},
            "zmq_to_amqp.signatures.when_expired is 'drop'; it must be 'wait' or 'quarantine'",
        ),
        (
            {"zmq_to_amqp": {"routing_policy": {"a.b": "cn"}}},
            "a value in zmq_to_amqp.signatures.routing_policy is wrong (a string); it must be a list",
        ),
        ({"zmq_to_amqp": {"monitoring": {"address": ""}}}, "zmq_to_amqp.monitoring lacks the key 'port'"),
        ({"zmq_to_amqp": {"curve": {"server_key": "k"}}}, "zmq_to_amqp.curve lacks the key 'public_key'"),
        (
            {"zmq_to_amqp": {"signatures": {"validate": True, "ca": []}}},
            "zmq_to_amqp.signatures.validate is true: it needs a file in ca",
        ),
        ({"amqp_to_zmq": {"prefetch": 70000}}, "amqp_to_zmq.prefetch is 70000; it must be at most 65535"),
        ({"amqp_to_zmq": {"sign_messages": True}}, "it needs certificate and key, or certname (with ssldir)"),
        ({"amqp_to_zmq": {"remote_publish": True}}, "with remote_publish it must name a host"),
        ({"amqp_to_zmq": {"bindings": [{"exhange": "x"}]}}, "'exhange' in amqp_to_zmq.bindings[0]"),
        ({"quarantine": {"queue": None}}, "quarantine.queue is None (nothing); it must be a string"),
    ],
)
def test_what_is_wrong_is_named(tables: dict[str, Any], said: str) -> None:
    assert said in complaint(tables)


def test_the_file_is_named_as_well(tmp_path: Path) -> None:
    path = tmp_path / "f.toml"
    path.write_text("[zmq_to_amqp]\ndurable = 1\n")
    with pytest.raises(ConfigurationException) as wrong:
        config.load(str(path))
    assert wrong.value.message.startswith(f"{path}: zmq_to_amqp.durable is 1 (an integer)")
    path.write_text("[zmq_to_amqp\n")
    with pytest.raises(ConfigurationException, match="Failed to parse"):
        config.load(str(path))


def test_where_the_file_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def is_read(name: str) -> bool:
        return config.load().quarantine.queue == name

    for name in ("older", "dashed", "CONF", "CONFIG"):
        (tmp_path / f"{name}.toml").write_text(f'[quarantine]\nqueue = "{name}"\n')
        if name.isupper():
            monkeypatch.setenv(f"FEDMSG_MIGRATION_TOOLS_{name}", str(tmp_path / f"{name}.toml"))
        assert is_read(name)  # each goes before those above
    assert config.load(str(tmp_path / "older.toml")).quarantine.queue == "older"


@pytest.mark.parametrize("name", config.ENVIRONMENT)
def test_a_file_that_is_named_must_be_there(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "/no/such.toml")
    with pytest.raises(ConfigurationException, match="there is no such file"):
        config.load()


def test_the_command_line_goes_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "f.toml").write_text("[zmq_to_amqp]\nvalidate_signatures = true\nexchange = 'x'\n")
    over = {"zmq_to_amqp": {"exchange": "y", "signatures": {"nitpicky": True}}}
    found = config.load(str(tmp_path / "f.toml"), over).zmq_to_amqp
    assert (found.exchange, found.signatures.validate, found.signatures.nitpicky) == ("y", True, True)


def test_as_a_callback(tmp_path: Path) -> None:
    (tmp_path / "f.toml").write_text("[amqp_to_zmq]\nlinger = 2\npublish_endpoint = 'tcp://*:1'\n")
    given = {"publish_endpoint": "tcp://h:2", "remote_publish": True}
    found = config.for_callback(given, str(tmp_path / "f.toml"))
    assert (found.publish_endpoint, found.remote_publish, found.linger) == (("tcp://h:2",), True, 2)
    assert config.for_callback({}) == config.AmqpToZmq()
    with pytest.raises(ConfigurationException) as wrong:
        config.for_callback({"publish_endpont": "x"})
    assert wrong.value.message.startswith(
        "Unknown configuration key 'publish_endpont' in consumer_config! Did you mean 'publish_endpoint'?"
    )


def test_where_the_state_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shapes, "STATE", tmp_path / "var")
    assert config.Spool().path == tmp_path / "var" / "zmq_to_amqp.sqlite"
    monkeypatch.setattr(shapes, "STATE", Path("/proc/nobody/may/write"))
    monkeypatch.setenv("HOME", "/home/me")
    assert config.Replay().path == Path("/home/me/.local/state/fedmsg-migration-tools/amqp_to_zmq.sqlite")
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert config.Spool().path == Path("/state/fedmsg-migration-tools/zmq_to_amqp.sqlite")
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/one:/var/lib/two")
    assert config.Spool().path == Path("/var/lib/one/zmq_to_amqp.sqlite")


def test_how_old_a_replay_may_be() -> None:
    assert config.Replay().max_age == 24 * 3600
    assert config.Replay(max_age_hours=0).max_age is None


def test_importing_it_is_cheap() -> None:
    program = (
        "import sys, fedmsg_migration_tools.config; print({'zmq', 'pika', 'cryptography'} & set(sys.modules))"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout == "set()\n"
