# SPDX-License-Identifier: MIT
"""What runs inside the measured processes: each module one task, started as ``python -m``.

A task gets its options as a JSON object in the first argument and prints its result as another. The same
scripts run on this library and on fedora-messaging 3.9.1, through the API that both have, except where a
module says that only one has it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

Result = Mapping[str, float]


def run(task: Callable[..., Result]) -> None:
    """Call ``task`` with the options from the command line, and print what it measured."""
    options: dict[str, Any] = json.loads(sys.argv[1])
    print(json.dumps(dict(task(**options))))
