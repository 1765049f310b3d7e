# SPDX-License-Identifier: MIT
"""Secrets come from files and the environment, and are then in no log, no output and no command line.

A whole run, with everything logged (DEBUG), and with mistakes: what all of it said is searched for the secrets, in
clear, percent-encoded, in base64, and as JSON and Python write them.
"""

import base64
import json
from urllib.parse import quote

import pytest

from fedora_messaging.private_node import PrivateNode
from fedora_messaging.private_node.ports import free_port

from .watching import Processes, forms, found, seen
from .world import USER, World

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]

DEFINITIONS = "broker definitions"
SETTLED = "Connected to|WARNING|ERROR"  # what a service says when it has a connection, or cannot have one
ADMINISTRATOR = "FEDMSG_MIGRATION_TOOLS_BROKER_PASSWORD"
MESSAGE = json.dumps({"topic": "org.example.test", "body": {"n": 1}, "headers": {}, "id": "1", "queue": None})

PROGRAM = """
import asyncio, logging, sys, traceback
from fedora_messaging import api
from fedora_messaging.aio import Session
from fedora_messaging.address import addresses
from fedora_messaging.config import conf
from fedora_messaging.message import Message
conf.load_config()
conf.setup_logging()
print([repr(one) for one in addresses(conf)])

def fail():
    api.publish(Message(topic="a.b", body={}), timeout=1.5)

async def aio():
    async with Session() as session:
        print(repr(session))
        await session.publish(Message(topic="a.b", body={}), timeout=1.5)
        asyncio.current_task().print_stack(file=sys.stdout)

for work in (fail, lambda: asyncio.run(aio())):
    try:
        work()
    except Exception as error:
        traceback.print_exc()
        print(repr(error), str(error), error.args, vars(error))
"""

CALLBACK = """
def good(message):
    print(repr(message))

def bad(message):
    from fedora_messaging.config import conf
    raise RuntimeError("the callback does not like it")
"""


def library(world: World) -> None:
    """Publishers and consumers, in order and with every mistake in a URL."""
    (world.folder / "callbacks.py").write_text(CALLBACK)
    nobody = f"127.0.0.1:{free_port()}"
    raw = world.secrets["password"]
    urls = {
        "right": world.url(),
        "wrong password": world.url("wrong password"),
        "nobody listens": world.url(host=nobody),
        "no such host": world.url(host="no-such-host.invalid"),
        "no such virtual host": world.url(vhost="nope"),
        "password as it is": world.url(raw=raw),
        "bad port": world.url(host="127.0.0.1:99999"),
        "bad option": world.url(query="?heartbeat=often"),
        "evaluated option": world.url(query="?ssl_options=" + quote("{'ca_certs': '/none'}"), scheme="amqps"),
        "another scheme": world.url(scheme="http"),
        "no TLS there": world.url(scheme="amqps"),
        "several": f"{world.url('wrong password')},{world.url(host=nobody)}",
    }
    for name, url in urls.items():
        settings = world.library(name.replace(" ", "-"), url)
        world.run(f"doctor, {name}", "fedora-messaging", "doctor", **settings)
        world.run(f"program, {name}", "python", "-c", PROGRAM, **settings)
        if name in {"right", "wrong password", "nobody listens", "password as it is"}:
            world.run(f"doctor --json, {name}", "fedora-messaging", "doctor", "--json", **settings)
            world.run(
                f"publish, {name}",
                "fedora-messaging",
                "publish",
                "-",
                until="trying again",
                stdin=f"{MESSAGE}\n{MESSAGE}\n",
                **settings,
            )
            for callback in ("bad", "good"):
                callbacks = ("--callback-file", f"callbacks.py:{callback}")
                world.run(
                    f"consume {callback}, {name}",
                    "fedora-messaging",
                    *("consume", *callbacks),
                    until=r"Message\(|No connection",
                    **settings,
                )
    world.run("help", "fedora-messaging", "--help", **world.library("help", urls["right"]))


def tools(world: World) -> None:
    """The bridges, the verifier, and those that ask the broker."""
    for name, url in (
        ("right", world.url()),
        ("wrong", world.url("wrong password")),
        ("raw", world.url(raw=world.secrets["password"])),
    ):
        settings = world.library(f"tools-{name}", url, "")
        page, inward, outward = free_port(), free_port(), free_port()
        own = world.private(
            f"own-{name}.toml",
            f"""
            [zmq_to_amqp]
            zmq_endpoints = ["tcp://127.0.0.1:{inward}"]
            [zmq_to_amqp.spool]
            path = "{world.folder}/spool-{name}"
            [amqp_to_zmq]
            publish_endpoint = "tcp://127.0.0.1:{outward}"
            [verify_missing]
            zmq_endpoints = ["tcp://127.0.0.1:{inward}"]
            bridge_endpoints = ["tcp://127.0.0.1:{outward}"]
            store = "{world.folder}/store-{name}"
            listen = "127.0.0.1:{page}"
            """,
        )
        for command in ("zmq_to_amqp", "amqp_to_zmq", "verify_missing"):
            world.run(
                f"{command}, {name}",
                "fedmsg-migration-tools",
                *("--conf", str(own), command),
                until="page is at" if name == "raw" else SETTLED,
                **settings,
            )
            world.run(f"{command} --help, {name}", "fedmsg-migration-tools", command, "--help", **settings)
        management = ("--management-url", world.node.management_url)
        world.run(
            f"status, {name}", "fedmsg-migration-tools", "--conf", str(own), "status", *management, **settings
        )
        world.run(f"quarantine, {name}", "fedmsg-migration-tools", "quarantine", "list", **settings)


