# SPDX-License-Identifier: MIT
"""Consumes with ``api.consume``, and prints each message once its callback is done with it.

Arguments: the kind of callback (``plain`` or ``async``), and how many seconds it takes for the first message.
"""

from __future__ import annotations

import asyncio
import sys
import time

from fedora_messaging import api, config

first = [float(sys.argv[2])]


def pause() -> float:
    return first.pop() if first else 0.0


def plain(message: api.Message) -> None:
    sys.stdout.write(f"begun {message.body['n']} {message.id}\n")
    time.sleep(pause())
    sys.stdout.write(f"done {message.body['n']} {message.id}\n")


async def coroutine(message: api.Message) -> None:
    sys.stdout.write(f"begun {message.body['n']} {message.id}\n")
    await asyncio.sleep(pause())
    sys.stdout.write(f"done {message.body['n']} {message.id}\n")


if __name__ == "__main__":
    config.conf.setup_logging()
    sys.stdout.write("ready\n")
    api.consume(coroutine if sys.argv[1] == "async" else plain)
    sys.stdout.write("returned\n")
