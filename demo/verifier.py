# SPDX-License-Identifier: MIT
"""What the verification service says on its page."""

from __future__ import annotations

import json
import urllib.request
from typing import Any


def snapshot(page: str) -> dict[str, Any]:
    """What goes on now; empty while the page does not answer. ``page`` is its host and port."""
    try:
        with urllib.request.urlopen(f"http://{page}/api/snapshot", timeout=5) as answer:
            found: dict[str, Any] = json.load(answer)
    except OSError:
        return {}
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
