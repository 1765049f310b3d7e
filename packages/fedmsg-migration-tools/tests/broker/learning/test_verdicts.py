# SPDX-License-Identifier: MIT
"""What the file would let through. That a real broker says the same is in test_real_broker."""

from __future__ import annotations

import pytest

from fedmsg_migration_tools.broker.learning.verdicts import Judge, Verdict, the_vhost
from fedmsg_migration_tools.exceptions import ToolsError

from .support import understood

FILE = """\
[users]
bodhi.certificate = true
other.certificate = true
raw.password_file = "/nowhere/at/all"
"a.b".certificate = true
empty.certificate = true
"shell-app01.org".certificate = true

[leave]
users = ["admin*"]
exchanges = ["foreign.*"]

[vhosts."/pubsub".exchanges]
"zmq.topic" = {}
inner = { internal = true }
direct = { type = "direct" }

[vhosts."/pubsub".upstreams.public]
uri_file = "/nowhere/either"

[vhosts."/pubsub".users.bodhi]
manage = ["bodhi.*"]
publish = { "amq.topic" = ["org.bodhi.#"], direct = ["#"], inner = ["#"], "amq.default" = ["#"] }

[vhosts."/pubsub".users.admin1.publish]
"amq.topic" = ["org.admin"]

[vhosts."/pubsub".users.raw.expressions]
write = '^(amq\\.topic|zmq\\.topic|gone)$'

[vhosts."/pubsub".users.raw.expressions.topics."amq.topic"]
write = '^org\\.{username}\\.(x|{vhost})\\Z'

[vhosts."/pubsub".users.empty.expressions]
write = "amq"

[vhosts."/pubsub".users.empty.expressions.topics."amq.topic"]
write = ""

[vhosts."/pubsub".users."a.b".expressions]
write = "amq"

[vhosts."/pubsub".users."a.b".expressions.topics]
"amq.topic" = { write = "^{username}$" }
"""


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge(understood(FILE), "/pubsub")


@pytest.mark.parametrize(
    ("user", "exchange", "topic", "verdict"),
    [
        ("bodhi", "amq.topic", "org.bodhi.x", Verdict.ALLOWED),
        ("bodhi", "amq.topic", "org.bodhi", Verdict.ALLOWED),
        ("bodhi", "amq.topic", "org.bodhix", Verdict.NO_TOPIC),
        ("bodhi", "amq.topic", "org.bodhi\n", Verdict.NO_TOPIC),
        ("bodhi", "amq.topic", "", Verdict.NO_TOPIC),
        ("bodhi", "zmq.topic", "org.bodhi.x", Verdict.NO_WRITE),
        ("bodhi", "direct", "any", Verdict.ALLOWED),
        ("bodhi", "inner", "any", Verdict.INTERNAL),
        ("bodhi", "", "queue", Verdict.ALLOWED),
        ("bodhi", "amq.rabbitmq.trace", "x", Verdict.NO_WRITE),
        ("bodhi", "bodhi.own", "any", Verdict.ALLOWED),
        ("bodhi", "nowhere", "any", Verdict.NO_WRITE),
        ("other", "amq.topic", "org.bodhi.x", Verdict.NO_PERMISSIONS),
        ("nobody", "amq.topic", "org.bodhi.x", Verdict.NO_USER),
        ("admin1", "amq.topic", "org.admin", Verdict.ALLOWED),
        ("admin1", "amq.topic", "org.other", Verdict.NO_TOPIC),
        ("admin2", "amq.topic", "org.admin", Verdict.LEFT_ALONE),
        ("raw", "amq.topic", "org.raw.x", Verdict.ALLOWED),
        ("raw", "amq.topic", "org.raw.x\n", Verdict.ALLOWED),
        ("raw", "amq.topic", "org.raw./pubsub", Verdict.ALLOWED),
        ("raw", "amq.topic", "org.bodhi.x", Verdict.NO_TOPIC),
        ("raw", "zmq.topic", "anything at all", Verdict.ALLOWED),
        ("raw", "gone", "x", Verdict.NO_EXCHANGE),
        ("empty", "amq.topic", "", Verdict.ALLOWED),
        ("empty", "amq.topic", "x", Verdict.NO_TOPIC),
        ("empty", "zmq.topic", "x", Verdict.NO_WRITE),
        ("a.b", "amq.topic", "a.b", Verdict.ALLOWED),
        ("a.b", "amq.topic", "axb", Verdict.ALLOWED),
    ],
)
def test_each_verdict(judge: Judge, user: str, exchange: str, topic: str, verdict: Verdict) -> None:
    assert judge.verdict(user, exchange, topic) is verdict


def test_no_secret_is_needed(judge: Judge) -> None:
    assert judge.verdict("raw", "amq.topic", "org.raw.x") is Verdict.ALLOWED


def test_a_host_is_the_user_of_its_service(judge: Judge) -> None:
    assert judge.user("bodhi-app01.example.org") == "bodhi"
    assert judge.user("shell-app01.org") == "shell-app01.org"
    assert judge.user("bodhi-backend-01.example.org") == "bodhi"
    assert judge.user("unknown-app01.org") == "unknown-app01.org"
    assert judge.user("bodhi-application") == "bodhi-application"


@pytest.mark.parametrize("expression", [r"\Qa.b\E", "[[:alpha:]]", r"(?<name>a)"])
def test_what_only_pcre_understands_is_no_guess(expression: str) -> None:
    text = f"[users.u]\ncertificate = true\n[vhosts.v.users.u.expressions]\nwrite = '{expression}'\n"
    with pytest.raises(ToolsError, match="cannot be tried without RabbitMQ") as caught:
        Judge(understood(text), "v").verdict("u", "amq.topic", "a")
    assert "\n" not in str(caught.value)


def test_which_virtual_host() -> None:
    bus = understood("[vhosts.a]\n[vhosts.b]\n")
    assert the_vhost(bus, "b") == "b"
    assert the_vhost(understood("[vhosts.a]\n"), None) == "a"
    for name, said in ((None, "by --vhost which one"), ("c", "has no virtual host 'c'")):
        with pytest.raises(ToolsError, match=said):
            the_vhost(bus, name)
    with pytest.raises(ToolsError, match="several virtual hosts, or none"):
        the_vhost(understood(""), None)
