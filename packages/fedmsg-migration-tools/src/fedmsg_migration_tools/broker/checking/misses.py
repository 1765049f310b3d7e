# SPDX-License-Identifier: MIT
"""Examples of what a pattern lets through, and of what it just does not. Pure.

Each near miss stands for a mistake that is easily made in a regular expression: no anchor, a dot that is not escaped,
an end that a newline passes, case that is ignored, a wildcard that is too wide. Some are allowed after all, by another
pattern: whoever asks has to decide that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from fedora_messaging.topics import matches

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["instance", "names", "near", "spread", "topics", "wider"]

T = TypeVar("T")

WORD = "check"
UUID = "{uuid}"  # in a name of the file: what uuid4() gives
SOME_UUID = "c4ec6c4e-b40e-4a4e-9c4e-0123456789ab"
LONGEST = 255  # bytes of a topic: AMQP 0.9.1, a short string
ENVIRONMENTS = ("prod", "stg", "dev")  # Fedora's, the second or third word of a topic


def spread(items: Sequence[T], most: int) -> list[T]:
    """So many of them at most, from the first to the last."""
    if len(items) <= most:
        return list(items)
    return [items[n * (len(items) - 1) // (most - 1)] for n in range(most)]


def topics(pattern: str) -> list[str]:
    """Topics that a binding with ``pattern`` lets through; one for each number of words up to two for its ``#``."""
    found = [_filled(pattern, number) for number in (1, 0, 2)]
    # A topic that is empty has no words at all, not one that is empty.
    return _short(dict.fromkeys(topic for topic in found if matches(pattern, topic)))


def near(pattern: str) -> list[str]:
    """Topics that are nearly those of ``pattern``."""
    words = _filled(pattern, 1).split(".")
    topic = ".".join(words)
    found = [f"{topic}.{WORD}", ".".join(words[:-1]), f"{topic}.", f".{topic}", f"{topic}\n", f"x{topic}"]
    for at, word in enumerate(words):
        others = [f"{word}x", f"x{word}", word.swapcase(), *_environments(word)]
        found += [".".join((*words[:at], other, *words[at + 1 :])) for other in others]
    found += ["x".join((".".join(words[:at]), ".".join(words[at:]))) for at in range(1, len(words))]
    return _short(dict.fromkeys(found))


def wider(pattern: str) -> list[str]:
    """Patterns that let through more than ``pattern`` does, or something else."""
    words = pattern.split(".")
    found = [f"{pattern}.#", f"{pattern}.*", ".".join((*words[:-1], "#")), f"#.{pattern}"]
    for at, word in enumerate(words):
        others = ["*", "#"] if word not in {"*", "#"} else ["#"]
        found += [".".join((*words[:at], other, *words[at + 1 :])) for other in others]
    return _short(dict.fromkeys((*found, *near(pattern)[:3])))


def instance(glob: str) -> str:
    """A name that ``glob`` means."""
    return glob.replace("*", f"{WORD}-broker").replace(UUID, SOME_UUID)


def names(glob: str) -> list[str]:
    """Names that are nearly those of ``glob``."""
    name = instance(glob)
    found = [f"{name}x", f"x{name}", name.swapcase(), name.replace(".", "x"), name[1:], name[:-1]]
    found += [name.replace(SOME_UUID, WORD)] if UUID in glob else []
    return [
        one
        for one in dict.fromkeys(found)
        if one and not one.startswith("amq.") and len(one.encode()) <= LONGEST
    ]


def _environments(word: str) -> list[str]:
    return [other for other in ENVIRONMENTS if other != word] if word in ENVIRONMENTS else []


def _filled(pattern: str, number: int) -> str:
    """The pattern with words for its wildcards, so many for each ``#``."""
    filled = {"*": [WORD], "#": [WORD] * number}
    words = [part for word in pattern.split(".") for part in filled.get(word, [word])]
    return ".".join(words)


def _short(found: dict[str, None]) -> list[str]:
    return [topic for topic in found if len(topic.encode()) <= LONGEST]
