# SPDX-License-Identifier: MIT
"""JSON as strangers write it: texts, not values, so that blanks, escapes, duplicate keys and odd numbers occur."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import strategies as st

#: Real messages of Fedora's bus: the text of each envelope.
REAL = (Path(__file__).parents[4] / "tests" / "data" / "real-fedmsg-messages.jsonl").read_bytes().splitlines()

_blanks = st.sampled_from(["", "", "", " ", "\n", "\t", " \r\n"])
_numbers = st.one_of(
    st.integers().map(str),
    st.integers(-(2**70), 2**70).map(str),
    st.floats().map(json.dumps),
    st.sampled_from(
        ["-0", "-0.0", "1E5", "1e-400", "1e400", "0.10", "1" * 300, "NaN", "Infinity", "-Infinity"]
    ),
)
_characters = st.text(
    st.one_of(st.characters(), st.sampled_from('"\\/\0\x1f\x7fé€😀\ud800\udfff')), max_size=12
)


@st.composite
def strings(draw: st.DrawFn, characters: st.SearchStrategy[str] = _characters) -> str:
    """A string, each character of it as it is, or escaped."""
    parts = []
    for character in draw(characters):
        escaped = json.dumps(character)[1:-1]
        if escaped == character and draw(st.integers(0, 9)) == 0:
            escaped = f"\\u{ord(character):04X}"
        can_stand = character.isprintable() and character not in '"\\'
        parts.append(character if can_stand and draw(st.booleans()) else escaped)
    return '"' + "".join(parts) + '"'


@st.composite
def arrays(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    return (
        "[" + draw(_blanks) + ",".join(_padded(draw, one) for one in draw(st.lists(values, max_size=4))) + "]"
    )


@st.composite
def objects(
    draw: st.DrawFn, values: st.SearchStrategy[str], keys: st.SearchStrategy[str] | None = None
) -> str:
    pairs = draw(st.lists(st.tuples(strings() if keys is None else keys, values), max_size=5))
    return join(draw, pairs)


def join(draw: st.DrawFn, pairs: list[tuple[str, str]]) -> str:
    """An object of these texts of keys and values."""
    inner = ",".join(f"{_padded(draw, key)}:{_padded(draw, value)}" for key, value in pairs)
    return "{" + (inner or draw(_blanks)) + "}"


def _padded(draw: st.DrawFn, text: str) -> str:
    return draw(_blanks) + text + draw(_blanks)


#: The text of any JSON value.
texts = st.recursive(
    st.one_of(st.sampled_from(["null", "true", "false"]), _numbers, strings()),
    lambda inner: arrays(inner) | objects(inner),
    max_leaves=12,
)

_KNOWN = (
    "topic", "msg", "msg_id", "timestamp", "i", "username", "headers", "crypto", "signature", "certificate", "seq_id",
    "source_name", "source_version", "link", "username ", "sent-at",
)  # fmt: skip
_HEADERS = (
    "fedora_messaging_schema", "fedora_messaging_schema_package", "fedora_messaging_severity", "sent-at", "priority",
    "fedora_messaging_user_ralph", "fedmsg_bridge", "fedmsg_extra", "fedmsg_timestamp", "CC", "x-death", "", "é" * 128,
)  # fmt: skip
_sent_at = st.sampled_from(
    [
        '"2019-07-30T19:12:22+00:00"',
        '"2019-07-30T21:12:22+02:00"',
        '"yesterday"',
        '"0001-01-01T00:00:00+23:00"',
    ]
)
_timestamps = st.one_of(
    st.integers(-62_135_596_801, 253_402_300_801).map(str),
    st.floats(-1e11, 1e12).map(json.dumps),
    st.sampled_from(
        ["1564513942", "1564513942.25", "true", "1e300", "-1", "-1.5", "-62135596800", "null", '"1"']
    ),
)
_headers = objects(
    st.one_of(
        texts,
        _sent_at,
        st.sampled_from(["10", "30", "true", "20.0", '"base.message"', '"' + "a" * 300 + '"']),
    ),
    st.one_of(st.sampled_from(_HEADERS).map(json.dumps), strings()),
)


@st.composite
def envelopes(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """The two frames of a message that can be bridged, whatever else is wrong with it."""
    topic = draw(
        st.one_of(st.just("org.example.prod.shop"), st.text(st.characters(codec="utf-8"), max_size=60))
    )
    topic = topic.replace("\0", "")
    keys = st.one_of(st.sampled_from(_KNOWN).map(json.dumps), strings())
    likely = {
        "topic": st.just(json.dumps(topic)),
        "timestamp": _timestamps,
        "headers": _headers,
        "msg_id": st.sampled_from(['"2019-1fe3e85a"', '""', '"\\u0000"', '"' + "é" * 150 + '"']),
        "i": st.integers(-5, 2**65).map(str),
    }
    pairs = [(json.dumps(key), draw(value | texts)) for key, value in likely.items() if draw(st.booleans())]
    pairs += draw(st.lists(st.tuples(keys, texts), max_size=4))
    pairs.append(('"msg"', draw(objects(texts))))
    return topic.encode(), join(draw, pairs).encode()
