# SPDX-License-Identifier: MIT
"""Forks in all the ways that servers do, and publishes on both sides: each function here is one way."""

from __future__ import annotations

import asyncio
import gc
import itertools
import multiprocessing
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from fedora_messaging import aio, api
from fedora_messaging.exceptions import HaltConsumer

if TYPE_CHECKING:
    from collections.abc import Callable

CHILDREN = 4
EACH = 100  # messages

numbers = itertools.count()


def say(*what: object) -> None:
    os.write(1, (" ".join(map(str, what)) + "\n").encode())  # whole lines, from any process


def following() -> api.Message:
    return api.Message(topic="faults.fork", body={"n": os.getpid() * 10_000 + next(numbers)})


def publish() -> None:
    message = following()
    api.publish(message, timeout=30)
    say("confirmed", message.body["n"])


def connect() -> None:
    """Open the parent's connection, and wait until the test has seen it."""
    publish()
    say("connected")
    signal.sigwait([signal.SIGUSR1])


def as_a_server() -> None:
    """What a pre-forked worker does: it publishes from several threads."""
    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(publish) for _ in range(EACH)]:
            done.result()


def children(end: Callable[[int], object]) -> list[int]:
    """Fork; each child publishes, tidies up as the interpreter does, and ends."""
    pids = []
    for _ in range(CHILDREN):
        pid = os.fork()
        if not pid:
            code = 1
            try:
                as_a_server()
                gc.collect()
                code = 0
            finally:
                end(code)
        pids.append(pid)
    return pids


def join(pids: list[int]) -> None:
    """Go on publishing until they have ended."""
    codes = []
    for pid in pids:
        while True:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                codes.append(os.waitstatus_to_exitcode(status))
                break
            publish()
    say("codes", *codes)


def ended_by_the_system() -> None:
    connect()
    join(children(os._exit))
    publish()
    say("over")
    signal.sigwait([signal.SIGUSR1])


def ended_by_the_interpreter() -> None:
    """They run their exit handlers and destructors."""
    connect()
    join(children(sys.exit))
    publish()
    say("over")
    signal.sigwait([signal.SIGUSR1])


def by_multiprocessing() -> None:
    connect()
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=as_a_server) for _ in range(CHILDREN)]
    for process in processes:
        process.start()
    while any(process.is_alive() for process in processes):
        publish()
    say("codes", *(process.exitcode for process in processes))
    publish()
    say("over")
    signal.sigwait([signal.SIGUSR1])


def while_threads_publish() -> None:
    """The fork comes while other threads of the parent are in the middle of publishing."""

    def go_on() -> None:
        for _ in range(4 * EACH):
            publish()

    connect()
    with ThreadPoolExecutor(4) as pool:
        going_on = [pool.submit(go_on) for _ in range(4)]
        join(children(os._exit))
        for done in going_on:
            done.result()
    say("over")
    signal.sigwait([signal.SIGUSR1])


def grandchildren() -> None:
    connect()
    pid = os.fork()
    if not pid:
        publish()
        join(children(os._exit))
        publish()
        os._exit(0)
    os.waitpid(pid, 0)
    publish()
    say("over")
    signal.sigwait([signal.SIGUSR1])


def in_a_callback() -> None:
    handled = itertools.count(1)

    def callback(message: api.Message) -> None:
        pid = os.fork()
        if not pid:
            publish_answer(message)
            os._exit(0)
        os.waitpid(pid, 0)
        if next(handled) == EACH // 5:
            raise HaltConsumer(reason="all")

    try:
        api.consume(callback)
    except HaltConsumer:
        say("over")
    signal.sigwait([signal.SIGUSR1])


def publish_answer(message: api.Message) -> None:
    answer = api.Message(topic="answer.fork", body={"n": message.body["n"]})
    api.publish(answer, timeout=30)
    say("confirmed", answer.body["n"])


def orphans() -> None:
    """The parent is about to be killed; its children live on and publish nothing."""
    publish()
    idle_children()
    time.sleep(60)


def orphans_of_asyncio() -> None:
    async def main() -> None:
        message = following()
        await aio.publish(message)
        say("confirmed", message.body["n"])
        idle_children()
        await asyncio.sleep(60)

    asyncio.run(main())


def idle_children() -> None:
    pids = []
    for _ in range(2):
        pid = os.fork()
        if not pid:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
            time.sleep(60)
            os._exit(0)
        pids.append(pid)
    say("children", *pids)


if __name__ == "__main__":
    signal.alarm(50)  # not faulthandler: its thread does not cross a fork, and the child's exit waits for it
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    globals()[sys.argv[1]]()
