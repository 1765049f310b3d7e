# SPDX-License-Identifier: MIT
"""What was seen where, and what follows from it. Pure: observations with times in, verdicts out."""

from __future__ import annotations

from .core import Reconciler
from .model import Books, Kind, Leg, Verdict, Witness
from .window import BOUNDS, Delays, Window

__all__ = ["BOUNDS", "Books", "Delays", "Kind", "Leg", "Reconciler", "Verdict", "Window", "Witness"]
