# SPDX-License-Identifier: MIT
"""Measures the verifier: its core in a process of its own, or the service beside both bridges."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from . import verification_service
from .course import ROOT
from .processes import MeasureError
from .verification_terms import Verification, Work

if TYPE_CHECKING:
    from .bridges import Sample
    from .course import Course

PATIENCE = 120.0


def measure(course: Course, one: Verification) -> Sample:
    """One sample. Raises :class:`MeasureError`."""
    if one.work is Work.SERVICE:
        return verification_service.measure(course, one.count, one.warm_up)
    options = {"count": one.count} | ({"in_flight": one.in_flight} if one.in_flight else {})
    command = [sys.executable, "-m", "benchmarks.verification_core", one.work.value, json.dumps(options)]
    try:
        done = subprocess.run(
            command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired as error:
        raise MeasureError(f"Not done after {PATIENCE:g} s") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no word on stderr"]
        raise MeasureError(f"Exit code {done.returncode}: {lines[-1]}")
    sample: Sample = json.loads(done.stdout)
    return sample
