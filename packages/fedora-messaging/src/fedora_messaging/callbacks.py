# SPDX-License-Identifier: MIT
"""Running an application's callback on deliveries: one message at a time, in order, plain or async.

Plain callbacks run in a thread of their own, so that a slow one holds up neither heartbeats nor acknowledgements.
What the outcome means is decided in :mod:`.verdict`.
"""

from __future__ import annotations

import asyncio
import inspect
import queue
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, TypeVar

from .verdict import Settlement, Verdict, judge

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from .consumer import Consumer
    from .deliveries import Delivery
    from .message import Message

T = TypeVar("T")


def resolve(callback: Any) -> Callable[[Message], Any]:
    """The callable that a callback given as function, instance or class means; a class is instantiated once.

    Raises ``ValueError`` when it cannot be called, ``TypeError`` when the class needs arguments.
    """
    target = callback() if inspect.isclass(callback) else callback
    if not callable(target):
        raise ValueError(  # noqa: TRY004 - what 3.x raises
            "the callback must be a function, or a class whose instances can be called (__call__)"
        )
    return target  # type: ignore[no-any-return]


def is_async(callback: Callable[[Message], Any]) -> bool:
    """Whether calling it gives a coroutine."""
    return inspect.iscoroutinefunction(callback) or inspect.iscoroutinefunction(
        getattr(callback, "__call__", None)  # noqa: B004 - the method itself is asked, not whether it is there
    )


async def contained(coroutine: Coroutine[Any, Any, T]) -> tuple[T | None, BaseException | None]:
    """What it returns, or the ``SystemExit`` or ``KeyboardInterrupt`` that it raises: a task lets these two through to
    its loop, which would end for everybody.
    """
    try:
        return await coroutine, None
    except (SystemExit, KeyboardInterrupt) as error:
        return None, error


async def run(consumer: Consumer, callback: Callable[[Message], Any]) -> None:
    """Hand each delivery of ``consumer`` to ``callback`` and settle it, until one of them ends it.

    Raises what the callback's verdict says (``HaltConsumer``, or whatever it raised), or what ended the consumer.
    """
    runner = _run_async if is_async(callback) else _run_plain
    stop = await runner(consumer, callback)
    if stop is not None:
        raise stop


def _settle(delivery: Delivery, verdict: Verdict) -> None:
    match verdict.settlement:
        case Settlement.ACK:
            delivery.ack()
        case Settlement.REJECT:
            delivery.reject()
        case Settlement.REQUEUE:
            delivery.requeue()
        case Settlement.FAIL:
            delivery.fail()


async def _run_async(consumer: Consumer, callback: Callable[[Message], Any]) -> BaseException | None:
    async for delivery in consumer:
        error: BaseException | None = None
        try:
            await callback(delivery.message)
        except asyncio.CancelledError as cancelled:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            error = cancelled
        except BaseException as raised:  # noqa: BLE001 - the verdict says what it means
            error = raised
        verdict = judge(error)
        _settle(delivery, verdict)
        if verdict.stop is not None:
            return verdict.stop
    return None


async def _run_plain(consumer: Consumer, callback: Callable[[Message], Any]) -> BaseException | None:
    worker = _Worker(callback, consumer)
    worker.start()
    try:
        async for delivery in consumer:
            worker.give(delivery)
    finally:
        await worker.finish()
    return worker.stop


class _Worker(threading.Thread):
    """The thread that plain callbacks run in. Outcomes go back to the loop, many in one wake-up under load."""

    def __init__(self, callback: Callable[[Message], Any], consumer: Consumer) -> None:
        super().__init__(name="fedora-messaging callback", daemon=True)
        self._callback = callback
        self._consumer = consumer
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[Delivery | None] = queue.SimpleQueue()
        self._outcomes: deque[tuple[Delivery, Verdict]] = deque()
        self._announced = False
        self._ending = False
        self._ended = asyncio.Event()
        self.stop: BaseException | None = None

    # on the loop

    def give(self, delivery: Delivery) -> None:
        """Queue it; the prefetch count bounds how many wait."""
        self._jobs.put(delivery)

    async def finish(self) -> None:
        """Let the message in hand be finished, and no other begun."""
        self._ending = True
        self._jobs.put(None)
        await self._ended.wait()
        self._collect()

    def _collect(self) -> None:
        self._announced = False
        while self._outcomes:
            delivery, verdict = self._outcomes.popleft()
            _settle(delivery, verdict)
            if verdict.stop is not None:
                self.stop = verdict.stop
                self._consumer.stop()

    # in the thread

    def run(self) -> None:
        """Call the callback on one message after the other."""
        try:
            while (delivery := self._jobs.get()) is not None and not self._ending:
                if not delivery.live:
                    continue  # its channel is gone: the broker delivers it again
                verdict = judge(self._call(delivery.message))
                self._ending = self._ending or verdict.stop is not None
                self._outcomes.append((delivery, verdict))
                if not self._announced:
                    self._announced = True
                    self._loop.call_soon_threadsafe(self._collect)
        finally:
            self._loop.call_soon_threadsafe(self._ended.set)

    def _call(self, message: Message) -> BaseException | None:
        try:
            result = self._callback(message)
            if inspect.iscoroutine(
                result
            ):  # a plain function that gives a coroutine: functools.partial, a lambda
                _, error = asyncio.run_coroutine_threadsafe(contained(result), self._loop).result()
                return error
        except BaseException as error:  # noqa: BLE001 - the verdict says what it means
            return error
        return None
