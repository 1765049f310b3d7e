# SPDX-License-Identifier: MIT
"""Counts the money of paid orders, each order once, however often its message comes.

fedora-messaging consume --callback-file robust.py:Till
"""

import sqlite3

from fedora_messaging import config
from fedora_messaging.api import Message
from fedora_messaging.exceptions import Drop, Nack


class Till:
    """The ids of what was counted are in the same database as the sum, and are written in the same transaction."""

    def __init__(self) -> None:
        # The callback runs in a worker thread, not in the one that makes the object.
        path = config.conf["consumer_config"]["database"]
        self.database = sqlite3.connect(path, check_same_thread=False)
        self.database.execute("CREATE TABLE IF NOT EXISTS counted (id TEXT PRIMARY KEY, cents INTEGER)")

    def __call__(self, message: Message) -> None:
        """Count one order."""
        try:
            cents = round(float(message.body["total"]) * 100)
        except (KeyError, ValueError) as error:
            raise Drop from error  # it will never be right: to the dead-letter exchange, where someone looks at it
        try:
            with self.database:
                self.database.execute("INSERT OR IGNORE INTO counted VALUES (?, ?)", (message.id, cents))
        except sqlite3.OperationalError as error:
            raise Nack from error  # locked, for the moment: back to the queue, try again
