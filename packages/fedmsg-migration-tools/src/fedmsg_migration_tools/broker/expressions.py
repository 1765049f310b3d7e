# SPDX-License-Identifier: MIT
r"""Lists of topics and names as the regular expressions by which RabbitMQ permits, and back. Pure.

RabbitMQ matches with PCRE, byte by byte, anywhere in the text unless told otherwise. What follows from that:

* ``\A`` and ``\z`` are the ends: ``$`` would also match before a newline at the end.
* ``.`` would not match a newline: ``(?s)``.
* ``{username}``, ``{vhost}`` and ``{client_id}`` in a topic permission are replaced: braces are escaped.
* An empty expression means ``^$`` to RabbitMQ, which the empty topic matches: an empty list is :data:`NOTHING`.
* Whoever makes PCRE try too much is refused, silently. What stands between two ``#`` is looked for at its first place
  and never again, ``(?>…)``: what the last ``#`` takes in is open, so that a later place can never do better.

The meaning of the patterns is that of :mod:`fedora_messaging.topics`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = [
    "ALL",
    "NOTHING",
    "UUID",
    "bindings_of",
    "for_python",
    "longest",
    "names_of",
    "normal",
    "of_bindings",
    "of_names",
    "of_topics",
    "topics_of",
]

#: Matches no text at all.
NOTHING = "(?!)"
#: What RabbitMQ's own tools write for everything.
ALL = ".*"
#: In a list of names: what ``uuid.uuid4()`` gives, by which clients call queues that only they know.
UUID = "{uuid}"

_ONE, _ANY = "*", "#"
_OPENING, _CLOSING = r"(?s)\A(?:", r")\z"
_PLAIN = re.compile(r"[A-Za-z0-9_/:@,;!%&'\"<>=~`-]|[^\x00-\x7f]")

# The words of a topic, and of a binding's pattern where the list says ``*``: any but ``#``.
_WORD = r"[^.]*"
_BOUND_WORD = r"(?!#(?:\.|\z))[^.]*"
_BOUND_WORD_OF_RUN = r"(?:#\.)*" + _BOUND_WORD  # for ``*.#`` one may bind ``#.*`` too, which is the same
_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def of_topics(patterns: Iterable[str]) -> str:
    """What matches a topic if, and only if, one of the patterns does; for what may be published."""
    return _any_of(_of_pattern(_words(one), _WORD, _WORD) for one in patterns)


def of_bindings(patterns: Iterable[str]) -> str:
    """What matches the text of a binding's pattern if all that it lets through is let through by one of the patterns.

    For ``a.*`` these are ``a.b`` and ``a.*``, but not ``a.#``. The other direction has gaps: several patterns together
    may cover what none does alone, and words are compared in order.
    """
    return _any_of(_of_pattern(_words(one), _BOUND_WORD, _BOUND_WORD_OF_RUN) for one in patterns)


def of_names(globs: Iterable[str]) -> str:
    """What matches a name if, and only if, one of these does; ``*`` stands for any characters, :data:`UUID` for one."""
    return _any_of(_of_glob(one) for one in globs)


def topics_of(expression: str) -> tuple[str, ...] | None:
    """The patterns from which :func:`of_topics` made it; None for what it never makes."""
    return _back(expression, of_topics, lambda text: _pattern_of(text, _WORD))


def bindings_of(expression: str) -> tuple[str, ...] | None:
    """The patterns from which :func:`of_bindings` made it; None for what it never makes."""
    return _back(expression, of_bindings, lambda text: _pattern_of(text, _BOUND_WORD))


def names_of(expression: str) -> tuple[str, ...] | None:
    """The names from which :func:`of_names` made it; None for what it never makes."""
    return _back(expression, of_names, _glob_of)


def normal(pattern: str) -> str:
    """A pattern that matches the same: of neighbouring ``*`` and ``#``, the ``*`` first, then one ``#``."""
    return ".".join(_words(pattern))


def longest() -> int:
    """How many bytes an expression of topics may have so that PCRE compiles it; compiled it may have 64 kB."""
    return 24_000


def for_python(expression: str) -> str:
    r"""For :mod:`re`, which calls ``\Z`` what PCRE calls ``\z``."""
    return re.sub(r"\\(.)", lambda found: r"\Z" if found[1] == "z" else found[0], expression, flags=re.DOTALL)


# patterns of topics


def _words(pattern: str) -> list[str]:
    """The words, with each run of ``*`` and ``#`` in its one order."""
    result: list[str] = []
    pending = False
    for word in pattern.split(".") if pattern else ():
        if word == _ANY:
            pending = True
            continue
        if pending and word != _ONE:
            result.append(_ANY)
            pending = False
        result.append(word)
    return [*result, _ANY] if pending else result


def _of_pattern(words: Sequence[str], one: str, one_of_run: str) -> str:
    """One pattern, without the ends; ``one_of_run`` is for a ``*`` that a ``#`` follows."""
    parts = _split(words)
    *before, last = parts
    made = [_part(part, one, one_of_run) for part in before] + [_part(last, one, one)]
    first, *others = made
    if not others:
        return _not_empty(words) + r"\.".join(first)
    if not first:
        return _not_empty(words) + _after_any(others)
    return _not_empty(words) + r"\.".join(first) + _rest(others)


