# SPDX-License-Identifier: MIT
"""What goes wrong when a node is started: one sentence, the end of the log, and nothing left behind."""

import os
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedora_messaging.private_node import NodeError, PrivateNode


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where temporary folders are made; after the test, none is left, nor a child of this process."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    children = Path(f"/proc/self/task/{threading.get_native_id()}/children")
    before = children.read_text()
    yield tmp_path
    assert children.read_text() == before
    assert list(tmp_path.glob("rabbitmq-*")) == []


def failure(node: PrivateNode) -> NodeError:
    with pytest.raises(NodeError) as caught:
        node.start()
    assert "\n" not in caught.value.reason
    assert not node.running
    return caught.value


def test_a_wrong_configuration() -> None:
    error = failure(PrivateNode(plugins=(), config={"no.such.key": 1}))
    assert error.reason == (
        "RabbitMQ exited with status 1 before it was ready: rabbitmq.conf: there is no setting no.such.key."
    )
    assert "BOOT FAILED" in error.log.splitlines()
    assert str(error) == f"{error.reason}\n{error.log}"


def test_a_given_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        began = time.monotonic()
        error = failure(PrivateNode(ports={"amqp": port}))
    assert str(error) == f"Port {port} on 127.0.0.1 cannot be used for amqp: it is taken by another program."
    assert time.monotonic() - began < 2


def test_too_little_time() -> None:
    error = failure(PrivateNode(timeout=0.5))
    assert error.reason.startswith("RabbitMQ was not ready after 0.5")


def test_no_such_plugin() -> None:
    error = failure(PrivateNode(plugins=["rabbitmq_nothing"]))
    assert str(error).endswith("has no plugin rabbitmq_nothing.")


def test_no_rabbitmq(temporary: Path) -> None:
    assert "There is no RabbitMQ in" in str(failure(PrivateNode(rabbitmq_home=temporary)))


def test_a_folder_that_cannot_be_made(temporary: Path) -> None:
    (temporary / "file").touch()
    error = failure(PrivateNode(temporary / "file" / "data"))
    assert str(error) == f"The private node cannot be set up: Not a directory: {temporary}/file/data."


def test_a_failure_keeps_a_given_folder(temporary: Path) -> None:
    failure(PrivateNode(temporary / "data", plugins=(), timeout=0.3))
    assert (temporary / "data" / "rabbitmq.conf").exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder], check=False).returncode:
        pytest.skip("only root may mount a small file system, and not in every container")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")
def test_no_space_on_the_disk(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk))
    error = failure(PrivateNode())
    assert str(error).startswith(f"There is not enough space on the disk of {small_disk}")
    assert str(error).endswith("1 MB free, a node needs 100 MB.")
    assert list(small_disk.iterdir()) == []


def test_what_needs_a_started_node_says_so() -> None:
    node = PrivateNode()
    for attempt in (lambda: node.amqp_url, lambda: node.folder, lambda: node.pid, lambda: node.evaluate("1")):
        with pytest.raises(NodeError, match=r"has not been started|does not run"):
            attempt()
    assert not node.running
    assert node.log() == ""
    node.close()
    node.kill()
