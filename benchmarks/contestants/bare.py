# SPDX-License-Identifier: MIT
"""The limit's tasks; ``task`` is one of ``round_trips``, ``publish``, ``consume``, ``paced``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks import limit

from . import Result, run

if TYPE_CHECKING:
    from collections.abc import Callable

TASKS: dict[str, Callable[..., Result]] = {
    "round_trips": limit.round_trips,
    "publish": limit.publish,
    "consume": limit.consume,
    "paced": limit.paced,
}


def bare(amqp_url: str, task: str, **options: Any) -> Result:
    """Open one connection and do one task on it."""
    with limit.Bare(amqp_url) as connection:
        return TASKS[task](connection, **options)


if __name__ == "__main__":
    run(bare)
