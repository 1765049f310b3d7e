# SPDX-License-Identifier: MIT
"""Lists become expressions: what they permit is asked of a real broker, and of Python for many more."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

import pika
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fedmsg_migration_tools.broker import expressions, names
from fedmsg_migration_tools.migration import patterns as covering
from fedora_messaging.topics import matches

from .permitting import Judge, judge

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fedora_messaging.private_node import PrivateNode

ODD = [
    "{username}",
    "{vhost}",
    "{client_id}",
    "{",
    "é",
    "日本",
    "a\n",
    "\n",
    " ",
    "\\z",
    "\\",
    "$",
    "^",
    "(",
    "[a]",
    "a|b",
]
ODD += ["x#", "*y", "a{2}", "\x00", "\x7f", "&", "-", "--", "~", "'", '"', "ab", "A"]
WORDS = st.sampled_from(["a", "b", "", "*", "#", "*", "#"]) | st.sampled_from(ODD)
PATTERNS = st.lists(WORDS, max_size=5).map(".".join)
TOPIC_WORDS = st.sampled_from([b"a", b"b", b"", b"*", b"#", b"ab", b"A"]) | st.one_of(
    st.sampled_from(ODD).map(str.encode), st.sampled_from([b"\xff", b"\xc3", b"a\r\n"])
)
TOPICS = st.lists(TOPIC_WORDS, max_size=5).map(b".".join)
LISTS = st.lists(PATTERNS, max_size=4)
SLOW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def text(topic: bytes) -> str:
    """Bytes as a text that no pattern equals unless its bytes are the same."""
    return topic.decode(errors="surrogateescape")


def python(expression: str) -> re.Pattern[bytes]:
    """For Python, byte by byte, as RabbitMQ matches."""
    return re.compile(expressions.for_python(expression).encode())


@pytest.fixture(scope="module")
def broker(rabbitmq: PrivateNode) -> Iterator[Judge]:
    with judge(rabbitmq) as one:
        yield one


# topics


@given(LISTS, TOPICS)
@example([], b"")
@example(["#"], b"")
@example(["*.#"], b"")
@example(["#."], b"")
@example([".#"], b"")
@example(["a"], b"a\n")
@example(["{username}"], b"user")
def test_a_topic_is_allowed_if_a_pattern_matches(patterns: list[str], topic: bytes) -> None:
    allowed = python(expressions.of_topics(patterns)).search(topic) is not None
    assert allowed == any(matches(one, text(topic)) for one in patterns)


def test_so_for_all_short_ones() -> None:
    topics = {".".join(words) for n in range(5) for words in itertools.product(["a", "", "b"], repeat=n)}
    for length in range(5):
        for words in itertools.product(["a", "", "*", "#"], repeat=length):
            pattern = ".".join(words)
            compiled = python(expressions.of_topics([pattern]))
            for topic in topics:
                assert bool(compiled.search(topic.encode())) == matches(pattern, topic), (pattern, topic)


@SLOW
@given(st.lists(st.tuples(LISTS, st.lists(TOPICS, min_size=5, max_size=15)), min_size=10, max_size=25))
def test_a_real_broker_allows_the_same_topics(
    broker: Judge, asked: list[tuple[list[str], list[bytes]]]
) -> None:
    near = [(patterns, [*topics, *(one.encode() for one in patterns)]) for patterns, topics in asked]
    said = broker.publishes((expressions.of_topics(patterns), topics) for patterns, topics in near)
    assert said == [
        [any(matches(one, text(topic)) for one in patterns) for topic in topics] for patterns, topics in near
    ]


@settings(SLOW, max_examples=10)
@given(LISTS, st.lists(TOPICS, min_size=10, max_size=20, unique=True))
def test_and_lets_them_be_published(
    rabbitmq: PrivateNode, broker: Judge, patterns: list[str], topics: list[bytes]
) -> None:
    broker.named([(expressions.ALL, [])])
    broker.publishes([(expressions.of_topics(patterns), [])])
    topics = [topic for topic in topics if topic.isascii()]  # more pika cannot send
    published = _published(rabbitmq, broker, [text(topic) for topic in topics])
    assert published == [
        text(topic) for topic in topics if any(matches(one, text(topic)) for one in patterns)
    ]


def _published(node: PrivateNode, broker: Judge, topics: Sequence[str]) -> list[str]:
    """Those of the topics that the broker confirms, each tried on a channel of its own."""
    parameters = pika.URLParameters(node.url_of(broker.vhost))
    parameters.credentials = pika.PlainCredentials(broker.user, "x")
    done = []
    with pika.BlockingConnection(parameters) as connection:
        for topic in topics:
            channel = connection.channel()
            channel.confirm_delivery()
            try:
                channel.basic_publish("amq.topic", topic, b"")
            except pika.exceptions.ChannelClosedByBroker as refused:
                if refused.reply_code != 403:
                    raise
            else:
                done.append(topic)
                channel.close()
    return done


def test_an_empty_list_allows_nothing(broker: Judge) -> None:
    topics = [b"", b"\n", b"a", b"#"]
    assert broker.publishes([(expressions.of_topics([]), topics)]) == [[False] * 4]
    assert broker.named([(expressions.of_names([]), [b"\n", b"a"])]) == [[False] * 2]
    assert broker.publishes([("", topics)]) == [[True, True, False, False]]  # why it is not empty


def test_many_hashes_are_no_reason_to_refuse(broker: Judge) -> None:
    hard, topic = ".".join(["#", "a"] * 60 + ["b"]), ".".join(["a"] * 127).encode()
    topics = [".".join(["a"] * 125 + ["b"]).encode(), topic, ("a." * 60 + "b").encode()]
    assert broker.publishes([(expressions.of_topics([hard]), topics)]) == [[True, False, True]]
    # PCRE gives up on the whole expression, not on one alternative.
    expression = expressions.of_topics([hard, "a.#"])
    assert broker.publishes([(expression, [topic])]) == [[True]]
    assert broker.publishes([(expression.replace("(?>", "(?:"), [topic])]) == [[False]]
    stars = "#." + "*." * 100 + "#.b"
    topics = [("." * 100 + "b").encode(), ("." * 99 + "b").encode(), b"." * 254]
    assert broker.publishes([(expressions.of_topics([stars]), topics)]) == [[True, False, False]]


def test_a_long_list_is_compiled(broker: Judge) -> None:
    patterns = [f"org.fedoraproject.prod.application-{n}.#.*.{'x' * 20}.{n}.#" for n in range(200)]
    topics = [f"org.fedoraproject.prod.application-{n}.{'x' * 20}.{n}".encode() for n in (0, 199)]
    topics += [f"org.fedoraproject.prod.application-{n}.y.{'x' * 20}.{n}".encode() for n in (0, 199)]
    expression = expressions.of_topics(patterns)
    assert 20_000 < len(expression) < expressions.longest()
    assert broker.publishes([(expression, topics)]) == [[False, False, True, True]]


@pytest.mark.parametrize(
    "pattern", ["{}", "é{}", "{}.#.a.#.b", "#.a.#.{}", "*.*.*.{}", "org.fedoraproject.prod.{}.#"]
)
def test_the_longest_is_compiled(rabbitmq: PrivateNode, pattern: str) -> None:
    for made in (expressions.of_topics, expressions.of_bindings):
        patterns: list[str] = []
        while len(made([*patterns, pattern]).encode()) < expressions.longest() - 10:
            patterns += [pattern.format(len(patterns) + n) for n in range(20)]
        while len(expression := made(patterns)) > expressions.longest():
            patterns.pop()
        assert (
            rabbitmq.evaluate(f"element(1, re:compile(<<{','.join(map(str, expression.encode()))}>>))")
            == "ok"
        )


# bindings


@given(LISTS.filter(bool), PATTERNS)
def test_a_binding_that_is_allowed_lets_through_only_what_is_listed(patterns: list[str], bound: str) -> None:
    if python(expressions.of_bindings(patterns)).search(bound.encode()):
        assert covering.covers(patterns, bound)


def test_so_for_all_short_bindings() -> None:
    texts = {".".join(words) for n in range(5) for words in itertools.product(["a", "", "*", "#"], repeat=n)}
    allowed = 0
    for pattern in texts:
        compiled = python(expressions.of_bindings([pattern]))
        for bound in texts:
            if compiled.search(bound.encode()):
                allowed += 1
                assert covering.covers([pattern], bound), (pattern, bound)
            else:
                # The gaps are where a # of the binding takes no word, or where words of a run change places.
                assert not covering.covers([pattern], bound) or "#" in bound, (pattern, bound)
    assert allowed > len(texts) * 5


@given(LISTS.filter(bool))
def test_what_is_listed_may_be_bound_as_it_is(patterns: list[str]) -> None:
    compiled = python(expressions.of_bindings(patterns))
    for pattern in patterns:
        assert compiled.search(pattern.encode())
        assert compiled.search(expressions.normal(pattern).encode())


@given(LISTS.filter(bool), TOPICS)
def test_a_topic_that_is_listed_may_be_bound(patterns: list[str], topic: bytes) -> None:
    words = text(topic).split(".")
    if "#" not in words and any(matches(one, text(topic)) for one in patterns):
        assert python(expressions.of_bindings(patterns)).search(topic)


@pytest.mark.parametrize(
    ("pattern", "allowed", "refused"),
    [
        ("a.*", ["a.b", "a.*", "a."], ["a.#", "#", "a", "a.b.c", "*.b", "*.*"]),
        ("a.#", ["a", "a.b", "a.*.c", "a.#", "a.#.b"], ["#", "*.b", "ab", "#.a"]),
        ("#", ["", "#", "a", "*.#.b"], []),
        ("*.#", ["a", "*", "#.*", "#.#.*", "*.#.*", "a.#"], ["#", ""]),
        ("a.*.#.b", ["a.x.b", "a.#.*.b", "a.*.*.b", "a.*.#.b"], ["a.#.b", "a.b"]),
        ("", [""], ["#", "a", "\n"]),
        ("{username}.#", ["{username}.x"], ["{vhost}.x", "x"]),
    ],
)
def test_a_real_broker_lets_bind(broker: Judge, pattern: str, allowed: list[str], refused: list[str]) -> None:
    asked = [(expressions.of_bindings([pattern]), [one.encode() for one in [*allowed, *refused]])]
    assert broker.binds(asked) == [[True] * len(allowed) + [False] * len(refused)]


@SLOW
@given(st.lists(st.tuples(LISTS, st.lists(PATTERNS, min_size=5, max_size=15)), min_size=10, max_size=25))
def test_a_real_broker_judges_bindings_as_python_does(
    broker: Judge, asked: list[tuple[list[str], list[str]]]
) -> None:
    compiled = [
        (expressions.of_bindings(patterns), [one.encode() for one in bound]) for patterns, bound in asked
    ]
    assert broker.binds(compiled) == [
        [python(expression).search(one) is not None for one in bound] for expression, bound in compiled
    ]


# names

NAME_PARTS = st.sampled_from(["a", "b", ".", "é", "\n", "|", "(", "{username}", "$", "\\", "?", "amq.", "-"])
GLOBS = st.lists(st.just("*") | NAME_PARTS, min_size=1, max_size=6).map("".join)
NAMES = st.lists(NAME_PARTS, min_size=1, max_size=6).map("".join)


def globbed(glob: str, name: str) -> bool:
    """The same by Python's own means."""
    return re.fullmatch(".*".join(map(re.escape, glob.split("*"))), name, re.DOTALL) is not None


