# SPDX-License-Identifier: MIT
"""Changing a live broker, one request after the other. In which order is decided in :mod:`.order`."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...exceptions import ToolsError
from ..state import Key, Kind
from .changes import Action
from .deleting import Deleting, Held
from .order import Phase, steps
from .persisting import Persistent, Refused
from .requests import body, ends_of, path

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from ...management.client import Management
    from .changes import Change, Plan
    from .order import Step

__all__ = ["Result", "apply", "held", "named"]

PATIENCE = 60.0  # seconds for a broker that is being started again
SETTLING = 6.0  # seconds after which statistics have heard of everything; RabbitMQ collects them every 5 s

Told = "Callable[[Change, str], None]"


@dataclass(slots=True)
class Result:
    """What came of it.

    Attributes:
        done: changes that were made.
        left: those that were not, and why.
    """

    done: list[Change] = field(default_factory=list)
    left: list[tuple[Change, str]] = field(default_factory=list)


def held(change: Change, allow_delete: Collection[str]) -> str:
    """Why a change is not made; empty when it is.

    Arguments:
        change: of a plan.
        allow_delete: names of queues, exchanges and virtual hosts that may go whatever they hold; also written as
            ``VHOST/NAME``.
    """
    if change.action is Action.IMPOSSIBLE:
        return change.why
    if not change.held or named(change.key, allow_delete):
        return ""
    return f"it {change.held}" if change.key.kind is Kind.QUEUE else change.held


def named(key: Key, allow_delete: Collection[str]) -> bool:
    """Whether ``--allow-delete`` names it."""
    return key.name in allow_delete or f"{key.vhost}/{key.name}" in allow_delete


def apply(
    plan: Plan,
    management: Management,
    *,
    allow_delete: Collection[str] = (),
    told: Callable[[Change, str], None] = lambda _change, _problem: None,
    patience: float = PATIENCE,
    settling: float = SETTLING,
) -> Result:
    """Make the changes of a plan. What is refused is left; what gives elsewhere is still done.

    Arguments:
        plan: made just now.
        management: of the broker.
        allow_delete: see :func:`held`.
        told: of each change, when it is made, or with the reason why not.
        patience: seconds to wait for a broker that is gone.
        settling: seconds after which the statistics know what is in a queue.

    Raises:
        ToolsError: a virtual host does not run, the broker has gone, or knows our password no more; running it again
            goes on from there.
    """
    _require_running(plan)
    return _Applying(plan, management, allow_delete, told, patience, settling).run()


def _require_running(plan: Plan) -> None:
    for change in plan.changes:
        if change.key.vhost in plan.facts.stopped:
            name = change.key.vhost
            raise ToolsError(
                f"The virtual host {name} does not run on any node: start it (rabbitmqctl restart_vhost --vhost "
                f"{name}; its log says why it stopped), and run this again; nothing was changed"
            )


def _gives_back(step: Step) -> bool:
    """Whether this only ends what was needed for the change; it is done whatever became of that."""
    return step.phase is Phase.OWN_RIGHTS_BACK and step.change.key.kind is not Kind.PERMISSION


class _Applying:
    def __init__(
        self,
        plan: Plan,
        management: Management,
        allow_delete: Collection[str],
        told: Callable[[Change, str], None],
        patience: float,
        settling: float,
    ) -> None:
        self._plan = plan
        self._allowed = allow_delete
        self._told = told
        self._result = Result()
        self._broker = Persistent(management, patience)
        self._deleting = Deleting(self._broker, plan, settling)
        self._failed: set[Key] = set()  # steps
        self._left: set[Key] = set()  # changes
        self._broken: set[str] = set()  # virtual hosts in which something that gives was refused

    def run(self) -> Result:
        for change in self._plan.changes:
            why = held(change, self._allowed)
            if why:
                self._leave(change, why)
        todo = steps(self._plan, self._left)
        remaining: dict[Key, int] = {}
        for step in todo:
            if not _gives_back(step):
                remaining[step.change.key] = remaining.get(step.change.key, 0) + 1
        try:
            for step in todo:
                self._one(step)
                if _gives_back(step):
                    continue
                key = step.change.key
                remaining[key] -= 1
                if not remaining[key] and key not in self._left:
                    self._result.done.append(step.change)
                    self._told(step.change, "")
        except ToolsError as exc:
            raise ToolsError(
                f"{exc}; {len(self._result.done)} of {len(self._plan.changes)} changes are made: run it again, it "
                "goes on from there"
            ) from exc
        return self._result

    def _leave(self, change: Change, why: str) -> None:
        self._left.add(change.key)
        self._result.left.append((change, why))
        self._told(change, why)

    def _one(self, step: Step) -> None:
        if not _gives_back(step):
            if step.change.key in self._left:
                return
            why = self._waits(step)
            if why:
                self._leave(step.change, why)
                return
        try:
            self._request(step)
        except (Refused, Held) as exc:
            self._failed.add(step.key)
            if not step.phase.takes:
                self._broken.add(step.key.vhost)
            if step.phase is Phase.REPLACE and step.method != "DELETE":
                self._restore(step.change)
            if step.change.key not in self._left:
                self._leave(step.change, str(exc))

    def _restore(self, change: Change) -> None:
        """As it was: what it should have become is refused."""
        key, live = change.key, self._plan.live
        ends = [one for one in live if one.kind is Kind.BINDING and key in ends_of(one)]
        for one in (key, *ends):
            method = "POST" if one.kind is Kind.BINDING else "PUT"
            with contextlib.suppress(Refused):
                self._broker.change(method, path(one), body(one, live[one], live))

    def _waits(self, step: Step) -> str:
        """Why it is not even tried."""
        needs = [Key(Kind.VHOST, step.key.vhost, step.key.vhost), *step.needs]
        if step.key.kind in {Kind.PERMISSION, Kind.TOPIC_PERMISSION}:
            needs.append(Key(Kind.USER, "", step.key.name))
        for key in needs:
            if key in self._failed and key != step.key:
                return f"{key.kind} {key.name} was refused, and has to come first"
        if step.phase.takes and step.phase is not Phase.REPLACE and step.key.vhost in self._broken:
            return "it stays until what was refused is mended, for it may still be needed"
        return ""

    def _request(self, step: Step) -> None:
        allowed = named(step.change.key, self._allowed)
        if step.method != "DELETE":
            self._broker.change(step.method, step.path, step.body)
        elif step.key.kind is Kind.QUEUE:
            self._deleting.queue(step.key, step.path, unasked=not allowed)
        elif step.key.kind is Kind.EXCHANGE:
            self._deleting.exchange(step.path, unasked=not allowed)
        elif step.key.kind is Kind.VHOST:
            self._deleting.vhost(step.key.name, unasked=not allowed)
        elif step.key.kind is Kind.BINDING:
            self._deleting.binding(step.key, step.path)
        else:
            self._broker.change("DELETE", step.path)
