# SPDX-License-Identifier: MIT
"""Consuming until somebody ends it, for every command that does: signals, errors, exit codes."""

from __future__ import annotations

import contextlib
import inspect
import logging
import signal
from typing import TYPE_CHECKING, Any

from ..exceptions import HaltConsumer
from .failures import CALLBACK, Failure, of_consuming, where

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from ..message import Message

_log = logging.getLogger("fedora_messaging.cli")


class Watched:
    """A callback, and what it raised: so that this is not taken for a failure of the library, nor hidden in it."""

    def __init__(self, callback: Callable[[Message], Any]) -> None:
        self.callback = callback
        self.raised: BaseException | None = None
        self.trace: TracebackType | None = None

    def function(self) -> Callable[[Message], Any]:
        """What to consume with: ``async`` if the callback is."""
        from ..callbacks import is_async  # noqa: PLC0415 - brings asyncio along

        return self._await if is_async(self.callback) else self._call

    async def _await(self, message: Message) -> None:
        with self._remembered():
            await self.callback(message)

    def _call(self, message: Message) -> Any:
        with self._remembered():
            result = self.callback(message)
        return self._finish(result) if inspect.iscoroutine(result) else result

    async def _finish(self, result: Any) -> None:
        with self._remembered():
            await result

    @contextlib.contextmanager
    def _remembered(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            self.raised = error
            self.trace = _beyond_this_file(error.__traceback__)
            raise

    def failure(self, consequence: str) -> Failure:
        """What ends the program; the traceback, of the user's code alone, goes to the log."""
        error = self.raised
        assert error is not None  # noqa: S101 - asked for when it raised
        _log.error("The callback raised an exception.", exc_info=(type(error), error, self.trace))
        return Failure(f"the callback raised {where(error)}{consequence}", CALLBACK)


def _beyond_this_file(trace: TracebackType | None) -> TracebackType | None:
    while trace is not None and trace.tb_next is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    return trace


@contextlib.contextmanager
def until_told_to_end() -> Iterator[None]:
    """SIGINT and SIGTERM end what is inside, and the program goes on after it, to its exit code 0."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        yield


def run(callback: Callable[[Message], Any], bindings: Any, queues: Any) -> None:
    """Consume until the callback or a signal ends it.

    Raises ``Failure`` with the documented exit code.
    """
    from ..api import consume  # noqa: PLC0415 - only when a command runs

    watched = Watched(callback)
    try:
        consume(watched.function(), bindings, queues)
    except HaltConsumer as halt:
        end(halt)
    except BaseException as error:
        if error is watched.raised:
            raise watched.failure("; the message is back in its queue") from error
        if not isinstance(error, Exception):
            raise
        raise _of_library(error) from error


def end(halt: HaltConsumer) -> None:
    """What the callback asked for: nothing more, or ``Failure`` with the exit code that it chose."""
    if halt.exit_code != 0:
        raise Failure(f"the callback halted the consumer: {halt}", halt.exit_code) from halt


def _of_library(error: Exception) -> Failure:
    failure = of_consuming(error)
    if failure.unexpected:
        _log.error("This should not have happened.", exc_info=error)
    return failure