@given(st.lists(GLOBS, max_size=4), NAMES)
def test_a_name_is_allowed_if_a_glob_matches(globs: list[str], name: str) -> None:
    wanted = any(globbed(one, name) for one in globs)
    assert (python(expressions.of_names(globs)).search(name.encode()) is not None) == wanted
    assert names.matches(globs, name) == wanted


@SLOW
@given(
    st.lists(
        st.tuples(st.lists(GLOBS, max_size=4), st.lists(NAMES, min_size=5, max_size=15)),
        min_size=10,
        max_size=25,
    )
)
def test_a_real_broker_allows_the_same_names(broker: Judge, asked: list[tuple[list[str], list[str]]]) -> None:
    said = broker.named(
        (expressions.of_names(globs), [one.encode() for one in many]) for globs, many in asked
    )
    assert said == [[any(globbed(one, name) for one in globs) for name in many] for globs, many in asked]


def test_uuids(broker: Judge) -> None:
    good = b"0a1b2c3d-0000-4000-8000-0123456789ab"
    bad = [good[:-1], good + b"0", good + b"\n", good.replace(b"a", b"g"), b"{uuid}", b"x-" + good]
    assert broker.named([(expressions.of_names([expressions.UUID]), [good, *bad])]) == [
        [True] + [False] * len(bad)
    ]
    assert broker.named([(expressions.of_names(["x-{uuid}"]), [b"x-" + good, good])]) == [[True, False]]


