# SPDX-License-Identifier: MIT
"""Calls the API from wherever an application may: each function here is one way, named by the first argument."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import itertools
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedora_messaging import aio, api
from fedora_messaging.exceptions import (
    ConfigurationException,
    ConnectionException,
    HaltConsumer,
    PublishIncomplete,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

MESSAGES = 200

numbers = itertools.count(1000)


def following(topic: str = "answer.test") -> api.Message:
    return api.Message(topic=topic, body={"n": next(numbers)})


def say(*what: object) -> None:
    sys.stdout.write(" ".join(map(str, what)) + "\n")


def confirmed(message: api.Message) -> None:
    say("confirmed", message.body["n"])


def publish(**more: Any) -> None:
    message = following()
    api.publish(message, **more)
    confirmed(message)


def consume_until_halted(callback: Any) -> None:
    try:
        api.consume(callback)
    except HaltConsumer as error:
        say("halted", error.reason)


def in_a_plain_callback() -> None:
    def callback(message: api.Message) -> None:
        publish()
        if message.body["n"] == MESSAGES - 1:
            raise HaltConsumer(reason="all")

    consume_until_halted(callback)


def in_an_async_callback() -> None:
    async def callback(message: api.Message) -> None:
        publish()
        if message.body["n"] == MESSAGES - 1:
            raise HaltConsumer(reason="all")

    consume_until_halted(callback)


def awaited_in_an_async_callback() -> None:
    async def callback(message: api.Message) -> None:
        answer = following()
        await aio.publish(answer)
        confirmed(answer)
        if message.body["n"] == MESSAGES - 1:
            raise HaltConsumer(reason="all")

    consume_until_halted(callback)


def in_a_loop_of_its_own_in_a_plain_callback() -> None:
    def callback(message: api.Message) -> None:
        if message.body["n"] % 10 == 0:
            answer = following()
            asyncio.run(aio.publish(answer))
            confirmed(answer)
        if message.body["n"] == MESSAGES - 1:
            raise HaltConsumer(reason="all")

    consume_until_halted(callback)


def in_an_applications_loop() -> None:
    async def main() -> None:
        for _ in range(MESSAGES):
            publish()
            await asyncio.sleep(0)

    asyncio.run(main())


def in_sixteen_threads() -> None:
    with ThreadPoolExecutor(16) as pool:
        for done in [pool.submit(publish) for _ in range(16 * MESSAGES)]:
            done.result()


def while_reading_a_batch() -> None:
    """The iterable of ``publish_many`` is read on the background loop."""

    def batch() -> Iterator[api.Message]:
        for n in range(MESSAGES):
            if n % 50 == 0:
                publish()
            yield following()

    api.publish_many(batch())
    say("batch")


def in_a_receiver() -> None:
    """Receivers of signals are called on the background loop, when a batch is published."""

    def receiver(_sender: object, message: api.Message) -> None:
        if message.topic == "batch.test":
            publish()

    api.publish_signal.connect(receiver)
    api.publish_many([following("batch.test") for _ in range(20)])
    say("batch")


def with_a_receiver_that_raises() -> None:
    def receiver(_sender: object, message: api.Message) -> None:
        raise RuntimeError(f"of the application, about {message.topic}")

    publish()
    api.publish_signal.connect(receiver)
    try:
        api.publish_many([following("batch.test") for _ in range(20)])
    except (RuntimeError, PublishIncomplete) as error:
        say("raised", repr(error))
    api.publish_signal.disconnect(receiver)
    publish()


def many_loops() -> None:
    async def once() -> None:
        answer = following()
        await aio.publish(answer)
        confirmed(answer)

    for _ in range(20):
        asyncio.run(once())
    say("sessions", len(aio._shared))  # whether they pile up
    say("descriptors", len(list(Path("/proc/self/fd").iterdir())))


def exit_in_a_plain_callback() -> None:
    def callback(_message: api.Message) -> None:
        sys.exit(3)

    api.consume(callback)


def exit_in_an_async_callback() -> None:
    async def callback(_message: api.Message) -> None:
        await asyncio.sleep(0)
        sys.exit(3)

    api.consume(callback)


def ended_at_once() -> None:
    """SIGTERM comes as soon as ``consume`` listens for it, and again and again."""

    def end() -> None:
        while signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            time.sleep(0)
        os.kill(os.getpid(), signal.SIGTERM)

    for _ in range(30):
        killer = threading.Thread(target=end)
        killer.start()
        api.consume(confirmed)
        killer.join()
        say("returned")


def interrupted() -> None:
    """SIGINT comes while nothing is confirmed; later it is again."""
    publish()
    signal.sigwait([signal.SIGUSR1])
    try:
        say("waiting")
        publish(timeout=60)
    except KeyboardInterrupt:
        say("interrupted")
    publish(timeout=60)
    say("survived")


def with_a_wrong_url() -> None:
    for _ in range(2):
        try:
            publish(timeout=5)
        except ConfigurationException as error:
            say("refused", error)


def exit_while_publishing() -> None:
    """The main thread ends, and daemons go on publishing."""

    def forever() -> None:
        with contextlib.suppress(ConnectionException):  # nothing more is taken, now that the process ends
            while True:
                publish(timeout=60)

    for _ in range(4):
        threading.Thread(target=forever, daemon=True).start()
    publish()
    say("leaving")


def exit_while_nothing_is_confirmed() -> None:
    """The same, while the broker is frozen."""
    publish()
    signal.sigwait([signal.SIGUSR1])
    threading.Thread(target=publish, daemon=True).start()
    time.sleep(0.2)
    say("leaving")


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])  # some wait for it
    faulthandler.dump_traceback_later(50, exit=True)  # a deadlock says where
    globals()[sys.argv[1]]()
