# SPDX-License-Identifier: MIT
"""What to consume, from options and configuration together; and what wrong configurations say.

The table of the first test was seen with fedora-messaging 3.9.1, but for a queue's name beside configured queues,
where that one fails.
"""

import copy
from typing import Any

import pytest

from fedora_messaging.cli.settings import Queues
from fedora_messaging.config import DEFAULTS

DEFAULT_QUEUE = {"durable": False, "auto_delete": True, "exclusive": True, "arguments": {}}
KEPT = {"durable": True, "auto_delete": False, "exclusive": False, "arguments": {"x-expires": 1}}
PLAIN = {"queues": DEFAULTS["queues"], "bindings": DEFAULTS["bindings"]}
TWO = {
    "queues": {"a": KEPT, "b": KEPT},
    "bindings": [
        {"queue": "a", "exchange": "x", "routing_keys": ["a.#"]},
        {"queue": "b", "exchange": "y", "routing_keys": ["b.#"]},
        {"exchange": "z", "routing_keys": ["every.queue"]},
    ],
}
UNBOUND = {"queues": {"a": KEPT}, "bindings": DEFAULTS["bindings"]}


def binding(queue: str, exchange: str = "amq.topic", topics: tuple[str, ...] = ("#",)) -> dict[str, Any]:
    return {"queue": queue, "exchange": exchange, "routing_keys": list(topics)}


@pytest.mark.parametrize(
    ("conf", "options", "bindings", "queues"),
    [
        (PLAIN, {}, [binding("")], {"": DEFAULT_QUEUE}),
        (PLAIN, {"exchange": "e"}, [binding("", "e")], {"": DEFAULT_QUEUE}),
        (PLAIN, {"routing_key": ("a.b", "c.#")}, [binding("", topics=("a.b", "c.#"))], {"": DEFAULT_QUEUE}),
        (PLAIN, {"queue_name": "q"}, [binding("q")], {"q": DEFAULT_QUEUE}),
        (TWO, {}, TWO["bindings"], TWO["queues"]),
        (
            TWO,
            {"queue_name": "a"},
            [binding("a", "x", ("a.#",)), binding("a", "z", ("every.queue",))],
            {"a": KEPT},
        ),
        (UNBOUND, {"queue_name": "a"}, [], {"a": KEPT}),
        (UNBOUND, {"queue_name": "a", "routing_key": ("k",)}, [binding("a", topics=("k",))], {"a": KEPT}),
        (UNBOUND, {"queue_name": "a", "exchange": "e"}, [binding("a", "e")], {"a": KEPT}),
        (
            TWO,
            {"queue_name": "new", "exchange": "e", "routing_key": ("k",)},
            [binding("new", "e", ("k",))] * 3,
            {"new": DEFAULT_QUEUE},
        ),
    ],
)
def test_options_and_configuration_together(
    conf: dict[str, Any], options: dict[str, Any], bindings: list[Any], queues: dict[str, Any]
) -> None:
    before = copy.deepcopy(conf)
    assert Queues(**options).apply(conf) == (bindings, queues)
    assert conf == before


def test_the_application_gets_a_name() -> None:
    conf = {**PLAIN, "client_properties": {"app": "Unknown"}}
    Queues(app_name="mine").apply(conf)
    assert conf["client_properties"]["app"] == "mine"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = [", "Failed to parse"),
        ("nokey = 1", "nokey"),
        ("amqp_url = 1", "amqp_url"),
        ("[queues.q]\ndurable = 'yes'", "queues"),
        ("[monitoring]\naddress = 'localhost'", "port"),
        ("[client_properties]\nversion = '1'", "version"),
        ("[log_config]\nversion = 2", "log_config"),
    ],
)
@pytest.mark.parametrize(
    "arguments", [("consume", "--callback", "fedora_messaging.example:printer"), ("record", "f")]
)
def test_a_wrong_configuration_is_one_line_and_2(
    command: Any, text: str, words: str, arguments: tuple[str, ...]
) -> None:
    command.conf.write_text(text)
    told = command(*arguments)
    assert told.returncode == 2
    assert told.stderr.startswith("Error: Configuration error: ")
    assert words in told.stderr
    assert told.stderr.count("\n") == 1
    assert not (command.folder / "f").exists()


def test_a_configuration_that_is_named_has_to_be_there(command: Any) -> None:
    told = command("--conf", "nothing.toml", "publish", "-")
    assert (told.returncode, told.stderr) == (2, "Error: --conf: nothing.toml is not a file\n")
