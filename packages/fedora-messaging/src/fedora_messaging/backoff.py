# SPDX-License-Identifier: MIT
"""How long to wait before the next attempt. Pure: no clock, no sleep; randomness comes in as an argument."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def delays(
    first: float = 0.1,
    factor: float = 2.0,
    limit: float = 30.0,
    jitter: float = 0.5,
    uniform: Callable[[float, float], float] = random.uniform,
) -> Iterator[float]:
    """Seconds to wait before each attempt after the first, without end.

    They grow by ``factor`` from ``first`` up to ``limit``, which none exceeds; each is shortened by a random
    part of up to ``jitter`` (0 to 1), so that a thousand clients of a restarted broker do not return in one
    instant.
    """
    delay = min(first, limit)
    while True:
        yield delay * (1.0 - uniform(0.0, jitter))
        delay = min(delay * factor, limit)
