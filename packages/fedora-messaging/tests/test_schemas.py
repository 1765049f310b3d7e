# SPDX-License-Identifier: MIT
"""Validation says exactly what ``jsonschema.validate`` says, however fast it was."""

from __future__ import annotations

import decimal
import enum
import subprocess
import sys
from typing import Any

import jsonschema
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fedora_messaging import agreement, schemas

DRAFT_4 = "http://json-schema.org/draft-04/schema#"
DRAFTS = [
    DRAFT_4,
    "http://json-schema.org/draft-06/schema#",
    "http://json-schema.org/draft-07/schema#",
    "https://json-schema.org/draft/2019-09/schema",
    "https://json-schema.org/draft/2020-12/schema",
    None,
]
NAMES = st.sampled_from(["a", "b", "é", "\ufffd"])
# Neighbours that the two sides could confuse: booleans and numbers, numbers beyond a double, odd strings.
SCALARS = st.sampled_from(
    [
        None,
        True,
        False,
        0,
        1,
        -1,
        2,
        0.0,
        -0.0,
        1.0,
        1.5,
        2**53,
        2**53 + 1,
        2**64,
        1e30,
        10**30,
        float("nan"),
        float("inf"),
        "",
        "a",
        "b",
        "ab",
        "a\n",
        "é",
        "٣",
        "5",
        "\ud800",
        "😀",
        "a.b",
    ]
)
TYPES = st.sampled_from(["array", "boolean", "integer", "null", "number", "object", "string"])
PATTERNS = st.sampled_from(
    ["^a$", "a", r"^\d+$", "[a-c]+", r"\w", "^a.b$", r"\s", r"\W", "[^a]", "(?!a)", r"\p{L}", "["]
)


NUMBERS = st.sampled_from([0, 1, -1, 1.5, 2**53, 2**53 + 1, 2**64, 1e30, 10**30])
ENUMS = st.lists(SCALARS, min_size=1, max_size=3, unique_by=repr)


