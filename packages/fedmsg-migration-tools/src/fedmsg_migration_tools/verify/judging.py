# SPDX-License-Identifier: MIT
"""What is done with verdicts: they are kept, counted, said in the log, and given to repair. No socket.

The log has one line for each message that was lost or changed, but not more than a few a minute for one application.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from ..bridges.complaints import Complaints
from ..exceptions import Unbridgeable
from ..reconcile import sightings
from ..reconcile.differences import difference
from ..reconcile.model import FAR, ORIGIN, Kind, Leg
from .counted import IN
from .kept import Kept

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..reconcile.model import Verdict
    from .contents import Content, Contents
    from .store import Store

__all__ = ["Judging", "normal"]

_log = logging.getLogger(__name__)

_SAID = (Kind.LOST, Kind.CHANGED, Kind.LOOPED, Kind.UNWITNESSED)
_DIFFERENCES = 20  # shown for one message


class Judging:
    """Takes verdicts.

    Arguments:
        store: where they are kept.
        contents: what the messages were.
        lost: called with each verdict LOST, and what the message was.
    """

    def __init__(
        self, store: Store, contents: Contents, lost: Callable[[Verdict, Content | None], None]
    ) -> None:
        self._store = store
        self._contents = contents
        self._lost = lost
        self._complaints = Complaints()
        self._minutes: dict[tuple[int, str, Leg], Counter[str]] = defaultdict(Counter)
        self.found: Counter[str] = Counter()  # by kind, since the start; taken back ones are taken off

    def arrived(self, leg: Leg, application: str, at: float) -> None:
        """A message was seen at the origin of a leg."""
        self._minutes[int(at // 60), application, leg][IN] += 1

    def take(self, verdicts: list[Verdict]) -> None:
        """Verdicts other than matched."""
        kept = [self._judge(verdict) for verdict in verdicts]
        if kept:
            self._store.record(kept)

    def _judge(self, verdict: Verdict) -> Kept:
        kind = str(verdict.kind)
        self._minutes[int(time.time() // 60), verdict.application, verdict.leg][kind] += 1
        self.found[kind] += 1
        earlier = verdict.evidence.get("earlier")
        if earlier:
            self.found[str(earlier)] -= 1
        content = self._content(verdict)
        evidence = {**verdict.evidence, **self._difference(verdict)}
        message_id = content.message_id if content is not None else None
        kept = Kept(
            kind,
            int(verdict.leg),
            verdict.key,
            message_id or sightings.id_of(verdict.key) or verdict.key.hex(),
            content.topic if content is not None else "",
            verdict.application,
            verdict.seen_at,
            verdict.judged_at,
            verdict.window,
            evidence,
        )
        self._say(kept)
        if verdict.kind is Kind.LOST:
            self._lost(verdict, content)
        return kept

    def _content(self, verdict: Verdict) -> Content | None:
        origin, far = ORIGIN[verdict.leg], FAR[verdict.leg]
        return self._contents.get(origin, verdict.key) or self._contents.get(far, verdict.key)

    def _difference(self, verdict: Verdict) -> Mapping[str, Any]:
        """What was changed, while both forms are still remembered."""
        if verdict.kind is not Kind.CHANGED:
            return {}
        forms = [self._contents.get(w, verdict.key) for w in (ORIGIN[verdict.leg], FAR[verdict.leg])]
        if None in forms:
            return {"difference": None}
        first, second = (normal(form) for form in forms if form is not None)
        return {"difference": difference(first, second)[:_DIFFERENCES]}

    def _say(self, kept: Kept) -> None:
        if Kind(kept.kind) in _SAID and self._complaints.due(f"{kept.kind} {kept.application}"):
            _log.warning(
                "%s on the way %s: %s %s (no more of this kind and application for a minute)",
                kept.kind,
                Leg(kept.leg).name.lower(),
                kept.id[:100],
                kept.topic[:200],
            )

    def flush(self) -> None:
        """Tell the store what was counted."""
        minutes, self._minutes = self._minutes, defaultdict(Counter)
        for (minute, application, leg), kinds in minutes.items():
            self._store.count(minute, application, int(leg), dict(kinds))


def normal(content: Content) -> Any:
    """What is compared of a message, or its bytes where it is none."""
    with contextlib.suppress(Unbridgeable):
        return _normal(content)
    return {"topic": content.topic, "frames": [repr(frame[:1000]) for frame in content.frames or ()]}


def _normal(content: Content) -> Any:
    if content.frames is not None:
        return sightings.of_frames(content.frames).normal
    assert content.delivery is not None  # noqa: S101 - one of the two is there
    return sightings.of_delivery(*content.delivery).normal
