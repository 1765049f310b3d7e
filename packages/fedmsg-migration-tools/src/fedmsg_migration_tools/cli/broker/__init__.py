# SPDX-License-Identifier: MIT
"""``fedmsg-migration-tools broker``: the broker as one file. Here is only what it takes to list the commands."""

from __future__ import annotations

import click

from ..lazy import LazyGroup

__all__ = ["broker"]

COMMANDS = {
    "apply": "Make the broker what the file says.",
    "check": "Prove from the outside, as each user, that the broker is what the file says.",
    "definitions": "Write the file as RabbitMQ's own definitions, to be loaded when it boots.",
    "export": "Write what is on the broker as such a file.",
    "plan": "Show what differs between the file and the broker.",
    "policy": "Propose users and topic permissions, from fedmsg's configuration or from traffic.",
    "shadow": "Say what of a recording the file would refuse.",
}


@click.group(cls=LazyGroup, package=__name__, about=COMMANDS)
def broker() -> None:
    """Make RabbitMQ what one file says, show what differs, and prove it."""
