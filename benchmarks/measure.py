# SPDX-License-Identifier: MIT
"""Runs contestants, each in a process of its own, and checks that they did what they claim.

A publisher's messages must all stand in the queue afterwards, a consumer's must all be gone from it, and nothing
else: a contestant that is fast because it loses, repeats or leaves messages fails.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import limit, payload
from .plan import Probe, Role, Scenario, Task

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).parent.parent
TASK_SECONDS = 120
#: What an idle consumer gets to come to rest after it has registered.
REST_SECONDS = 1.0
#: How long the broker may take to put back what a consumer held when it left.
RETURN_SECONDS = 5.0

IMPORT_SNIPPET = """
import time
begun = time.perf_counter()
import fedora_messaging.api
print(time.perf_counter() - begun)
"""

Sample = dict[str, float]


class MeasureError(Exception):
    """A contestant failed, or did not do what it was measured for."""


@dataclass(frozen=True)
class Course:
    """Where it is run: the broker, the peer's interpreter, and a folder for the configuration."""

    amqp_url: str
    peer_python: Path
    folder: Path

    def python(self, role: Role) -> Path:
        """The interpreter that runs ``role``."""
        return self.peer_python if role is Role.PEER else Path(sys.executable)

    def environment(self, prefetch: int) -> dict[str, str]:
        """This process's environment, with the configuration that all contestants read."""
        path = self.folder / f"prefetch-{prefetch}.toml"
        path.write_text(configuration(self.amqp_url, prefetch))
        return os.environ | {"PYTHONPATH": str(ROOT), "FEDORA_MESSAGING_CONF": str(path)}


def configuration(amqp_url: str, prefetch: int) -> str:
    """The contestants' configuration: one durable queue, bound to the one topic."""
    return f"""amqp_url = "{amqp_url}"
[queues.{payload.QUEUE}]
durable = true
auto_delete = false
exclusive = false
arguments = {{}}
[[bindings]]
queue = "{payload.QUEUE}"
exchange = "{payload.EXCHANGE}"
routing_keys = ["{payload.TOPIC}"]
[qos]
prefetch_count = {prefetch}
prefetch_size = 0
"""


def measure(course: Course, scenario: Scenario, role: Role) -> Sample:
    """One sample of one contestant. Raises :class:`MeasureError`."""
    contestant = scenario.contestants[role]
    environment = course.environment(scenario.prefetch)
    python = course.python(role)
    if isinstance(contestant, Task):
        return _run_task(course, contestant, role, environment)
    if contestant is Probe.IMPORT:
        return {"seconds": float(_output([str(python), "-c", IMPORT_SNIPPET], environment))}
    if contestant is Probe.HELP:
        return time_command([str(python.with_name("fedora-messaging")), "--help"], environment)
    return idle_consumer(course, [str(python.with_name("fedora-messaging"))], environment)


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
        with _running([*command, *arguments], environment) as process:
            deadline = time.monotonic() + TASK_SECONDS
            while bare.queue_counts()[1] == 0:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise MeasureError(f"No consumer came; exit code {process.returncode}")
                time.sleep(0.05)
            time.sleep(REST_SECONDS)
            return memory(Path(f"/proc/{process.pid}/smaps_rollup").read_text())


@contextmanager
def _running(command: list[str], environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def memory(rollup: str) -> Sample:
    """Resident and proportional memory in MB (of 1,000,000 bytes), from the text of ``smaps_rollup``."""
    kibibytes = {
        line.split(":")[0]: int(line.split()[1]) for line in rollup.splitlines() if line.endswith(" kB")
    }
    return {"rss_mb": kibibytes["Rss"] * 1024 / 1e6, "pss_mb": kibibytes["Pss"] * 1024 / 1e6}
