# SPDX-License-Identifier: MIT
"""The fixtures, as an application's tests use them, and what they cost those that do not."""

import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

from fedora_messaging.private_node import PrivateNode

seen: list[str] = []


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_has_a_virtual_host_of_its_own(rabbitmq: PrivateNode, amqp_url: str, turn: int) -> None:
    vhost = unquote(amqp_url.rpartition("/")[2])
    assert amqp_url == rabbitmq.url_of(vhost)
    there = {row["name"] for row in rabbitmq.management("GET", "/api/vhosts")}
    assert vhost in there
    assert there.isdisjoint(seen)  # those of the tests before are gone
    seen.append(vhost)
    assert len(seen) == turn


def test_a_node_that_is_left_frozen(rabbitmq: PrivateNode, amqp_url: str) -> None:
    assert amqp_url
    rabbitmq.freeze()


def test_is_usable_in_the_next_test(rabbitmq: PrivateNode, amqp_url: str) -> None:
    assert amqp_url
    assert rabbitmq.evaluate("1") == "1"


def test_loading_the_plugin_loads_nothing_else() -> None:
    script = (
        "import sys, pytest\n"
        "before = set(sys.modules)\n"
        "import fedora_messaging.pytest_plugin\n"
        "print(*sorted(set(sys.modules) - before))\n"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["fedora_messaging", "fedora_messaging.pytest_plugin"]


def pytest_run(folder: Path, test: str) -> subprocess.CompletedProcess[str]:
    """Run a test of somebody else's, in whose folder nothing of ours is known but the installed library."""
    (folder / "test_application.py").write_text(test)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-q",
        "--rootdir",
        str(folder),
        str(folder),
    ]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)


def test_an_application_finds_the_fixtures_and_is_told_when_rabbitmq_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RABBITMQ_ROOT", raising=False)
    monkeypatch.setenv("RABBITMQ_HOME", str(tmp_path))
    told = pytest_run(tmp_path, "def test_it(amqp_url): pass\n")
    assert f"There is no RabbitMQ in {tmp_path}" in told.stdout
    assert "Traceback" not in told.stdout
    assert told.returncode == 1
