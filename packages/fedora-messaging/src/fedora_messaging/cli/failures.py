# SPDX-License-Identifier: MIT
"""What went wrong, as one line on standard error and an exit code. No command is here.

======  ====================================================================================
   0    done; or told to end, and ended in order
   1    anything else, where a command has no better code
   2    wrong usage: options, configuration, callback, a message that is none
  10    the broker refused to declare an exchange, a queue or a binding (``consume``)
  11    unexpected error while starting (``consume``)
  12    the broker cancelled the consumer for good (``consume``)
  13    the callback raised (``consume``, ``reconsume``)
  14    no connection (``consume``)
  15    the user has no permission to consume (``consume``)
 111    ``errno.ECONNREFUSED``: no confirm in time (``publish``, ``replay``)
 121    ``errno.EREMOTEIO``: the broker refused or returned a message (``publish``, ``replay``)
======  ====================================================================================
"""

from __future__ import annotations

import errno
import traceback

import click

from .. import exceptions

USAGE = 2
DECLARATION = 10
UNEXPECTED = 11
CANCELLED = 12
CALLBACK = 13
CONNECTION = 14
PERMISSION = 15

LONGEST = 2000  # characters in a line

_HERE = __file__.rsplit("/", 2)[0] + "/"

_OF_CONSUMING: tuple[tuple[type[Exception], int], ...] = (
    (exceptions.ConfigurationException, USAGE),
    (exceptions.BadDeclaration, DECLARATION),
    (exceptions.PermissionException, PERMISSION),
    (exceptions.ConsumerCanceled, CANCELLED),
    (exceptions.ConnectionException, CONNECTION),
    (ValueError, USAGE),  # bindings or queues, of the command line and the configuration together
)

_OF_PUBLISHING: tuple[tuple[type[Exception], int], ...] = (
    (exceptions.PublishTimeout, errno.ECONNREFUSED),
    (exceptions.PublishForbidden, errno.EREMOTEIO),
    (exceptions.PublishReturned, errno.EREMOTEIO),
    (exceptions.ValidationError, USAGE),
    (exceptions.ConfigurationException, USAGE),
)


class Failure(click.ClickException):
    """Ends the program with ``exit_code``, after one line on standard error."""

    def __init__(self, message: object, exit_code: int) -> None:
        super().__init__(one_line(message))
        self.exit_code = exit_code  # type: ignore[misc] # what click looks at

    @property
    def unexpected(self) -> bool:
        """Whether nobody foresaw it: then its traceback is of interest."""
        return self.exit_code == UNEXPECTED


def one_line(message: object) -> str:
    """The text with its lines joined; of a very long one, the beginning and the end."""
    text = " ".join(str(message).splitlines())
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}"


def count(number: int, what: str) -> str:
    """``1 message``, ``2 messages``."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def of_consuming(error: Exception) -> Failure:
    """What ``api.consume`` raised, unless the callback did."""
    for kind, code in _OF_CONSUMING:
        if isinstance(error, kind):
            return Failure(error, code)
    return Failure(f"unexpected error, {type(error).__name__}: {error}", UNEXPECTED)


def code_of_publishing(error: Exception) -> int:
    """The exit code for a message that was not published."""
    return next((code for kind, code in _OF_PUBLISHING if isinstance(error, kind)), 1)


def where(error: BaseException) -> str:
    """What an exception says and where it was raised: ``ValueError: text (file.py, line 3)``."""
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    if not frames or frames[-1].filename.startswith(_HERE):  # calling it failed: that is no place to look at
        return said
    return f"{said} ({frames[-1].filename}, line {frames[-1].lineno})"