def test_many_stars_are_no_reason_to_refuse(broker: Judge) -> None:
    hard = "*a" * 100 + "b"
    assert broker.named([(expressions.of_names([hard]), [b"a" * 254 + b"b", b"a" * 255])]) == [[True, False]]
    expression = expressions.of_names([hard, "a*"])
    assert broker.named([(expression, [b"a" * 255])]) == [[True]]
    assert broker.named([(expression.replace("(?>", "(?:"), [b"a" * 255])]) == [[False]]


# the way back


@given(LISTS)
def test_topics_come_back(patterns: list[str]) -> None:
    once = tuple(dict.fromkeys(map(expressions.normal, patterns)))
    assert expressions.topics_of(expressions.of_topics(patterns)) == once
    assert expressions.bindings_of(expressions.of_bindings(patterns)) == once


@given(st.lists(GLOBS, max_size=4))
def test_names_come_back(globs: list[str]) -> None:
    once = tuple(dict.fromkeys(re.sub(r"\*+", "*", one) for one in globs))
    assert expressions.names_of(expressions.of_names(globs)) == once


@given(PATTERNS, TOPICS)
def test_a_pattern_and_its_normal_form_match_the_same(pattern: str, topic: bytes) -> None:
    assert matches(pattern, text(topic)) == matches(expressions.normal(pattern), text(topic))


@pytest.mark.parametrize(
    "expression",
    [
        "",
        ".*",
        "^$",
        "^a$",
        r"(?s)\A(?:a.b)\z",
        r"(?s)\A(?:a|)\z\z",
        r"(?s)\A(?:a+)\z",
        r"(?s)\A(?:(a)\z",
        r"(?s)\A(?:[a])\z",
    ],
)
def test_what_we_never_make_does_not_come_back(expression: str) -> None:
    assert expressions.topics_of(expression) is None
    assert expressions.bindings_of(expression) is None
    assert expressions.names_of(expression) is None
