# SPDX-License-Identifier: MIT
"""The operator's file: what is read, and what is said of its mistakes, all at once, each with its place."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmsg_migration_tools.broker.bus import file, shape
from fedmsg_migration_tools.broker.bus.arguments import QUEUE
from fedmsg_migration_tools.broker.bus.definitions import of_state
from fedmsg_migration_tools.broker.bus.desired import Secrets, desired, queue_properties
from fedmsg_migration_tools.broker.bus.file import BadFile, check
from fedmsg_migration_tools.broker.bus.loopholes import loopholes
from fedmsg_migration_tools.broker.state import Key, Kind
from fedora_messaging.exceptions import NodeError
from fedora_messaging.settings import fit

if TYPE_CHECKING:
    from fedora_messaging.private_node import PrivateNode

EXAMPLE = Path(__file__).parents[4] / "deploy" / "bus.toml"

GOOD = """
[users.bodhi]
certificate = true

[vhosts."/pubsub".exchanges."zmq.topic"]

[vhosts."/pubsub".queues.bodhi]
bindings = [{ exchange = "amq.topic", topics = ["org.fedoraproject.prod.#"] }]

[vhosts."/pubsub".users.bodhi]
publish."amq.topic" = ["org.fedoraproject.prod.bodhi.#"]
consume = ["bodhi"]
"""


def problems(text: str) -> list[str]:
    with pytest.raises(BadFile) as raised:
        check(tomllib.loads(text))
    return list(raised.value.problems)


def test_the_example_is_read() -> None:
    bus = file.read(EXAMPLE)
    assert set(bus.vhosts) == {"/pubsub", "/public_pubsub"}


def test_a_good_file(tmp_path: Path) -> None:
    path = tmp_path / "bus.toml"
    path.write_text(GOOD + '[broker]\nca_cert = "ca.crt"\n[users.x]\npassword_file = "/run/x"\n')
    bus = file.read(path)
    assert bus.vhosts["/pubsub"].users["bodhi"].consume == ("bodhi",)
    assert bus.broker.ca_cert == tmp_path / "ca.crt"
    assert bus.users["x"].password_file == Path("/run/x")


def test_an_empty_file_asks_for_nothing() -> None:
    assert check({}).vhosts == {}


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"bus\.toml: there is no such file$"):
        file.read(tmp_path / "bus.toml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[users.a\n", r"bus\.toml: .*line 1"),
        (GOOD + '[vhosts."/pubsub".queues.bodhi]\n', r"bus\.toml: .*twice.*line 13"),
        (b"\xff", "not UTF-8.*line 1"),
        ("[users.a]\n", r"bus\.toml: users\.a: it says no way to log in"),
    ],
)
def test_the_file_is_named(tmp_path: Path, text: str | bytes, said: str) -> None:
    path = tmp_path / "bus.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(BadFile, match=said) as raised:
        file.read(path)
    assert all(str(path) in problem and "\n" not in problem for problem in raised.value.problems)


def test_several_at_once() -> None:
    found = problems(
        """
        brokr = {}
        [users.a]
        tag = []
        certificate = 1
        [users."b.c"]
        max_channels = -1
        [vhosts."/".queues."q 1"]
        type = "fast"
        [[vhosts."/".queues."q 1".bindings]]
        exchange = 5
        [vhosts."/".queues.""]
        [vhosts."/".users.a.publish]
        "amq.topic" = "x"
        [vhosts."/".users.a.expressions]
        topics.x.write = 1
        [leave]
        users = "a"
        """
    )
    assert sorted(problem.partition(";")[0].partition("!")[0] for problem in found) == [
        "Unknown configuration key 'brokr'",
        "Unknown configuration key 'tag' in users.a",
        "leave.users is 'a' (a string)",
        'the key vhosts."/".queues."" is \'\'',
        'users."b.c".max_channels is -1',
        'vhosts."/".queues."q 1".bindings[0].exchange is 5 (an integer)',
        'vhosts."/".queues."q 1".type is \'fast\'',
        'vhosts."/".users.a.expressions.topics.x.write is 1 (an integer)',
        'vhosts."/".users.a.publish."amq.topic" is \'x\' (a string)',
    ]
    with pytest.raises(BadFile) as raised:
        check({"users": {"a": {}, "b": {}, "c": {}}})
    assert str(raised.value).endswith("(and 2 more)")
    assert "\n" not in str(raised.value)


VHOST = '[users.u]\ncertificate = true\n[vhosts."/v"]\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        # users
        (
            "[users.u]\npassword_env = 'X'\ncertificate = true",
            "users.u: it says several ways to log in (password_env, certificate = true)",
        ),
        ("[users.u]\npassword_hash = 'x'", "users.u: password_hash is no Base64"),
        (
            "[users.u]\npassword_hash = 'aGVsbG8='",
            "users.u: password_hash has 5 bytes; rabbit_password_hashing_sha256 makes 36",
        ),
        ("[users.u]\npassword_hash = ''", "users.u: password_hash is empty"),
        (
            "[users.u]\npassword_env = 'X'\nhashing_algorithm = 'own'",
            "users.u: a password cannot be hashed by own",
        ),
        # names that nobody declares
        (VHOST + "users.nobody = {}", "vhosts.\"/v\".users.nobody: there is no user 'nobody' in [users]"),
        (
            VHOST + "queues.q.bindings = [{ exchange = 'x' }]",
            "vhosts.\"/v\".queues.q: bindings[0]: there is no exchange 'x'",
        ),
        (
            VHOST + "exchanges.e.bindings = [{ exchange = 'x' }]",
            "vhosts.\"/v\".exchanges.e: bindings[0]: there is no exchange 'x'",
        ),
        (VHOST + "exchanges.e.alternate_exchange = 'x'", "there is no exchange 'x'"),
        (VHOST + "queues.q.dead_letter_exchange = 'x'", "there is no exchange 'x'"),
        (VHOST + "users.u.consume = ['q']", "vhosts.\"/v\".users.u: consume: there is no queue 'q'"),
        (VHOST + "users.u.publish.x = ['#']", "vhosts.\"/v\".users.u: publish.x: there is no exchange 'x'"),
        (VHOST + "users.u.bind.x = ['#']", "bind.x: there is no exchange 'x'"),
        # topics
        (
            VHOST + f"users.u.publish.\"amq.topic\" = ['{'é' * 128}']",
            "publish.amq.topic: a topic has 256 bytes; AMQP allows 255",
        ),
        (
            VHOST + "users.u.publish.\"amq.topic\" = ['a.b*']",
            "'a.b*' cannot be expressed: * and # stand for whole words",
        ),
        (VHOST + "users.u.bind.\"amq.topic\" = ['#a']", "'#a' cannot be expressed"),
        (VHOST + "users.u.publish.\"amq.direct\" = ['a']", 'here ["#"] is all that can be said'),
        (VHOST + "users.u.publish.\"amq.default\" = ['q']", 'here ["#"] is all that can be said'),
        (VHOST + f'users.u.publish."amq.topic" = {[f"topic-{n}" for n in range(5000)]}', "so many topics"),
        (
            VHOST + f"queues.q.bindings = [{{ exchange = 'amq.topic', topics = ['{'a' * 256}'] }}]",
            "a topic has 256 bytes",
        ),
        # grants
        (VHOST + "users.u = { manage = ['a'], expressions = {} }", "expressions say all"),
        (VHOST + "users.u.expressions.write = '(a'", "expressions.write: '(a' is no regular expression"),
        (
            VHOST + "users.u.expressions.topics.x.read = 'a)'",
            "expressions.topics.x.read: 'a)' is no regular expression",
        ),
        # queues and exchanges
        (VHOST + f"queues.'{'é' * 128}' = {{}}", "its name has 256 bytes"),
        (
            VHOST + "queues.q = { type = 'quorum', auto_delete = true }",
            "a quorum queue cannot be auto_delete",
        ),
        (VHOST + "queues.q = { type = 'stream', durable = false }", "a stream queue is always durable"),
        (VHOST + "queues.q = { type = 'stream', max_length = 5 }", "max_length is not for a stream queue"),
        (VHOST + "queues.q.dead_letter_topic = 'a'", "dead_letter_topic needs dead_letter_exchange"),
        (VHOST + "queues.q.expires = 0.0001", "expires is 0.0001; it must be at least 0.001"),
        (VHOST + "queues.q = { max_age = '1D' }", "max_age is not for a classic queue"),
        (
            VHOST + "queues.q = { max_length = 1, arguments = { x-max-length = 1 } }",
            "max_length and the argument x-max-length say the same",
        ),
        (VHOST + "queues.q = { arguments = { x-queue-type = 'quorum' } }", "said by the key type"),
        (VHOST + 'queues."amq.q" = {}', "names that begin with amq. are RabbitMQ's own"),
        (VHOST + 'exchanges."amq.e" = {}', "names that begin with amq. are RabbitMQ's own"),
        (VHOST + 'exchanges."amq.direct" = {}', 'only type = "direct" and bindings may be said of it'),
        # values that JSON has not
        (
            VHOST + "queues.q.arguments.since = 2026-01-01",
            'vhosts."/v".queues.q.arguments.since is 2026-01-01, which',
        ),
        (
            VHOST + "queues.q.arguments.x = [1, { a = nan }]",
            "arguments.x[1].a is nan, which RabbitMQ has no value for",
        ),
        (VHOST + "policies.p = { pattern = 'a', definition.x = -inf }", "policies.p.definition.x is -inf"),
        (VHOST + f"parameters.shovel.x.n = {2**63}", "RabbitMQ's numbers have 64 bits"),
        (VHOST + "parameters.shovel = [1]", "parameters.shovel is [1]"),
        # policies, upstreams, parameters
        (
            VHOST + "policies.p = { pattern = '*', definition = { max-length = 1 } }",
            "policies.p: pattern: '*' is no regular expression",
        ),
        (VHOST + "policies.p = { pattern = 'a', definition = {} }", "definition is empty"),
        (
            VHOST + "policies.p = { pattern = 'a', apply_to = 'everything', definition = { a = 1 } }",
            "apply_to is 'everything'",
        ),
        (
            VHOST + "operator_policies.p = { pattern = '[', definition = { a = 1 } }",
            "operator_policies.p: pattern",
        ),
        (VHOST + "upstreams.x = {}", "upstreams.x: it needs one of uri, uri_file, uri_env; it has none"),
        (VHOST + "upstreams.x = { uri = 'amqp://', uri_env = 'X' }", "it has uri, uri_env"),
        (VHOST + "upstreams.x = { uri = 'amqp://me:secret@host' }", "its uri has a password"),
        (
            VHOST + "upstreams.x = { uri = 'amqp://' }\nparameters.federation-upstream.x = {}",
            "stands in upstreams already",
        ),
        (VHOST + "max_queues = 5\nparameters.vhost-limits.limits.max-queues = 5", "leave one"),
        (
            VHOST + "parameters.shovel.s.src-uri_env = 5",
            "shovel.s: src-uri_env is 5; it must be the name of",
        ),
        (VHOST + "parameters.shovel.s.src-uri_file = ''", "src-uri_file is ''; it must be a path"),
        (VHOST + "parameters.shovel.s = { src-uri = 'a', src-uri_env = 'B' }", "src-uri is said twice"),
        (
            VHOST + "parameters.shovel.s = { uri_file = 'a', uri_env = 'B' }",
            "uri is said twice, by uri_env too",
        ),
        (VHOST + "parameters.operator_policy.p = {}", "said in operator_policies"),
    ],
)
def test_what_does_not_agree(text: str, said: str) -> None:
    found = problems(text)
    assert len(found) == 1
    assert said in found[0]
    assert "\n" not in found[0]
    assert "secret" not in found[0]


OF_EACH_KEY = {
    "max_length": 5,
    "max_bytes": 10**6,
    "overflow": "reject-publish",
    "message_ttl": 0.5,
    "expires": 3600,
    "max_age": "1D",
    "dead_letter_exchange": "",
    "dead_letter_topic": "x",
    "delivery_limit": 3,
    "single_active_consumer": True,
}


@pytest.mark.parametrize("kind", ["classic", "quorum", "stream"])
def test_the_broker_agrees_what_may_be_said_of_a_queue(
    rabbitmq: PrivateNode, amqp_url: str, kind: str
) -> None:
    vhost = unquote(urlsplit(amqp_url).path[1:])
    assert {argument.key for argument in QUEUE} == OF_EACH_KEY.keys()
    for key, value in OF_EACH_KEY.items():
        table = {"type": kind, key: value} | (
            {"dead_letter_exchange": ""} if key == "dead_letter_topic" else {}
        )
        queue = fit(table, shape.Queue, "")
        try:
            check({"vhosts": {vhost: {"queues": {key: table}}}})
            allowed = True
        except BadFile:
            allowed = False
        definitions = of_state({Key(Kind.QUEUE, vhost, key): queue_properties(queue)})
        try:
            rabbitmq.management("PUT", f"/api/queues/{quote(vhost, safe='')}/{key}", definitions["queues"][0])
            taken = True
        except NodeError:
            taken = False
        assert taken == allowed, key


@pytest.mark.parametrize(
    "text",
    [
        VHOST
        + "users.u = { manage = ['mine.*'], consume = ['mine.q', 'other*'], publish.\"mine.x\" = ['a.#'] }",
        VHOST + "users.u.publish.\"amq.default\" = ['#']",
        VHOST + "users.other.consume = ['there']\n[leave]\nusers = ['oth*']\nqueues = ['there']",
        VHOST + "queues.q = { type = 'quorum', dead_letter_exchange = '' }",
        VHOST
        + "queues.q.bindings = [{ exchange = 'amq.headers', topics = ['a*b'], arguments.x-match = 'all' }]",
        VHOST + r"policies.p = { pattern = '(?<x>a)\Q*\E[[:alpha:]]^*\h', definition = { max-length = 1 } }",
        VHOST + r"policies.p = { pattern = '(?s)\A(?>a)\z', definition = { max-length = 1 } }",
        VHOST + "parameters.own.a_uri_file = { x.uri_file = { y = 1 } }",
        VHOST + "upstreams.x = { uri = 'amqps://host?cacertfile=/etc/ca.crt' }",
    ],
)
def test_what_is_right(text: str) -> None:
    check(tomllib.loads(text))


VALUES = st.sampled_from(
    ["", "a", "#", "a*", "(", "é" * 200, 0, -1, 2.5, True, [], ["a"], ["#", 1], {}, {"": {}}, {"a": 1}]
)


def changed(value: Any, data: st.DataObject) -> Any:
    """With something else somewhere in it."""
    names = (
        list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    )
    if not names or data.draw(st.integers(0, 6)) == 0:
        return data.draw(VALUES)
    name = data.draw(st.sampled_from(names))
    copy = value.copy()
    copy[name] = changed(value[name], data)
    if isinstance(value, dict) and data.draw(st.booleans()):
        copy[data.draw(st.sampled_from(["", "a", "type", "amq.topic", name + "x"]))] = copy.pop(name)
    return copy


class Anything(dict[str, str]):
    """An environment that has all."""

    def get(self, key: str, default: Any = None) -> Any:  # noqa: ARG002 - as dict
        return "amqp://"


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_whatever_stands_there_is_read_or_told(data: st.DataObject) -> None:
    tables = changed(tomllib.loads(EXAMPLE.read_text(encoding="utf-8")), data)
    tables = tables if isinstance(tables, dict) else {"x": tables}
    try:
        bus = check(tables)
    except BadFile as error:
        found = error.problems
    else:
        json.dumps(of_state(desired(bus, Secrets(Anything()))))
        found = tuple(loopholes(bus))
    assert all(one and "\n" not in one for one in found)
