# SPDX-License-Identifier: MIT
"""Against every topic of a few words, which is what the functions do without."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmsg_migration_tools.migration import patterns
from fedora_messaging.topics import matches

# "z" is in no pattern: what a wildcard alone takes.
TOPICS = [".".join(words) for length in range(6) for words in product("abz", repeat=length)]
PATTERNS = st.lists(st.sampled_from(["a", "b", "*", "#"]), max_size=4).map(".".join)


@settings(max_examples=400, deadline=None)
@given(st.lists(PATTERNS, max_size=3), PATTERNS)
def test_covering_is_what_every_topic_says(general: list[str], special: str) -> None:
    # Five words are enough: a topic of at most four that is missed by all could be made from any longer one.
    meant = all(any(matches(one, topic) for one in general) for topic in TOPICS if matches(special, topic))
    assert patterns.covers(general, special) == meant


@settings(max_examples=400, deadline=None)
@given(PATTERNS, PATTERNS)
def test_two_patterns_meet_where_a_topic_matches_both(one: str, other: str) -> None:
    # Patterns of four words each may need eight.
    longer = [".".join(words) for length in range(9) for words in product("ab", repeat=length)]
    meant = any(matches(one, topic) and matches(other, topic) for topic in longer)
    assert patterns.intersect(one, other) == meant


def test_a_pattern_made_to_be_hard_is_given_up_soon() -> None:
    hard = ".".join(["#", "*", "a"] * 40)
    assert patterns.covers([hard], ".".join(["#", "a", "*"] * 40)) in {True, False}


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        ("org.fedoraproject.prod.bodhi.#", "bodhi"),
        ("*.*.*.bodhi.update.*", "bodhi"),
        ("org.fedoraproject.*.bodhi", "bodhi"),
        ("org.fedoraproject.prod.*.#", None),
        ("org.fedoraproject.#.bodhi.x", None),
        ("#", None),
        ("org.fedoraproject", None),
        ("", None),
    ],
)
def test_the_fourth_word_names_the_application(pattern: str, meant: str | None) -> None:
    assert patterns.application(pattern) == meant


@pytest.mark.parametrize(
    ("pattern", "part"),
    [
        ("#", "*.*.*.bodhi.#"),
        ("org.fedoraproject.#", "org.fedoraproject.*.bodhi.#"),
        ("org.fedoraproject.prod.*.update.*", "org.fedoraproject.prod.bodhi.update.*"),
        ("org.fedoraproject.prod.bodhi.#", "org.fedoraproject.prod.bodhi.#"),
        ("org.fedoraproject.prod.koji.#", None),
        ("#.update", None),
        ("org.fedoraproject", None),
    ],
)
def test_the_part_of_a_pattern_that_is_of_one_application(pattern: str, part: str | None) -> None:
    assert patterns.within(pattern, "bodhi") == part
