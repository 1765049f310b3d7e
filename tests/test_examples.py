# SPDX-License-Identifier: MIT
"""Each example of the documentation does what it says."""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fedora_messaging import config
from fedora_messaging.exceptions import Drop
from fedora_messaging.message import Message

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fedora_messaging.private_node import PrivateNode

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
LISTENER = "from fedora_messaging import api; api.consume(lambda message: print(message.topic, message.body))"


class Terminal:
    """What a reader has in front of him: a folder, and a configuration that names his own broker."""

    def __init__(self, folder: Path, amqp_url: str) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "FEDORA_MESSAGING_CONF": str(folder / "shop.toml"),
            "PYTHONUNBUFFERED": "1",
        }
        self.configure(f'amqp_url = "{amqp_url}"\n')

    def configure(self, text: str) -> None:
        with (self.folder / "shop.toml").open("a", encoding="utf-8") as file:
            file.write(text)

    def run(self, *command: str | Path, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, *command],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    @contextlib.contextmanager
    def running(self, *command: str | Path) -> Iterator[subprocess.Popen[str]]:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()


@pytest.fixture
def terminal(tmp_path: Path, amqp_url: str) -> Terminal:
    return Terminal(tmp_path, amqp_url)


def line_with(process: subprocess.Popen[str], word: str) -> str:
    """The next line of output that has ``word``; the test's time limit bounds the wait."""
    assert process.stdout is not None
    for line in process.stdout:
        if word in line:
            return line
    raise AssertionError(f"the program ended without saying {word!r}")


def wait_for_binding(rabbitmq: PrivateNode, amqp_url: str) -> None:
    """Until a consumer has bound its queue to amq.topic: what is published from now on reaches it."""
    vhost = amqp_url.rpartition("/")[2]
    while not any(
        one["source"] == "amq.topic" for one in rabbitmq.management("GET", f"/api/bindings/{vhost}")
    ):
        time.sleep(0.1)


def test_what_is_published_is_shown(terminal: Terminal, rabbitmq: PrivateNode, amqp_url: str) -> None:
    with terminal.running(EXAMPLES / "consume.py") as consumer:
        wait_for_binding(rabbitmq, amqp_url)
        assert terminal.run(EXAMPLES / "publish.py").startswith("published ")
        assert line_with(consumer, "paid") == "org.example.shop.order.paid {'order': 42, 'total': '19.90'}\n"
        consumer.send_signal(signal.SIGINT)
        assert consumer.wait(timeout=20) == 0


def test_a_batch_is_published(terminal: Terminal) -> None:
    assert terminal.run(EXAMPLES / "publish_batch.py") == "published 1000\n"


def test_a_batch_that_fails_says_what_failed(terminal: Terminal) -> None:
    terminal.configure('publish_exchange = "nowhere"\n')
    lines = terminal.run(EXAMPLES / "publish_batch.py", code=1).splitlines()
    assert len(lines) == 1000
    assert lines[0].startswith("not published: 0 ")
    assert "nowhere" in lines[0]


def test_a_session_publishes_and_consumes(terminal: Terminal) -> None:
    assert terminal.run(EXAMPLES / "asyncio_session.py") == "org.example.shop.order.paid {'order': 42}\n"


def test_a_forked_web_server_publishes(terminal: Terminal, rabbitmq: PrivateNode, amqp_url: str) -> None:
    server = """
import os
import web
answers = []
web.application({"PATH_INFO": "/orders/1"}, lambda *answer: answers.append(answer[0]))
if child := os.fork():
    assert os.waitpid(child, 0)[1] == 0
    print(answers)
else:
    web.application({"PATH_INFO": "/orders/2"}, lambda *answer: answers.append(answer[0]))
    os._exit(answers != ["201 Created"] * 2)
"""
    terminal.environment["PYTHONPATH"] = str(EXAMPLES)
    with terminal.running("-c", LISTENER) as listener:
        wait_for_binding(rabbitmq, amqp_url)
        assert terminal.run("-c", server) == "['201 Created']\n"
        assert line_with(listener, "order.new").endswith("{'order': 1}\n")
        assert line_with(listener, "order.new").endswith("{'order': 2}\n")


