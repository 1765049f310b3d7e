# SPDX-License-Identifier: MIT
"""Which error is which exit code, and one line each."""

import errno

import pytest

from fedora_messaging import exceptions
from fedora_messaging.cli import failures


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (exceptions.ConfigurationException("x"), 2),
        (ValueError("bindings"), 2),
        (exceptions.BadDeclaration("queue", "q", "x"), 10),
        (exceptions.NoFreeChannels(), 11),
        (RuntimeError("x"), 11),
        (exceptions.ConsumerCanceled("gone"), 12),
        (exceptions.ConnectionException(reason="x"), 14),
        (exceptions.PermissionException("queue", "q", "x"), 15),
    ],
)
def test_what_ends_a_consumer(error: Exception, code: int) -> None:
    failure = failures.of_consuming(error)
    assert failure.exit_code == code
    assert failure.unexpected is (code == 11)
    assert str(error) in failure.message


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (exceptions.PublishForbidden("x"), errno.EREMOTEIO),
        (exceptions.PublishReturned("x"), errno.EREMOTEIO),
        (exceptions.PublishNacked("x"), errno.EREMOTEIO),
        (exceptions.PublishTimeout("x"), errno.ECONNREFUSED),
        (exceptions.PublishBlocked("x"), errno.ECONNREFUSED),
        (exceptions.ValidationError("x"), 2),
        (exceptions.ConfigurationException("x"), 2),
        (exceptions.ConnectionException("x"), 1),
        (exceptions.PublishException("x"), 1),
    ],
)
def test_what_a_message_that_was_not_published_ends_with(error: Exception, code: int) -> None:
    assert failures.code_of_publishing(error) == code


@pytest.mark.parametrize("text", ["a\nb", "a\r\nb", "a\n\nb\n", "x" * 100_000 + "\n" + "y" * 100_000])
def test_one_line(text: str) -> None:
    line = failures.one_line(text)
    assert line.splitlines() == [line]
    assert len(line) <= failures.LONGEST + 10
    assert (line[0], line[-1]) in {("a", "b"), ("a", " "), ("x", "y")}


def test_where_it_was_raised() -> None:
    with pytest.raises(ValueError, match="here") as raised:
        raise ValueError("here")
    said = failures.where(raised.value)
    assert said == f"ValueError: here ({__file__}, line {raised.tb.tb_lineno})"
    assert failures.where(ValueError()) == "ValueError"


def test_count() -> None:
    assert [failures.count(n, "message") for n in (0, 1, 2)] == ["0 messages", "1 message", "2 messages"]