def broker(world: World, when: str) -> None:
    """The broker as code, with the administrator's password from the environment, from a file, and a wrong one."""
    admin = {ADMINISTRATOR: world.node.password}
    wrong = world.private("wrong", world.secrets["wrong password"])
    who = ("--user", world.node.user)
    settings = world.library("broker", "amqp://127.0.0.1", "")
    for command in ("plan", "apply", "plan", "export", "check"):
        file = ("--management-url", world.node.management_url) if command == "export" else (str(world.bus),)
        for how, given, environment in (
            ("environment", (), admin),
            ("wrong", ("--password-file", str(wrong)), {}),
        ):
            world.run(
                f"broker {command}, {how}, {when}, {len(world.said)}",
                "fedmsg-migration-tools",
                *("broker", command, *file, *who, *given),
                **settings,
                **environment,
            )
    world.run(
        f"broker plan --json, {when}",
        "fedmsg-migration-tools",
        "broker",
        "plan",
        "--json",
        str(world.bus),
        *who,
        **settings,
        **admin,
    )


def definitions(world: World) -> None:
    """RabbitMQ's own form must have the URI of an upstream as it is: this output is a secret itself, and no other."""
    world.run(DEFINITIONS, "fedmsg-migration-tools", "broker", "definitions", str(world.bus))


def keys(world: World) -> None:
    """The CA; its keys are secrets too."""
    folder = ("-C", str(world.folder / "pki"))
    for arguments in (
        ("init",),
        ("issue", "bodhi"),
        ("renew", "bodhi"),
        ("list", "--all", "--json"),
        ("revoke", "bodhi"),
    ):
        world.run(f"pki {' '.join(arguments)}", "fedmsg-migration-tools", "pki", *arguments, *folder)
    for number, key in enumerate((world.folder / "pki").glob("private/*/key.pem")):
        world.secrets[f"key {number}"] = key.read_text().splitlines()[2]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Processes]:
    plugins = ("rabbitmq_management", "rabbitmq_federation")
    with Processes() as processes, PrivateNode(plugins=plugins) as node:
        world = World(tmp_path_factory.mktemp("secrets"), node)
        broker(world, "first")
        library(world)
        tools(world)
        keys(world)
        definitions(world)
        world.private("password", world.secrets["password"] + "2")
        broker(world, "again")
        world.private("password", world.secrets["password"])
        node.ctl("list_users")
        node.add_vhost("another")
        world.said["the broker's log"] = node.log(1_000_000)
    return world, processes


def test_the_search_finds_each_form() -> None:
    secret = 'pass/:@%?"ü word'
    texts = [secret, quote(secret), json.dumps({"a": secret}), repr([secret]), repr(secret.encode())]
    within = [f"{before}{secret}:more".encode() for before in ("", "a", "ab", "abc:")]
    texts += [f"Basic {base64.b64encode(one).decode()}" for one in within]
    assert all(seen(secret, f"some {text} more") for text in texts)
    assert seen(secret, "some other text") is None
    assert min(map(len, forms(secret))) > 8


def test_all_of_it_ran(run: tuple[World, Processes]) -> None:
    """Or there would be nothing to find."""
    world, processes = run
    said = world.said
    assert "DEBUG" in said["program, right"]
    assert "Message(" in said["consume good, right"]
    assert "does not like it" in said["consume bad, right"]
    assert "Traceback" in said["program, wrong password"]
    assert "refused" in said["zmq_to_amqp, wrong"].lower()
    for command in ("zmq_to_amqp", "amqp_to_zmq", "verify_missing"):
        assert "Connected to" in said[f"{command}, right"], said[f"{command}, right"]
    assert USER in said["the broker's log"]
    assert any("erl_call" in line for line in processes.lines)
    assert any("rabbitmqctl" in line for line in processes.lines)
    assert any("beam" in line or "rabbit" in line for line in processes.lines)
    assert {name for name, text in said.items() if not text.strip()} <= {"quarantine, right"}  # it is empty


def test_no_secret_is_said(run: tuple[World, Processes]) -> None:
    world, _ = run
    told = dict(world.said)
    written = told.pop(DEFINITIONS)
    assert found(world.secrets, told.items()) == []
    assert {place.split(": ")[1] for place in found(world.secrets, [(DEFINITIONS, written)])} == {
        "password of an upstream"
    }


def test_no_secret_is_in_a_command_line(run: tuple[World, Processes]) -> None:
    world, processes = run
    assert found(world.secrets, (("command line", line) for line in processes.lines)) == []
