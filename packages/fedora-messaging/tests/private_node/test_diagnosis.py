# SPDX-License-Identifier: MIT
"""Sentences from logs: what RabbitMQ 3.10 and Erlang 25 wrote when they did not start."""

import pytest

from fedora_messaging.private_node import diagnosis

STAMP = "2026-01-01 00:00:00.000000+00:00 [error] <0.138.0>"


UNKNOWN = f"""{STAMP} You've tried to set no.such.key, but there is no setting with that name.
{STAMP}   Did you mean one of these?
{STAMP}     log.dir
{STAMP} Error preparing configuration in phase transform_datatypes:
{STAMP}   - Conf file attempted to set unknown variable: no.such.key
"""
VALUE = f"""{STAMP} Error preparing configuration in phase transform_datatypes:
{STAMP}   - Error transforming datatype for: heartbeat
{STAMP}   - "often" cannot be converted to a(n) integer
"""
SYNTAX = f"""{STAMP} Error parsing configuration:
{STAMP}   - Syntax error in /tmp/x/rabbitmq.conf after line 10 column 1, parsing incomplete
{STAMP} Are these files using the Cuttlefish format?
"""
ADVANCED = (
    f'{STAMP} Failed to load advanced configuration file "/tmp/x/advanced.config": unknown POSIX error\n'
)
EXCEPTION = """BOOT FAILED
===========
Exception during startup:

error:{case_clause,x}

    lists:foldl/3, line 1349
"""
TERM = """Error during startup: {error,
                       {could_not_start,rabbit,
                           [nothing]}}

  crasher:
"""
LONG = "Error during startup: " + "x" * 1000
SCHEMA = (
    "Error during startup: {error,\n {schema_integrity_check_failed,\n [{table_missing,rabbit_listener}]}}"
)
FLAG = "{error,{disabled_required_feature_flag,stream_single_active_consumer}}"
NO_PROGRAM = "cannot run /x/erl: [Errno 13] Permission denied: '/x/erl'"


@pytest.mark.parametrize(
    ("log", "sentence"),
    [
        ("", ""),
        ("all is well", ""),
        (UNKNOWN, "rabbitmq.conf: there is no setting no.such.key"),
        (
            VALUE,
            'rabbitmq.conf: Error transforming datatype for: heartbeat; "often" cannot be converted to a(n) integer',
        ),
        (SYNTAX, "Syntax error in /tmp/x/rabbitmq.conf after line 10 column 1, parsing incomplete"),
        (ADVANCED, "advanced.config is not a list of Erlang terms with a full stop"),
        (EXCEPTION, "error:{case_clause,x}"),
        (TERM, "{error, {could_not_start,rabbit, [nothing]}}"),
        (LONG, "x" * 300 + "…"),
        (SCHEMA, "the data was written by another version of RabbitMQ"),
        ("write: {error,enospc}", "there is no space left on the disk"),
        ("sh: No space left on device", "there is no space left on the disk"),
        (NO_PROGRAM, NO_PROGRAM),
        (FLAG, "the data was written by an older RabbitMQ, which this one cannot take over"),
    ],
)
def test_the_cause(log: str, sentence: str) -> None:
    assert diagnosis.cause(log) == sentence


@pytest.mark.parametrize(
    "log",
    [
        "Protocol 'inet_tcp': register/listen error: eaddrinuse",
        f"{STAMP} Failed to start Ranch listener: eaddrinuse (address already in use)",
        "ERROR: could not bind to distribution port 25672 on host localhost. It could be in use by another process",
    ],
)
def test_a_port_was_taken(log: str) -> None:
    assert diagnosis.port_taken(log)
    assert not diagnosis.port_taken(UNKNOWN)


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (1, "RabbitMQ exited with status 1 before it was ready"),
        (-9, "RabbitMQ was killed by signal 9 before it was ready"),
        (None, "RabbitMQ was not ready after 30 seconds"),
    ],
)
def test_the_ending(status: int | None, sentence: str) -> None:
    assert diagnosis.ending(status, 30) == sentence


def test_the_tail_is_the_last_lines_that_say_something() -> None:
    log = "".join(f"line {number}\n\n   \n" for number in range(100))
    assert diagnosis.tail(log, 2) == "line 98\nline 99"


def test_the_tail_of_a_failed_boot_is_where_it_failed() -> None:
    log = (
        "".join(f"{STAMP} line {number}\n" for number in range(20))
        + f"{STAMP}\n{STAMP} BOOT FAILED\n{STAMP} Error during startup: x\n"
        + "\nBOOT FAILED\n\nError during startup: x\n"
        + f"{STAMP}     supervisor: {{local,noise}}\n"
        + "noise\n" * 100
    )
    expected = [f"line {number}" for number in range(12, 20)] + ["BOOT FAILED", "Error during startup: x"]
    assert diagnosis.tail(log).splitlines() == expected


def test_the_tail_of_a_long_failure_is_its_beginning() -> None:
    log = "cause\nBOOT FAILED\n" + "".join(f"term {number}\n" for number in range(100))
    assert diagnosis.tail(log, 3).splitlines() == ["cause", "BOOT FAILED", "term 0"]
