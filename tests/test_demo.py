# SPDX-License-Identifier: MIT
"""The demo: its arithmetic, and one whole run of it."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from demo import report, sample

ROOT = Path(__file__).parents[1]


def test_the_application_is_the_fourth_word() -> None:
    assert sample.application("org.fedoraproject.prod.bodhi.update.comment") == "bodhi"
    assert sample.application("fedoracollege.media.upload") == "fedoracollege"


def test_each_round_has_the_whole_sample_with_new_ids() -> None:
    messages = list(sample.messages(2))
    assert len(messages) == 2 * 542
    assert len({message.id for message in messages}) == len(messages)


def test_messages_are_counted_by_application() -> None:
    published = {"1": ("bodhi", 10.0), "2": ("bodhi", 11.0), "3": ("koji", 12.0)}
    bodhi, koji = report.tally(published, {"1": 10.5, "2": 11.25})
    assert (bodhi.application, bodhi.published, bodhi.consumed, bodhi.lost) == ("bodhi", 2, 2, 0)
    assert (bodhi.percentile(50), bodhi.percentile(99)) == (0.5, 0.5)
    assert (koji.published, koji.consumed, koji.lost) == (1, 0, 1)
    assert math.isnan(koji.percentile(50))


def test_what_lost_something_is_never_hidden_among_the_others() -> None:
    rows = [report.Row("a", 2, [0.0, 0.0]), report.Row("b", 1, []), report.Row("c", 1, [0.0])]
    assert [row.application for row in report.shorten(rows, 1)] == ["a", "b", "1 others"]


@pytest.mark.parametrize(
    ("rows", "refused", "code"),
    [
        ([report.Row("a", 1, [0.1])], {}, 0),
        ([report.Row("a", 2, [0.1])], {}, 1),
        ([report.Row("a", 1, [0.1])], {"full": 1}, 1),
        ([], {}, 1),
    ],
)
def test_only_a_run_without_loss_is_a_success(
    rows: list[report.Row], refused: dict[str, int], code: int
) -> None:
    assert report.verdict(rows, 0, refused)[0] == code


def test_a_whole_run_loses_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "demo", "--rounds", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("All 542 messages arrived, none is missing.\n")


def test_ctrl_c_ends_it_cleanly() -> None:
    command = [sys.executable, "-m", "demo"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as demo:
        assert demo.stdout is not None
        assert demo.stdout.read(8) == "Starting"
        time.sleep(1)
        demo.send_signal(signal.SIGINT)
        rest = demo.stdout.read()
    assert demo.returncode == 130
    assert "Traceback" not in rest
    assert rest.splitlines()[-1] == "Interrupted; the broker is stopped and its data removed."
