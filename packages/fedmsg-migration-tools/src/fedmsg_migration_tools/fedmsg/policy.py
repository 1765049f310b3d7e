# SPDX-License-Identifier: MIT
"""Who may publish what: fedmsg's routing policy.

Only the decision. What was signed, and by whom, is signing.py's business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["Policy"]


class Policy:
    """fedmsg's routing policy: which signers may publish a topic.

    Arguments:
        routing: topic to the names (subject CN) that may publish it. Topics are compared whole: fedmsg knows
            no prefix and no wildcard here.
        nitpicky: refuse a topic that is not listed (fedmsg's ``routing_nitpicky``).
    """

    def __init__(self, routing: Mapping[str, Collection[str]] | None = None, nitpicky: bool = False) -> None:
        self._routing = {
            topic: frozenset({names} if isinstance(names, str) else names)
            for topic, names in (routing or {}).items()
        }
        self._nitpicky = nitpicky

    def allows(self, topic: str, cn: str) -> bool:
        """Whether the holder of a certificate for ``cn`` may publish ``topic``.

        Source of the rule: fedmsg's documentation of ``routing_policy`` and ``routing_nitpicky``.
        """
        names = self._routing.get(topic)
        return not self._nitpicky if names is None else cn in names
