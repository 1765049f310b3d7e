# SPDX-License-Identifier: MIT
"""What a file asks for: objects, permissions, secrets."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmsg_migration_tools.broker import expressions
from fedmsg_migration_tools.broker.bus.desired import Secret, Secrets, desired, same_password
from fedmsg_migration_tools.broker.bus.file import check, read
from fedmsg_migration_tools.broker.bus.passwords import ALGORITHMS, hashed, size_of_hash
from fedmsg_migration_tools.broker.state import Key, Kind
from fedmsg_migration_tools.exceptions import ToolsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fedmsg_migration_tools.broker.state import State
    from fedora_messaging.private_node import PrivateNode


def state(text: str, environ: Mapping[str, str] | None = None) -> State:
    return desired(check(tomllib.loads(text)), Secrets(environ or {}))


def permissions(grants: str, vhost: str = "") -> dict[tuple[str, ...], Any]:
    """Of one user: () → its permission, (exchange,) → its topic permission."""
    found = state(f'[users.u]\ncertificate = true\n[vhosts."/"]\n{vhost}\n[vhosts."/".users.u]\n{grants}')
    kinds = {Kind.PERMISSION, Kind.TOPIC_PERMISSION}
    assert all(key.name == "u" and key.vhost == "/" for key in found if key.kind in kinds)
    return {key.more: properties for key, properties in found.items() if key.kind in kinds}


# grants


def test_nothing_is_granted_unasked() -> None:
    assert permissions("") == {(): dict.fromkeys(("configure", "write", "read"), expressions.NOTHING)}
    listed_nowhere = state('[users.u]\ncertificate = true\n[vhosts."/"]')
    assert {key.kind for key in listed_nowhere} == {Kind.USER, Kind.VHOST}


def test_what_the_words_become() -> None:
    found = permissions(
        """
        publish = { "amq.topic" = ["a.#"], "amq.fanout" = ["#"] }
        bind = { "amq.topic" = [], "zmq" = ["b.*"] }
        consume = ["q"]
        manage = ["own.*"]
        """,
        "exchanges.zmq.type = 'topic'\nqueues.q = {}",
    )
    assert found == {
        (): {
            "configure": expressions.of_names(["own.*"]),
            "write": expressions.of_names(["own.*", "amq.topic", "amq.fanout"]),
            "read": expressions.of_names(["own.*", "q", "amq.topic", "zmq"]),
        },
        ("amq.topic",): {"write": expressions.of_topics(["a.#"]), "read": expressions.NOTHING},
        ("zmq",): {"write": expressions.NOTHING, "read": expressions.of_bindings(["b.*"])},
    }


def test_an_exchange_of_ones_own_has_topics_too() -> None:
    found = permissions('publish."own.x" = ["a"]\nmanage = ["own.*"]')
    assert found["own.x",]["write"] == expressions.of_topics(["a"])


def test_the_default_exchange_is_called_as_rabbitmq_calls_it() -> None:
    found = permissions('publish."amq.default" = ["#"]')
    assert found == {(): {**found[()], "write": expressions.of_names(["amq.default"])}}


def test_expressions_are_taken_as_they_are() -> None:
    found = permissions("expressions = { write = '^a$', topics.x.write = 'b' }")
    assert found == {
        (): {"configure": "", "write": "^a$", "read": ""},
        ("x",): {"write": "b", "read": ""},
    }


# objects


def test_units_and_defaults() -> None:
    found = state(
        """
        [vhosts.v.queues.q]
        message_ttl = 0.0015
        expires = 3600
        single_active_consumer = true
        arguments = { x-max-priority = 5 }
        [vhosts.v.upstreams.u]
        uri = "amqp://"
        expires = 60
        reconnect_delay = 1.0
        trust_user_id = true
        """
    )
    assert found[Key(Kind.QUEUE, "v", "q")] == {
        "type": "classic",
        "durable": True,
        "auto_delete": False,
        "arguments": {
            "x-max-priority": 5,
            "x-message-ttl": 2,
            "x-expires": 3600000,
            "x-single-active-consumer": True,
        },
    }
    assert found[Key(Kind.PARAMETER, "v", "u", ("federation-upstream",))] == {
        "value": {"uri": "amqp://", "expires": 60000, "reconnect-delay": 1, "trust-user-id": True}
    }


def test_rabbitmqs_own_exchanges_are_not_declared_but_bound() -> None:
    found = state(
        "[vhosts.v]\nexchanges.\"amq.topic\".bindings = [{ exchange = 'amq.fanout', topics = ['', 'a'] }]"
    )
    assert set(found) == {
        Key(Kind.VHOST, "v", "v"),
        Key(Kind.BINDING, "v", "amq.topic", ("amq.fanout", "exchange", "", "{}")),
        Key(Kind.BINDING, "v", "amq.topic", ("amq.fanout", "exchange", "a", "{}")),
    }


def test_limits_are_a_parameter() -> None:
    found = state("[vhosts.v]\nmax_queues = 0")
    assert found[Key(Kind.PARAMETER, "v", "limits", ("vhost-limits",))] == {"value": {"max-queues": 0}}


# secrets


def test_a_password_is_read_and_hidden(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("pässword \r\n", encoding="utf-8")
    path.chmod(0o600)
    found = state(f"[users.a]\npassword_file = '{path}'\n[users.b]\npassword_env = 'B'", {"B": "other"})
    passwords = [found[Key(Kind.USER, "", name)]["password"] for name in "ab"]
    assert [one.reveal() for one in passwords] == ["pässword ", "other"]
    shown = f"{passwords} {passwords[0]} {passwords[0]!s} {found}"
    assert "pässword" not in shown
    assert "other" not in shown
    assert json.loads(json.dumps(passwords)) == ["pässword ", "other"]  # where it goes to the broker


def test_a_file_that_others_read_is_warned_of(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("x")
    path.chmod(0o640)
    secrets = Secrets({})
    secrets.read(path, None, "user a")
    assert secrets.warnings == [f"{path}, the secret of user a, may be read by others: chmod 600 {path}"]


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("password_env = 'X'", "user a is missing: set the environment variable X"),
        ("password_env = 'EMPTY'", "user a is missing: set the environment variable EMPTY"),
        ("password_file = '/nowhere'", "user a cannot be read from /nowhere: No such file or directory"),
        ("password_file = '/dev/null'", "user a is missing: /dev/null is empty"),
    ],
)
def test_a_secret_that_is_not_there(how: str, said: str) -> None:
    with pytest.raises(ToolsError, match=re.escape(said)) as raised:
        state(f"[users.a]\n{how}", {"EMPTY": ""})
    assert "\n" not in str(raised.value)


def test_uris_of_parameters_and_upstreams(tmp_path: Path) -> None:
    path = tmp_path / "uri"
    path.write_text("amqp://a\namqp://b\n")
    path.chmod(0o600)
    found = state(
        f"[vhosts.v]\nupstreams.u.uri_file = '{path}'\n"
        "parameters.shovel.s = { src-uri_env = 'SRC', dest-uri = 'amqp://', src-queue = 'q' }",
        {"SRC": "amqp://me:secret@c"},
    )
    upstream = found[Key(Kind.PARAMETER, "v", "u", ("federation-upstream",))]["value"]
    assert upstream == {"uri": ["amqp://a", "amqp://b"]}
    shovel = found[Key(Kind.PARAMETER, "v", "s", ("shovel",))]["value"]
    assert shovel == {"src-uri": "amqp://me:secret@c", "dest-uri": "amqp://", "src-queue": "q"}
    assert "secret" not in repr(found)


def test_paths_are_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path.parent)
    folder = Path(tmp_path.name)
    (tmp_path / "uri").write_text("amqp://there")
    (tmp_path / "uri").chmod(0o600)
    (tmp_path / "bus.toml").write_text(
        "[vhosts.v]\nupstreams.u.uri_file = 'uri'\nparameters.shovel.s.dest-uri_file = 'uri'"
    )
    found = desired(read(folder / "bus.toml"), Secrets({}))
    assert found[Key(Kind.PARAMETER, "v", "u", ("federation-upstream",))] == {
        "value": {"uri": "amqp://there"}
    }
    assert found[Key(Kind.PARAMETER, "v", "s", ("shovel",))] == {"value": {"dest-uri": "amqp://there"}}


# hashes


def test_rabbitmqs_hash_of_a_password_is_recognised(rabbitmq: PrivateNode) -> None:
    rabbitmq.management("PUT", "/api/users/hashed", {"password": "pässword", "tags": ""})
    try:
        user = rabbitmq.management("GET", "/api/users/hashed")
    finally:
        rabbitmq.management("DELETE", "/api/users/hashed")
    assert same_password(Secret("pässword"), user["password_hash"], user["hashing_algorithm"])
    assert not same_password(Secret("password"), user["password_hash"], user["hashing_algorithm"])


@given(st.text(), st.binary(min_size=4, max_size=4), st.sampled_from(sorted(ALGORITHMS)))
def test_a_hash_is_of_its_password_alone(password: str, salt: bytes, algorithm: str) -> None:
    password = password.encode(errors="replace").decode()
    made = hashed(password, salt, algorithm)
    assert same_password(password, made, algorithm)
    assert not same_password(password + "x", made, algorithm)
    assert size_of_hash(algorithm) is not None


@pytest.mark.parametrize("live", ["", "x", "é", "AAAA", "AAAA===="])
def test_what_is_no_hash_is_of_no_password(live: str) -> None:
    assert not same_password("x", live, "rabbit_password_hashing_sha256")
    assert not same_password("x", live, "somebody's own")