def _part(words: Sequence[str], one: str, one_of_run: str) -> list[str]:
    """Words without ``#``; ``one_of_run`` is for each ``*`` at their end."""
    found, run = [], True
    for word in reversed(words):
        run = run and word == _ONE
        found.append(one_of_run if run else one if word == _ONE else _escaped(word))
    return found[::-1]


def _split(words: Sequence[str]) -> list[list[str]]:
    """What stands between the ``#``."""
    parts: list[list[str]] = [[]]
    for word in words:
        if word == _ANY:
            parts.append([])
        else:
            parts[-1].append(word)
    return parts


def _not_empty(words: Sequence[str]) -> str:
    """One word is needed, and may be empty: the empty topic, which has none, would slip through."""
    return r"(?!\z)" if [word for word in words if word != _ANY] in ([_ONE], [""]) else ""


def _after_any(parts: Sequence[Sequence[str]]) -> str:
    """Behind a ``#`` that is the first word: words with their dots behind them."""
    first, *others = parts
    if not first and not others:
        return ".*"
    found = r"(?:[^.]*\.)*?" + r"\.".join(first)
    return r"(?>" + found + r"(?=\.|\z))" + _rest(others) if others else found


def _rest(parts: Sequence[Sequence[str]]) -> str:
    """Behind any other ``#``: words with their dots before them."""
    *between, last = ["".join(r"\." + word for word in part) for part in parts]
    found = "".join(r"(?>(?:\.[^.]*)*?" + part + r"(?=\.|\z))" for part in between)
    return found + (r"(?:\.[^.]*)*?" + last if last else r"(?:\..*)?")


# globs


def _of_glob(glob: str) -> str:
    first, *others = [
        _UUID.join(_escaped(text) for text in part.split(UUID))
        for part in re.sub(r"\*+", "*", glob).split("*")
    ]
    if not others:
        return first
    *between, last = others
    return first + "".join(f"(?>.*?{part})" for part in between) + ".*" + last


# both


def _any_of(alternatives: Iterable[str]) -> str:
    once = list(dict.fromkeys(alternatives))
    return _OPENING + "|".join(once) + _CLOSING if once else NOTHING


def _escaped(text: str) -> str:
    """Each character stands for itself; those that one does not see, by their number."""
    return "".join(
        one if _PLAIN.fullmatch(one) else f"\\x{ord(one):02x}" if one <= " " or one == "\x7f" else "\\" + one
        for one in text
    )


def _back(
    expression: str,
    forth: Callable[[Sequence[str]], str],
    one: Callable[[str], str],
) -> tuple[str, ...] | None:
    """What ``forth`` makes exactly this expression of."""
    if expression == NOTHING:
        return ()
    if not (expression.startswith(_OPENING) and expression.endswith(_CLOSING)):
        return None
    inner = expression[len(_OPENING) : -len(_CLOSING)]
    found = tuple(one(text) for text in _alternatives(inner))
    return found if forth(found) == expression else None


def _alternatives(inner: str) -> list[str]:
    """Split at the bars that stand outside of all parentheses."""
    found, depth, start = [], 0, 0
    tokens = re.finditer(r"\\.|\[[^]]*\]|.", inner, re.DOTALL)
    for token in tokens:
        depth += {"(": 1, ")": -1}.get(token[0], 0)
        if token[0] == "|" and depth == 0:
            found.append(inner[start : token.start()])
            start = token.end()
    return [*found, inner[start:]]


def _pattern_of(text: str, one: str) -> str:
    """The pattern, if this is one; anything otherwise, for it is compiled and compared."""
    text = text.removeprefix(r"(?!\z)")
    if text == ".*":
        return _ANY
    for made, meant in (
        (r"(?=\.|\z))", ""),
        (r"(?>(?:[^.]*\.)*?", "#."),
        (r"(?:[^.]*\.)*?", "#."),
        (r"(?>(?:\.[^.]*)*?", r"\.#"),
        (r"(?:\.[^.]*)*?", r"\.#"),
        (r"(?:\..*)?", r"\.#"),
        (r"(?:#\.)*", ""),
        (one, _ONE),
    ):
        text = text.replace(made, meant)
    return _unescaped(text)


def _glob_of(text: str) -> str:
    meant = {"(?>.*?": "*", ")": "", ".*": "*"}
    text = text.replace(_UUID, UUID)
    return re.sub(
        r"\\x..|\\.|\(\?>\.\*\?|\)|\.\*",
        lambda found: meant[found[0]] if found[0] in meant else _unescaped(found[0]),
        text,
        flags=re.DOTALL,
    )


def _unescaped(text: str) -> str:
    return re.sub(
        r"\\x([0-9a-f]{2})|\\(.)",
        lambda found: chr(int(found[1], 16)) if found[1] else found[2],
        text,
        flags=re.DOTALL,
    )
