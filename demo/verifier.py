# SPDX-License-Identifier: MIT
"""What the verification service says on its page."""

from __future__ import annotations

import json
import urllib.request
from typing import Any


def snapshot(page: str) -> dict[str, Any]:
    """What goes on now; empty while the page does not answer. ``page`` is its host and port."""
    found: dict[str, Any] = _asked(page, "/api/snapshot") or {}
    return found


def _asked(page: str, path: str) -> Any:
    try:
        with urllib.request.urlopen(f"http://{page}{path}", timeout=5) as answer:
            return json.load(answer)
    except OSError:
        return None


FAULTS = ("lost", "changed", "late", "duplicated")


def verdicts(page: str) -> set[tuple[str, str]]:
    """Verdicts on the way to ZeroMQ, each with the id that it is about; what was taken back is left out."""
    found: set[tuple[str, str]] = set()
    for kind in FAULTS:
        for one in _asked(page, f"/api/verdicts?limit=500&leg=amqp_to_zmq&kind={kind}") or ():
            if not one["taken_back"]:
                found.add((kind, one["id"]))
    return found


def blind(page: str) -> list[str]:
    """Who cannot see yet, in sentences."""
    witnesses = snapshot(page).get("witnesses")
    if not witnesses:
        return ["the verifier does not answer"]
    return [f"the verifier does not see {name}" for name, one in witnesses.items() if not one["seeing"]]


def books(page: str) -> dict[str, dict[str, int]]:
    """The books of each leg; empty while the page does not answer."""
    return {name: leg["books"] for name, leg in snapshot(page).get("legs", {}).items()}