def keywords(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A schema with a few keywords, most of them right, whose parts are ``parts``."""
    count = st.integers(0, 3)
    some = st.lists(parts, min_size=1, max_size=2)
    table = {
        "type": TYPES | st.lists(TYPES, min_size=1, max_size=2, unique=True),
        "properties": st.dictionaries(NAMES, parts, max_size=2),
        "required": st.lists(NAMES, min_size=1, max_size=2, unique=True),
        "additionalProperties": st.booleans() | parts,
        "patternProperties": st.dictionaries(st.sampled_from([".*", "^a"]), parts, max_size=1),
        "items": parts | some,
        "enum": ENUMS,
        "anyOf": some,
        "allOf": some,
        "oneOf": some,
        "not": parts,
        "contains": parts,
        "pattern": PATTERNS,
        "minLength": count,
        "maxLength": count,
        "minItems": count,
        "maxProperties": count,
        "minimum": NUMBERS,
        "maximum": NUMBERS,
        "exclusiveMaximum": NUMBERS,
        "multipleOf": st.sampled_from([1, 2, 0.1]),
        "uniqueItems": st.booleans(),
        "const": SCALARS,
        "if": parts,
        "then": parts,
        "$ref": st.sampled_from(["#", "#/definitions/a", "#/definitions/b", "#/properties/a", "#/nowhere"]),
        "format": st.sampled_from(["date-time", "email"]),
        "description": st.just("words"),
        "id": st.just("http://example.org/schema"),
        "unheard of": st.just(5),
    }
    wrong = st.sampled_from(
        [
            ("type", "thing"),
            ("type", []),
            ("required", []),
            ("enum", []),
            ("minLength", -1),
            ("items", 5),
            ("properties", {"a": 5}),
            ("description", 5),
            ("pattern", "["),
            ("exclusiveMinimum", True),
        ]
    )
    right = [st.tuples(st.just(keyword), values) for keyword, values in table.items()]
    return st.lists(st.one_of(*right, *right, wrong), max_size=3).map(dict)


SCHEMAS = st.builds(
    lambda schema, definitions, draft: {
        **schema,
        **({"definitions": definitions} if definitions else {}),
        **({"$schema": draft} if draft else {}),
    },
    st.recursive(keywords(st.just({})), keywords, max_leaves=4),
    st.dictionaries(st.sampled_from(["a", "b"]), keywords(st.just({})), max_size=2),
    st.sampled_from(DRAFTS),
)
VALUES = st.recursive(
    SCALARS,
    lambda children: (
        st.lists(children, max_size=3)
        | st.dictionaries(
            st.sampled_from(["a", "b", "é", "\ufffd", "\ud800"]) | st.just(1), children, max_size=2
        )
        | st.lists(children, max_size=2).map(tuple)
    ),
    max_leaves=5,
)


def verdict(validate: Any, value: Any, schema: Any) -> Any:
    """What it raised, by kind; None for a yes."""
    try:
        validate(value, schema)
    except Exception as exc:  # noqa: BLE001 - the kind of it is the result
        return type(exc)
    return None


@settings(max_examples=1500, deadline=None)
@given(schema=SCHEMAS, value=VALUES)
@example(schema={"$schema": DRAFT_4, "type": "integer"}, value=1.0)
@example(schema={"type": "integer"}, value=1.0)
@example(schema={"type": "array"}, value=(1,))
@example(schema={"enum": [10**30]}, value=1e30)
@example(schema={"uniqueItems": True}, value=[2**64, float(2**64)])
@example(schema={"uniqueItems": True}, value=[True, 1])
@example(schema={"pattern": "^a$"}, value="a\n")
@example(schema={"not": {"pattern": r"^\d$"}}, value="٣")
@example(schema={"oneOf": [{"type": "number"}, {}]}, value=float("nan"))
@example(schema={"pattern": r"\p{L}"}, value="a")
@example(schema={"$ref": "#"}, value=1)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_verdict_is_that_of_jsonschema(schema: Any, value: Any) -> None:
    schemas._compiled.clear()
    assert verdict(schemas.validate, value, schema) is verdict(jsonschema.validate, value, schema)


@settings(deadline=None)
@given(
    pattern=st.from_regex(agreement._SAFE_PATTERN, fullmatch=True),
    value=st.text(st.sampled_from("aZ09 _/:@,.=-\n\r\u2028é٣\u0301\x1c"), max_size=4),
)
def test_expressions_that_are_called_safe_match_no_more_than_in_python(pattern: str, value: str) -> None:
    schema = {"properties": {"a": {"pattern": pattern}}}
    assert verdict(schemas.validate, {"a": value}, schema) is verdict(
        jsonschema.validate, {"a": value}, schema
    )


class Colour(enum.Enum):
    """An enumeration whose values are strings, but whose members are not."""

    RED = "red"


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        ((1, 2), {"type": "array"}),
        ({"a": (1,)}, {"properties": {"a": {"type": "array"}}}),
        (Colour.RED, {"type": "string"}),
        (decimal.Decimal(1), {"type": "integer"}),
        (b"x", {"type": "string"}),
        (float("nan"), {"type": "number", "not": {"minimum": 0}}),
        ({1: 2}, {"type": "object"}),
        ({1: 2}, {"additionalProperties": False}),
    ],
)
def test_values_that_the_fast_validator_takes_for_something_else(value: Any, schema: Any) -> None:
    assert verdict(schemas.validate, value, schema) is verdict(jsonschema.validate, value, schema)


def test_an_invalid_value_raises_the_error_of_jsonschema_itself() -> None:
    with pytest.raises(jsonschema.ValidationError, match="1 is not of type 'string'") as caught:
        schemas.validate({"a": 1}, {"properties": {"a": {"type": "string"}}})
    assert list(caught.value.absolute_path) == ["a"]


@pytest.mark.parametrize(
    "schema", [{"type": "thing"}, {"$schema": DRAFT_4, "required": []}, {"enum": 5}, {"pattern": "["}]
)
def test_a_schema_that_is_none_raises_a_schema_error(schema: Any) -> None:
    with pytest.raises(jsonschema.SchemaError):
        schemas.validate({}, schema)


def test_without_a_draft_the_newest_counts_as_in_jsonschema() -> None:
    exclusive = {"properties": {"a": {"exclusiveMinimum": 1}}}
    with pytest.raises(jsonschema.ValidationError, match="less than or equal"):
        schemas.validate({"a": 1}, exclusive)
    with pytest.raises(jsonschema.SchemaError):
        schemas.validate({"a": 1}, {"properties": {"a": {"minimum": 1, "exclusiveMinimum": True}}})


def test_formats_are_not_checked() -> None:
    schemas.validate("yesterday", {"type": "string", "format": "date-time"})


def test_a_schema_is_compiled_once_and_told_from_its_equal() -> None:
    schema, equal = {"type": "object"}, {"type": "object"}
    schemas._compiled.clear()
    schemas.validate({}, schema)
    schemas.validate({}, schema)
    schemas.validate({}, equal)
    assert {id(schema), id(equal)} == set(schemas._compiled)


def test_the_cache_is_bounded() -> None:
    for number in range(schemas.CACHE_SIZE + 10):
        schemas.validate({}, {"description": str(number)})
    assert 0 < len(schemas._compiled) <= schemas.CACHE_SIZE


def test_a_value_that_contains_itself_does_not_hang() -> None:
    circle: list[Any] = []
    circle += [circle, circle]
    schemas.validate(circle, {"type": "array"})


def test_jsonschema_is_imported_only_to_say_no() -> None:
    code = (
        "import sys\n"
        "from fedora_messaging import schemas\n"
        "assert 'jsonschema_rs' not in sys.modules\n"
        "schemas.validate({'topic': 't', 'body': {}}, schemas.SERIALIZED_MESSAGE)\n"
        "assert 'jsonschema' not in sys.modules and 'jsonschema_rs' in sys.modules\n"
        "try: schemas.validate({}, schemas.SERIALIZED_MESSAGE)\n"
        "except Exception as exc: assert type(exc).__module__ == 'jsonschema.exceptions', exc\n"
        "else: raise SystemExit('accepted')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("schema", [schemas.HEADERS, schemas.BODY, schemas.SERIALIZED_MESSAGE])
def test_the_schemas_of_every_message_are_of_those_that_are_fast(schema: Any) -> None:
    assert agreement.agrees(schema)
