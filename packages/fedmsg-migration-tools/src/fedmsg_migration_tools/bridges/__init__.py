# SPDX-License-Identifier: MIT
"""The two bridges. Importing this costs nothing; each is a module of its own.

``fedmsg_migration_tools.bridges:AmqpToZmq`` is the name by which ``fedora-messaging consume --callback`` finds one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .callback import AmqpToZmq

__all__ = ["AmqpToZmq"]


def __getattr__(name: str) -> Any:
    if name != "AmqpToZmq":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .callback import AmqpToZmq  # noqa: PLC0415 - see above

    return AmqpToZmq
