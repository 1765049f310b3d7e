# SPDX-License-Identifier: MIT
"""What the broker answered, against what it should have: one line for what is right, one for each that is not. Pure."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from .findings import Finding, fail, ok, warn
from .questions import Action, Question

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from .asking import Answer

__all__ = ["judge", "of_login"]

MOST = 5  # wrong answers of one kind that are told in full
PLAN = "see what broker plan says, and apply the file"


def judge(answered: Iterable[tuple[Question, Answer]], how: str = "") -> Iterator[Finding]:
    """The findings, for each user and virtual host.

    ``how`` the answers were got, if not by asking as the user, goes into the lines.
    """
    for (user, vhost), group in groupby(answered, lambda pair: (pair[0].user, pair[0].vhost)):
        pairs = list(group)
        logins = [pair for pair in pairs if pair[0].action is Action.LOGIN]
        for asked, answer in logins:
            yield of_login(asked, answer, how)
        if all(answer.allowed and asked.allowed for asked, answer in logins):
            yield from _of_user(f"{user} in {vhost}", [pair for pair in pairs if pair not in logins], how)


def of_login(asked: Question, answer: Answer, how: str = "") -> Finding:
    """Whether a user gets into a virtual host exactly if the file lists him there."""
    who = f"{asked.user} in {asked.vhost}"
    if answer.allowed is None:
        return fail("login", f"{who}: {answer.text}", "")
    if answer.allowed == asked.allowed:
        return ok("login", f"{who}: {'gets in' if asked.allowed else 'is kept out'}{how}")
    if answer.allowed:
        return fail("login", f"{who}: gets in{how}, though the file does not list the user there", PLAN)
    return fail("login", f"{who}: is kept out{how} ({answer.text or 'no permissions'})", PLAN)


def _of_user(who: str, pairs: Sequence[tuple[Question, Answer]], how: str) -> Iterator[Finding]:
    by_action: dict[Action, list[tuple[Question, Answer]]] = {}
    for asked, answer in pairs:
        by_action.setdefault(asked.action, []).append((asked, answer))
    for action, some in by_action.items():
        wrong = [(asked, answer) for asked, answer in some if answer.allowed != asked.allowed]
        if not wrong:
            yield ok(str(action), f"{who}: {_counted(asked for asked, _ in some)}{how}")
        for asked, answer in wrong[:MOST]:
            yield _wrong(who, asked, answer, how)
        if len(wrong) > MOST:
            verdict = warn if all(answer.allowed is None for _, answer in wrong[MOST:]) else fail
            yield verdict(str(action), f"{who}: {len(wrong) - MOST} more of this kind{how}", PLAN)


def _counted(some: Iterable[Question]) -> str:
    answers = [asked.allowed for asked in some]
    told: Mapping[bool, str] = {True: "what is granted is allowed", False: "what is not granted is refused"}
    return ", ".join(
        f"{told[kind]} ({answers.count(kind)} tried)" for kind in (True, False) if kind in answers
    )


def _wrong(who: str, asked: Question, answer: Answer, how: str) -> Finding:
    check = str(asked.action)
    if answer.allowed is None:
        return warn(check, f"{who}: whether it may {asked} cannot be told{how}", answer.text)
    if answer.allowed:
        return fail(check, f"{who}: may {asked}, which the file does not grant{how}", PLAN)
    words = f" ({answer.text})" if answer.text else ""
    return fail(check, f"{who}: may not {asked}, which the file grants{how}{words}", PLAN)
