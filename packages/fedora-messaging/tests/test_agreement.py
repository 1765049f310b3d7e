# SPDX-License-Identifier: MIT
"""What is sent to the fast validator, and what is not. That its *yes* may be trusted there is in test_schemas."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from fedora_messaging.agreement import LARGEST, MOST_PARTS, agrees, is_plain


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object", "properties": {"a": {"type": ["string", "null"]}}, "required": ["a"]},
        {"items": {"anyOf": [{"type": "string"}, {"oneOf": [{"type": "number"}, {"type": "null"}]}]}},
        {"definitions": {"user": {"type": "object"}}, "properties": {"user": {"$ref": "#/definitions/user"}}},
        {"id": "http://example.org/schema", "items": {"$ref": "#/definitions/a"}, "definitions": {"a": {}}},
        {"patternProperties": {".*": {"type": "string"}}},
        {"pattern": r"^[a-z0-9_-]+/\d+\.\d$"},
        {"not": {"type": "string"}, "additionalProperties": False},
        {"distro": "a keyword that nobody knows"},
    ],
)
def test_what_packages_write_is_fast(schema: dict[str, Any]) -> None:
    assert agrees(schema)


@pytest.mark.parametrize(
    "schema",
    [
        {"required": ("a",)},
        {"enum": [10**30]},
        {"enum": []},
        {"enum": ["a", "a"]},
        {"enum": [["a"]]},
        {"multipleOf": 0.1},
        {"patternProperties": {"^a": {}}},
        {"pattern": r"\s"},
        {"pattern": "[^a]"},
        {"pattern": "(?=a)"},
        {"not": {"pattern": "a"}},
        {"oneOf": [{"properties": {"a": {"pattern": "a"}}}]},
        {"items": [{}, {}]},
        {"if": {}, "then": {}},
        {"$ref": "#"},
        {"$ref": "http://json-schema.org/draft-04/schema#"},
        {"$ref": "#/definitions/a", "definitions": {"a": {}}, "type": "string"},
        {"properties": {"a": {"$ref": "#/definitions/a"}}},
        {"definitions": {"a": {"$ref": "#/definitions/b"}, "b": {"$ref": "#/definitions/a"}}},
        {"properties": {"a": {"id": "x/"}, "b": {"$ref": "#/definitions/b"}}, "definitions": {"b": {}}},
        {"allOf": {}},
        {"properties": []},
        {5: 5},
    ],
)
def test_what_is_not_known_to_agree_is_left_to_jsonschema(schema: dict[str, Any]) -> None:
    assert not agrees(schema)


def test_a_schema_that_unfolds_without_end_is_given_up() -> None:
    names = [f"a{number}" for number in range(20)]
    unfolding: dict[str, Any] = {
        name: {"allOf": [{"$ref": f"#/definitions/{following}"}, {"$ref": f"#/definitions/{following}"}]}
        for name, following in itertools.pairwise(names)
    }
    assert 2 ** len(names) > MOST_PARTS
    assert not agrees({"definitions": {**unfolding, names[-1]: {}}})


@pytest.mark.parametrize("value", [None, True, 1, -1.5, LARGEST, "x", [], {"a": [{"b": None}]}])
def test_plain(value: Any) -> None:
    assert is_plain(value)


@pytest.mark.parametrize(
    "value",
    [(1,), [[()]], {"a": ()}, LARGEST + 1, -1e300, float("nan"), float("inf"), b"", {1}, 1j, object()],
)
def test_not_plain(value: Any) -> None:
    assert not is_plain(value)
