# SPDX-License-Identifier: MIT
"""Runs contestants, each in a process of its own, and checks that they did what they claim.

A publisher's messages must all stand in the queue afterwards, a consumer's must all be gone from it, and nothing
else: a contestant that is fast because it loses, repeats or leaves messages fails. Bridges are in ``bridges``.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from . import bridges, limit, verification
from .processes import MeasureError, memory, running
from .terms import Crossing, Probe, Role, Scenario, Task
from .verification_terms import Verification

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .course import Course

TASK_SECONDS = 120
#: What an idle consumer gets to come to rest after it has registered.
REST_SECONDS = 1.0
#: How long the broker may take to put back what a consumer held when it left.
RETURN_SECONDS = 5.0
#: How long openssl computes each of its figures.
RSA_SECONDS = 2

IMPORT_SNIPPET = """
import time
begun = time.perf_counter()
import fedora_messaging.api
print(time.perf_counter() - begun)
"""

Sample = dict[str, float]


def measure(course: Course, scenario: Scenario, role: Role) -> Sample:
    """One sample of one contestant. Raises :class:`MeasureError`."""
    contestant = scenario.contestants[role]
    if isinstance(contestant, Crossing):
        return bridges.measure(course, contestant, role)
    if isinstance(contestant, Verification):
        return verification.measure(course, contestant)
    environment = course.environment(scenario.prefetch)
    if isinstance(contestant, Task):
        return _run_task(course, contestant, role, environment)
    return _probe(course, contestant, course.python(role), environment)


def _probe(course: Course, probe: Probe, python: Path, environment: Mapping[str, str]) -> Sample:
    if probe is Probe.IMPORT:
        return {"seconds": float(_output([str(python), "-c", IMPORT_SNIPPET], environment))}
    command = [str(python.with_name("fedora-messaging"))]
    if probe is Probe.HELP:
        return time_command([*command, "--help"], environment)
    if probe is Probe.IDLE:
        return idle_consumer(course, command, environment)
    signed, verified = rsa_speed(_output(rsa_command(), environment))
    return {"rate": signed if probe is Probe.SIGN else verified}


def rsa_command() -> list[str]:
    """RSA with 2048 bits on all cores."""
    cores = str(len(os.sched_getaffinity(0)))
    return ["openssl", "speed", "-seconds", str(RSA_SECONDS), "-multi", cores, "rsa2048"]


def rsa_speed(line: str) -> tuple[float, float]:
    """Signatures made and checked in a second, from the last line that ``openssl speed`` prints."""
    signed, verified = line.split()[-2:]
    return float(signed), float(verified)


def _run_task(course: Course, task: Task, role: Role, environment: Mapping[str, str]) -> Sample:
    with limit.Bare(course.amqp_url) as bare:
        bare.prepare_queue()
        if task.consumes:
            limit.fill_queue(bare, filling(task))
    options = {**task.options, "count": task.count}
    if task.warm_up:
        options["warm_up"] = task.warm_up
    if role in (Role.LIMIT, Role.NARROW):
        options["amqp_url"] = course.amqp_url
    module = f"benchmarks.contestants.{task.module}"
    command = [str(course.python(role)), "-m", module, json.dumps(options)]
    sample: Sample = json.loads(_output(command, environment))
    handled = int(sample.get("handled", sample["messages"] + task.warm_up))
    check_queue(course, filling(task) - handled if task.consumes else handled)
    return sample


def filling(task: Task) -> int:
    """How many messages a consuming task finds: some more than it takes, so that it never runs dry."""
    return task.warm_up + task.count + task.count // 10 + 500


def check_queue(course: Course, expected: int) -> None:
    """The queue must hold ``expected`` messages, at the latest when the consumer's are returned to it."""
    deadline = time.monotonic() + RETURN_SECONDS
    with limit.Bare(course.amqp_url) as bare:
        while (found := bare.queue_counts()[0]) != expected:
            if time.monotonic() > deadline:
                raise MeasureError(f"The queue holds {found} messages instead of {expected}")
            time.sleep(0.05)


def _output(command: list[str], environment: Mapping[str, str]) -> str:
    try:
        done = subprocess.run(
            command, env=environment, check=False, capture_output=True, text=True, timeout=TASK_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise MeasureError(f"Not done after {TASK_SECONDS} s") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no word on stderr"]
        raise MeasureError(f"Exit code {done.returncode}: {lines[-1]}")
    return done.stdout.splitlines()[-1]


def time_command(command: list[str], environment: Mapping[str, str]) -> Sample:
    """Wall time and CPU time of one command, from start to end."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.perf_counter()
    _output(command, environment)
    seconds = time.perf_counter() - begun
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return {"seconds": seconds, "cpu_seconds": cpu}


def idle_consumer(course: Course, command: list[str], environment: Mapping[str, str]) -> Sample:
    """Memory of ``fedora-messaging consume`` once it has registered with the broker and nothing comes."""
    arguments = ["consume", "--callback", "fedora_messaging.example:printer"]
    with limit.Bare(course.amqp_url) as bare:
        bare.prepare_queue()
        with running([*command, *arguments], environment) as process:
            deadline = time.monotonic() + TASK_SECONDS
            while bare.queue_counts()[1] == 0:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise MeasureError(f"No consumer came; exit code {process.returncode}")
                time.sleep(0.05)
            time.sleep(REST_SECONDS)
            return memory(Path(f"/proc/{process.pid}/smaps_rollup").read_text())