def test_a_web_server_goes_on_without_a_broker(terminal: Terminal) -> None:
    terminal.environment["PYTHONPATH"] = str(EXAMPLES)
    (terminal.folder / "shop.toml").write_text('amqp_url = "amqp://127.0.0.1:1/"\n')
    served = (
        'import web; print(web.application({"PATH_INFO": "/orders/1"}, lambda *answer: print(answer[0])))'
    )
    assert terminal.run("-c", served) == "201 Created\n[b'thank you\\n']\n"


def test_an_order_is_counted_once_however_often_it_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.setitem(config.conf, "consumer_config", {"database": str(tmp_path / "till")})
    robust = importlib.import_module("robust")
    till = robust.Till()
    paid = Message(topic="org.example.shop.order.paid", body={"order": 42, "total": "19.90"})
    till(paid)
    till(paid)
    with sqlite3.connect(tmp_path / "till") as database:
        assert database.execute("SELECT count(*), sum(cents) FROM counted").fetchone() == (1, 1990)
    with pytest.raises(Drop):
        till(Message(topic="org.example.shop.order.paid", body={"order": 42}))
    monkeypatch.delitem(sys.modules, "robust")


def test_a_class_consumes_from_the_command_line(
    terminal: Terminal, rabbitmq: PrivateNode, amqp_url: str
) -> None:
    shutil.copy(EXAMPLES / "robust.py", terminal.folder)
    terminal.configure('[consumer_config]\ndatabase = "till"\n')
    consume = ["-m", "fedora_messaging", "consume", "--callback-file", "robust.py:Till"]
    with terminal.running(*consume) as consumer:
        wait_for_binding(rabbitmq, amqp_url)
        terminal.run(EXAMPLES / "publish.py")
        with contextlib.closing(sqlite3.connect(terminal.folder / "till")) as database:
            while database.execute("SELECT sum(cents) FROM counted").fetchone() != (1990,):
                time.sleep(0.1)
        consumer.send_signal(signal.SIGTERM)
        assert consumer.wait(timeout=20) == 0


def test_the_configuration_file_has_every_key_and_is_accepted() -> None:
    text = (EXAMPLES / "config.toml").read_text()
    sections = set(tomllib.loads(text)) | {line.strip("# ").partition(" =")[0] for line in text.splitlines()}
    assert sections >= set(config.DEFAULTS)
    loaded = config.LazyConfig().load_config(EXAMPLES / "config.toml")
    assert loaded["queues"].keys() == {"shop"}


@pytest.mark.slow
def test_the_tests_of_the_shop_pass(terminal: Terminal) -> None:
    for name in ("shop.py", "test_shop.py"):
        shutil.copy(EXAMPLES / name, terminal.folder)
    assert "3 passed" in terminal.run("-m", "pytest", "-q", "test_shop.py")


@pytest.mark.slow
def test_the_schema_package_installs_and_its_tests_pass(terminal: Terminal) -> None:
    site = terminal.folder / "site"
    uv = Path(sys.executable).with_name("uv")
    install: list[str | Path] = [
        uv,
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        site,
        EXAMPLES / "shop-messages",
    ]
    subprocess.run(install, check=True, timeout=120)
    terminal.environment["PYTHONPATH"] = str(site)
    shutil.copytree(EXAMPLES / "shop-messages" / "tests", terminal.folder / "tests")
    assert "passed" in terminal.run("-m", "pytest", "-q", "tests")
    named = "from fedora_messaging.message import get_class; print(get_class('shop.order.paid.v1').__name__)"
    assert terminal.run("-c", named) == "OrderPaidV1\n"
