# SPDX-License-Identifier: MIT
"""What a setting may be, and what is said about one that is wrong."""

from __future__ import annotations

from collections import OrderedDict
from typing import Annotated, Any, Literal

import msgspec
import pytest

from fedora_messaging import config
from fedora_messaging.exceptions import ConfigurationException
from fedora_messaging.settings import check, check_all, fit

QUEUE = {"durable": True, "auto_delete": False, "exclusive": False, "arguments": {}}
BINDING = {"queue": "q", "exchange": "e", "routing_keys": ["a.#"]}


def test_the_defaults_are_allowed() -> None:
    given = {**config.DEFAULTS, "client_properties": {"app": "Unknown"}}
    check_all(given)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("amqp_url", "amqp://one,two"),
        ("amqp_urls", ["amqp://one", "amqp://two"]),
        ("bindings", []),
        ("bindings", (OrderedDict(exchange="e", routing_keys=("a", "b")),)),
        ("bindings", [{**BINDING, "arguments": {"x-match": "all"}}]),
        ("callback", "package.module:function"),
        ("callback", None),
        ("client_properties", {"app": "mine", "contact": {"mail": "x@example.org"}, "number": 5}),
        ("consumer_config", {"anything": [1, {"a": 2}]}),
        ("consumer_config", [1]),
        ("exchanges", {"e": {}}),
        (
            "exchanges",
            {
                "e": {
                    "type": "x-delayed-message",
                    "durable": False,
                    "auto_delete": True,
                    "arguments": {"a": 1},
                }
            },
        ),
        ("log_config", {}),
        ("monitoring", {}),
        ("monitoring", {"port": 9000}),
        ("passive_declares", True),
        ("publish_priority", 255),
        ("qos", {"prefetch_count": 65535}),
        ("queues", {}),
        (
            "queues",
            {"": QUEUE, "q": {**QUEUE, "arguments": {"x-max-length": 5}}, "r": {**QUEUE, "passive": True}},
        ),
        ("tls", {"ca_cert": "/path", "keyfile": None}),
    ],
)
def test_allowed(key: str, value: Any) -> None:
    check(key, value)


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("amqp_url", 1, "amqp_url is 1 (an integer); it must be a string"),
        ("amqp_urls", "amqp://", "amqp_urls is 'amqp://' (a string); it must be a list"),
        ("amqp_urls", ["amqp://", 5], "amqp_urls[1] is 5 (an integer); it must be a string"),
        ("bindings", BINDING, f"bindings is {BINDING} (a table); it must be a list"),
        ("bindings", None, "bindings is None (nothing); it must be a list"),
        ("bindings", [BINDING, 5], "bindings[1] is 5 (an integer); it must be a table"),
        ("bindings", [{"exchange": "e"}], "bindings[0] lacks the key 'routing_keys'"),
        ("bindings", [{**BINDING, "routing_keys": "a"}],
         "bindings[0].routing_keys is 'a' (a string); it must be a list"),
        ("bindings", [{**BINDING, "routing_keys": ["a", 1]}],
         "bindings[0].routing_keys[1] is 1 (an integer); it must be a string"),
        ("callback", 5, "callback is 5 (an integer); it must be a string"),
        ("callback", ["x" * 80], f"callback is ['{'x' * 55}... (a list); it must be a string"),
        ("client_properties", "x", "client_properties is 'x' (a string); it must be a table"),
        ("client_properties", {"version": "1"},
         '"version" is a reserved keyword in client_properties: the library sets it itself'),
        ("exchanges", {"my.exchange": {"durable": "yes"}},
         "exchanges.my.exchange.durable is 'yes' (a string); it must be true or false"),
        ("exchanges", {"e": {"arguments": 1}}, "exchanges.e.arguments is 1 (an integer); it must be a table"),
        ("monitoring", {"address": "x"}, "monitoring lacks the key 'port'"),
        ("monitoring", {"port": 70000}, "monitoring.port is 70000; it must be at most 65535"),
        ("passive_declares", 1, "passive_declares is 1 (an integer); it must be true or false"),
        ("publish_priority", -1, "publish_priority is -1; it must be at least 0"),
        ("publish_priority", 1.5, "publish_priority is 1.5 (a number); it must be an integer"),
        ("qos", {"prefetch_count": "1"}, "qos.prefetch_count is '1' (a string); it must be an integer"),
        ("queues", [1], "queues is [1] (a list); it must be a table"),
        ("queues", {"q": 1}, "queues.q is 1 (an integer); it must be a table"),
        ("queues", {"q": {"durable": True}}, "queues.q lacks the key 'auto_delete'"),
        ("queues", {"": {**QUEUE, "durable": None}}, 'queues."".durable is None (nothing); it must be true or false'),
        ("tls", {"ca_cert": 1}, "tls.ca_cert is 1 (an integer); it must be a string"),
        ("topic_prefix", ["a"], "topic_prefix is ['a'] (a list); it must be a string"),
    ],
)  # fmt: skip
def test_refused_with_where_what_was_found_and_what_is_allowed(key: str, value: Any, sentence: str) -> None:
    with pytest.raises(ConfigurationException) as caught:
        check(key, value)
    assert caught.value.message == sentence
    assert caught.value.__cause__ is not None or "reserved" in sentence


