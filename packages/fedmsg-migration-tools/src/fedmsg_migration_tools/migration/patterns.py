# SPDX-License-Identifier: MIT
"""Questions about the patterns of a topic exchange that no topic needs to be known for. Pure.

What a pattern means, and whether it matches a topic, is in :mod:`fedora_messaging.topics`. Here a pattern is an
automaton over words: it stands before one of its own words, or behind the last; before a ``#`` it may also go on
without a word. Topics may have any words, so what a wildcard takes is always thought of as a word that no pattern has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

__all__ = ["APPLICATION", "application", "covers", "intersect", "of_application", "topic", "within"]

ONE = "*"
ANY = "#"
APPLICATION = 3  # the index of the word that names the application: org.fedoraproject.prod.bodhi.…

_STEPS = 20_000  # a pattern of 255 bytes could be made to take very long; beyond this nothing is said

_State = frozenset[tuple[int, int]]  # (pattern, position)


def words(pattern: str) -> list[str]:
    """The words; the empty text has none (RabbitMQ's reading)."""
    return pattern.split(".") if pattern else []


def topic(pattern: str) -> str:
    """A topic that the pattern matches, with words that others match by their wildcards only."""
    return ".".join("\0" if word == ONE else word for word in words(pattern) if word != ANY)


def covers(general: Collection[str], special: str) -> bool:
    """Whether each topic that ``special`` matches is matched by at least one of ``general``.

    Exact, but for patterns made to be hard, of which it says False.
    """
    many = [words(pattern) for pattern in general]
    one = words(special)
    start = _settled(many, ((number, 0) for number in range(len(many))))
    waiting: list[tuple[int, _State]] = [(0, start)]
    seen = set(waiting)
    while waiting:
        at, state = waiting.pop()
        if at == len(one) and not any(position == len(many[number]) for number, position in state):
            return False
        for following in _steps(one, at, state, many):
            if following not in seen:
                seen.add(following)
                waiting.append(following)
        if len(seen) > _STEPS:
            return False
    return True


def _steps(one: list[str], at: int, state: _State, many: list[list[str]]) -> Iterator[tuple[int, _State]]:
    """Where one word more of a topic, or none for a ``#``, leads."""
    if at == len(one):
        return
    word = one[at]
    if word == ANY:
        yield at + 1, state
    moved = _settled(many, _taken(many, state, None if word in {ANY, ONE} else word))
    yield (at if word == ANY else at + 1), moved


def _taken(many: list[list[str]], state: _State, word: str | None) -> Iterator[tuple[int, int]]:
    """After one word; None is a word that no pattern has."""
    for number, position in state:
        if position < len(many[number]):
            here = many[number][position]
            if here == ANY:
                yield number, position
            elif here in {ONE, word}:
                yield number, position + 1


def _settled(many: list[list[str]], places: Iterable[tuple[int, int]]) -> _State:
    """These, and those behind their ``#``."""
    found: set[tuple[int, int]] = set()
    for number, start in places:
        position = start
        found.add((number, position))
        while position < len(many[number]) and many[number][position] == ANY:
            position += 1
            found.add((number, position))
    return frozenset(found)


def intersect(one: str, other: str) -> bool:
    """Whether some topic is matched by both."""
    left, right = words(one), words(other)
    waiting, seen = [(0, 0)], {(0, 0)}
    while waiting:
        i, j = waiting.pop()
        if (i, j) == (len(left), len(right)):
            return True
        for following in _together(left, right, i, j):
            if following not in seen:
                seen.add(following)
                waiting.append(following)
    return False


def _together(left: list[str], right: list[str], i: int, j: int) -> Iterator[tuple[int, int]]:
    here = left[i] if i < len(left) else None
    there = right[j] if j < len(right) else None
    if here == ANY:
        yield i + 1, j
    if there == ANY:
        yield i, j + 1
    if here is None or there is None:
        return
    if ANY in {here, there} or ONE in {here, there} or here == there:
        yield i + (here != ANY), j + (there != ANY)


def application(pattern: str) -> str | None:
    """The application that all topics of a pattern are of; None when they may be of several."""
    first = words(pattern)[: APPLICATION + 1]
    if len(first) <= APPLICATION or ANY in first or first[APPLICATION] == ONE:
        return None
    return first[APPLICATION]


def of_application(name: str) -> str:
    """The pattern of all topics of an application."""
    return ".".join([*[ONE] * APPLICATION, name, ANY])


def within(pattern: str, name: str) -> str | None:
    """The part of a pattern that is of one application; None where that is no single pattern, or is empty."""
    if not intersect(pattern, of_application(name)):
        return None
    parts = words(pattern)
    if ANY in parts[: APPLICATION + 1]:
        first = parts.index(ANY)
        if first != len(parts) - 1:
            return None
        return ".".join([*parts[:first], *[ONE] * (APPLICATION - first), name, ANY])
    return ".".join([*parts[:APPLICATION], name, *parts[APPLICATION + 1 :]])
