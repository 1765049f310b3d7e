# SPDX-License-Identifier: MIT
"""Topics and the patterns that match them, with the semantics of an AMQP topic exchange. Pure.

A topic is words separated by dots; a word may be empty. In a pattern, ``*`` stands for exactly one word and
``#`` for any number of them, none included (AMQP 0.9.1, 3.1.3.3). The empty topic has no words at all, and
only as whole words are ``*`` and ``#`` special: RabbitMQ's reading, which the tests compare with a real one.
"""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")

_ONE = "*"
_ANY = "#"


def matches(pattern: str, topic: str) -> bool:
    """Whether a binding with ``pattern`` lets a message with ``topic`` through."""
    bindings: Bindings[None] = Bindings()
    bindings.add(pattern, None)
    return bool(bindings.match(topic))


class Bindings(Generic[T]):
    """Many patterns, each with a target; finds the targets of a topic without trying each pattern.

    The patterns are a trie of words, as in RabbitMQ. A target may have several patterns, and is found once.
    """

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()

    def add(self, pattern: str, target: T) -> None:
        """Bind ``target`` to ``pattern``; again is the same as once."""
        node = self._root
        for word in _words(pattern):
            node = node.next.setdefault(word, _Node(word))
        node.targets[target] = None

    def remove(self, pattern: str, target: T) -> None:
        """Undo :meth:`add`; what was not added is not missed."""
        path = [self._root]
        words = _words(pattern)
        for word in words:
            node = path[-1].next.get(word)
            if node is None:
                return
            path.append(node)
        path[-1].targets.pop(target, None)
        for word, parent, node in zip(reversed(words), path[-2::-1], path[:0:-1], strict=True):
            if node.targets or node.next:
                break
            del parent.next[word]

    def match(self, topic: str) -> set[T]:
        """All targets with a pattern that matches ``topic``."""
        nodes = _with_any({self._root})
        for word in _words(topic):
            nodes = _with_any(_step(nodes, word))
        return {target for node in nodes for target in node.targets}


class _Node(Generic[T]):
    """Where the words of a pattern lead to. Compared by identity."""

    __slots__ = ("is_any", "next", "targets")

    def __init__(self, word: str = "") -> None:
        self.is_any = word == _ANY
        self.next: dict[str, _Node[T]] = {}
        self.targets: dict[T, None] = {}


def _words(text: str) -> list[str]:
    return text.split(".") if text else []


def _step(nodes: set[_Node[T]], word: str) -> set[_Node[T]]:
    """Where one more word of a topic leads; what was entered by ``#`` may take it and stay."""
    found = {node for node in nodes if node.is_any}
    for node in nodes:
        for key in (word, _ONE):
            following = node.next.get(key)
            if following is not None and not following.is_any:
                found.add(following)
    return found


def _with_any(nodes: set[_Node[T]]) -> set[_Node[T]]:
    """The nodes, and those behind their ``#``, which may stand for no word."""
    waiting = list(nodes)
    while waiting:
        following = waiting.pop().next.get(_ANY)
        if following is not None and following not in nodes:
            nodes.add(following)
            waiting.append(following)
    return nodes