@pytest.mark.parametrize(
    ("settings", "unknown", "hint"),
    [
        ({"amqp_ulr": "x"}, "'amqp_ulr'!", "'amqp_url'"),
        ({"tls": {"ca_certs": "x"}}, "'ca_certs' in tls!", "'ca_cert'"),
        ({"qos": {"prefetch": 1}}, "'prefetch' in qos!", "'prefetch_size'"),
        ({"queues": {"q": {**QUEUE, "exclusiv": True}}}, "'exclusiv' in queues.q!", "'exclusive'"),
        ({"bindings": [{**BINDING, "routing_key": "a"}]}, "'routing_key' in bindings[0]!", "'routing_keys'"),
        ({"xyz": 1}, "'xyz'!", None),
    ],
)
def test_an_unknown_key_at_any_depth_with_the_nearest_one(
    settings: Any, unknown: str, hint: str | None
) -> None:
    with pytest.raises(ConfigurationException) as caught:
        check_all(settings)
    sentence = caught.value.message
    assert sentence.startswith(f"Unknown configuration key {unknown}")
    assert (f"Did you mean {hint}?" in sentence) == (hint is not None)
    assert "Valid configuration keys are [" in sentence


@pytest.mark.parametrize("name", ["version", "product", "information"])
def test_reserved_client_properties(name: str) -> None:
    with pytest.raises(ConfigurationException, match=name):
        config.validate_client_properties({name: "mine"})
    config.validate_client_properties({"app": "mine"})


def test_the_public_functions() -> None:
    config.validate_bindings([BINDING])
    config.validate_queues({"q": QUEUE})
    with pytest.raises(ConfigurationException):
        config.validate_bindings({})  # type: ignore[arg-type]
    with pytest.raises(ConfigurationException):
        config.validate_queues({"q": {}})


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    """A table in a table."""

    way: Literal["in", "out"] = "in"
    share: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    lists: dict[str, list[str]] = {}


class Outer(msgspec.Struct, forbid_unknown_fields=True):
    """A table."""

    inner: Inner | None = None


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"inner": {"wy": "in"}}, "Unknown configuration key 'wy' in top.inner! Did you mean 'way'?"),
        ({"inner": {"way": "up"}}, "top.inner.way is 'up'; it must be 'in' or 'out'"),
        ({"inner": {"share": 0}}, "top.inner.share is 0; it must be more than 0"),
        (
            {"inner": {"lists": {"a": "b"}}},
            "a value in top.inner.lists is wrong (a string); it must be a list",
        ),
        ({"inner": {"lists": {"a": ["b", 1]}}}, "a value in top.inner.lists is wrong (an integer)"),
    ],
)
def test_tables_in_tables_of_other_packages(value: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationException) as wrong:
        fit(value, Outer, "top")
    assert wrong.value.message.startswith(said)
    assert fit({"inner": {"way": "out"}}, Outer, "") == Outer(Inner("out"))
