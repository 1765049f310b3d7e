# SPDX-License-Identifier: MIT
"""A recording against a proposed file: what would have been refused, by user, exchange and topic. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from ...fedmsg.certificates import shown
from ..names import DEFAULT_EXCHANGE
from .fragment import toml
from .proposing import not_exact
from .traffic import MOST
from .verdicts import Verdict
from .wording import count, day

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .messages import Sent
    from .verdicts import Judge

__all__ = ["Shadow", "Way"]


class Way(NamedTuple):
    """What was refused."""

    user: str
    exchange: str
    topic: str


@dataclass(slots=True)
class _Refused:
    """Why, how often, and the first and the last of them: an id, and seconds since the epoch."""

    verdict: Verdict
    count: int = 0
    example: str = ""
    first: float | None = None
    last: float | None = None


class Shadow:
    """Judges message after message.

    Arguments:
        judge: of the file.
        exchange: where to, unless the recording says so.
        names: publisher → user, where the file calls one otherwise than the recording.
        most: different refusals, and verdicts, that are kept.
    """

    def __init__(
        self, judge: Judge, exchange: str, names: Mapping[str, str] | None = None, most: int = MOST
    ) -> None:
        self._judge = judge
        self._exchange = exchange
        self._names = dict(names or {})
        self._most = most
        self._verdicts: dict[Way, Verdict] = {}
        self.messages = 0
        self.refused_messages = 0
        self.elsewhere = 0
        self.left_alone = 0
        self.refused: dict[Way, _Refused] = {}

    def see(self, sent: Sent) -> Verdict | None:
        """Judge a message; None: it was published in another virtual host, which is not looked at."""
        if sent.vhost not in {None, self._judge.vhost}:
            self.elsewhere += 1
            return None
        self.messages += 1
        name = sent.publisher.name
        user = self._names.get(name) or self._judge.user(name)
        way = Way(user, self._exchange if sent.exchange is None else sent.exchange, sent.topic)
        verdict = self._verdicts.get(way)
        if verdict is None:
            verdict = self._judge.verdict(*way)
            if len(self._verdicts) < self._most:
                self._verdicts[way] = verdict
        if verdict is Verdict.LEFT_ALONE:
            self.left_alone += 1
        elif verdict is not Verdict.ALLOWED:
            self._refuse(way, verdict, sent)
        return verdict

    def _refuse(self, way: Way, verdict: Verdict, sent: Sent) -> None:
        self.refused_messages += 1
        found = self.refused.get(way)
        if found is None:
            if len(self.refused) >= self._most:
                return
            found = self.refused[way] = _Refused(verdict, 0, sent.message_id, sent.at, sent.at)
        found.count += 1
        if sent.at is not None:
            found.first = sent.at if found.first is None else min(found.first, sent.at)
            found.last = sent.at if found.last is None else max(found.last, sent.at)

    def remedy(self, way: Way) -> list[str]:
        """The lines of the file that would allow it; where there are none, a comment that says why."""
        verdict, vhost = self.refused[way].verdict, toml(self._judge.vhost)
        if verdict is Verdict.INTERNAL:
            return ["# publish to another exchange: nobody may publish to an internal one"]
        kind, _ = self._judge.exchange(way.exchange)
        exchange = f'vhosts.{vhost}.exchanges.{toml(way.exchange)}.type = "topic"'
        if verdict is Verdict.NO_EXCHANGE:
            return [exchange]
        if self._judge.has_expressions(way.user):
            return [f"# the expressions of {shown(way.user)} are written by hand: they have to match it"]
        checked = kind in {"topic", None}  # elsewhere RabbitMQ checks no topics
        if checked and (why := not_exact(way.topic)):
            return [f"# no line allows this and nothing else: {why}"]
        lines = [f"users.{toml(way.user)}.certificate = true"] if verdict is Verdict.NO_USER else []
        lines += [exchange] if kind is None else []
        where = f"vhosts.{vhost}.users.{toml(way.user)}.publish.{toml(way.exchange or DEFAULT_EXCHANGE)}"
        return [*lines, f"{where} = [{toml(way.topic if checked else '#')}]"]

    # what is told

    def lines(self, notes: Sequence[str]) -> list[str]:
        """For a person."""
        told: list[str] = []
        user = None
        for way, found in sorted(self.refused.items()):
            if way.user != user:
                told += ["", shown(way.user)]
                user = way.user
            topic = shown(way.topic) or "(no topic)"
            told.append(
                f"  {shown(way.exchange) or '(default exchange)'}  {topic}  {_times(found)}: {found.verdict}"
            )
            told += [f"      {line}" for line in self.remedy(way)]
        told += ["", f"{self.summary()}"] if told else [self.summary()]
        return [*told, *(f"not judged: {line}" for line in notes)]

    def summary(self) -> str:
        """One line."""
        text = f"{self.refused_messages:,} of {count(self.messages, 'message')} would be refused"
        if self.refused:
            users = len({way.user for way in self.refused})
            text += f": {count(len(self.refused), 'topic')} of {count(users, 'user')}"
        missing = self.refused_messages - sum(found.count for found in self.refused.values())
        if missing:
            text += f"; {count(missing, 'message')} of these not listed, since there are too many kinds"
        if self.left_alone:
            text += f"; {count(self.left_alone, 'message')} not judged, of users that the file leaves alone"
        if self.elsewhere:
            text += f"; {count(self.elsewhere, 'message')} of other virtual hosts left out"
        return text

    def as_dict(self, notes: Sequence[str]) -> dict[str, Any]:
        """For a program."""
        return {
            "vhost": self._judge.vhost,
            "messages": self.messages,
            "refused_messages": self.refused_messages,
            "left_alone": self.left_alone,
            "other_vhosts": self.elsewhere,
            "refused": [
                {
                    **way._asdict(),
                    "verdict": found.verdict.name.lower(),
                    "why": str(found.verdict),
                    "count": found.count,
                    "example": found.example,
                    "first": found.first,
                    "last": found.last,
                    "allow": self.remedy(way),
                }
                for way, found in sorted(self.refused.items())
            ],
            "notes": list(notes),
        }


def _times(found: _Refused) -> str:
    first, last = day(found.first), day(found.last)
    text = count(found.count, "time")
    if first and last:
        text += f", on {first}" if first == last else f", {first} to {last}"
    return text + (f", such as {found.example}" if found.example else "")
