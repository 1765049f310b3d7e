# SPDX-License-Identifier: MIT
"""Endpoints from options, files and folders: fedmsg's own files work, and nothing in them is executed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from fedmsg_migration_tools.endpoints import read, read_config
from fedmsg_migration_tools.exceptions import ToolsError

if TYPE_CHECKING:
    from pathlib import Path

SHIPPED = """\
# as fedmsg ships it
import socket
hostname = socket.gethostname().split('.', 1)[0]

config = dict(
    endpoints={
        "relay_outbound": ["tcp://*:4001"],
        "relay_inbound": "tcp://127.0.0.1:2003",
        "bodhi.%s" % hostname: ["tcp://127.0.0.1:3001", "tcp://127.0.0.1:3002"],
        "fas.%s" % hostname: "tcp://127.0.0.1:3003",
    },
    certnames=dict([("shell." + hostname, "shell-" + hostname)]),
    relay_inbound=["tcp://127.0.0.1:2003"],
    high_water_mark=0,
)
"""


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def one_line(path: str) -> str:
    with pytest.raises(ToolsError) as caught:
        read([path])
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_endpoints_come_as_they_were_given_each_once() -> None:
    assert read(["tcp://b:2", "ipc:///run/a", "tcp://b:2"]) == ["tcp://b:2", "ipc:///run/a"]


def test_the_file_that_fedmsg_ships_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "endpoints.py", SHIPPED)
    assert read([path, "tcp://127.0.0.1:3002"]) == [
        "tcp://127.0.0.1:4001",
        "tcp://127.0.0.1:3001",
        "tcp://127.0.0.1:3002",
        "tcp://127.0.0.1:3003",
    ]
    assert "certnames" not in read_config(path)  # its value hangs on the host's name
    assert read_config(path)["relay_inbound"] == ["tcp://127.0.0.1:2003"]


def test_names_sums_and_formats_of_texts_are_data(tmp_path: Path) -> None:
    path = write(
        tmp_path / "bodhi.py",
        "suffix = 'phx2.example.org'\n"
        "ports: list = ['3000'] + ['3001']\n"
        "first = ['tcp://app01.%s:%s' % (suffix, '3000'), 'tcp://app01.' + suffix + ':%d' % 3001]\n"
        "config = dict(endpoints=dict(**{'a': first}, b='tcp://%(host)s:1' % {'host': 'h'}))\n"
        "config['endpoints']['c'] = ('tcp://c:1',)\n"
        "config.update(environment='prod', timeout=-1)\n",
    )
    assert read([path])[:3] == [
        "tcp://app01.phx2.example.org:3000",
        "tcp://app01.phx2.example.org:3001",
        "tcp://h:1",
    ]
    assert read([path])[3:] == ["tcp://c:1"]
    assert read_config(path)["environment"] == "prod"
    assert read_config(path)["timeout"] == -1


def test_a_literal_alone_is_a_file_too(tmp_path: Path) -> None:
    assert read([write(tmp_path / "a.json", '{"endpoints": {"a": ["tcp://a:1"]}, "active": false}')]) == [
        "tcp://a:1"
    ]


def test_the_files_of_a_folder_are_merged_in_the_order_of_their_names(tmp_path: Path) -> None:
    write(
        tmp_path / "b.py",
        "config = {'endpoints': {'x': ['tcp://new:1'], 'z': ['tcp://z:1']}, 'ssldir': '/b'}",
    )
    write(
        tmp_path / "a.py",
        "config = {'endpoints': {'x': ['tcp://old:1'], 'y': ['tcp://y:1']}, 'ssldir': '/a'}",
    )
    write(tmp_path / "c.py.rpmsave", "no python")
    write(tmp_path / "d.py", "config = dict(sign_messages=False, routing_policy={'t': ['n']})")
    (tmp_path / "e.py").mkdir()
    assert read([str(tmp_path)]) == ["tcp://new:1", "tcp://y:1", "tcp://z:1"]
    assert read_config(str(tmp_path))["ssldir"] == "/b"
    assert read_config(str(tmp_path))["routing_policy"] == {"t": ["n"]}


@pytest.mark.parametrize(
    "expression",
    [
        "'tcp://%s:1' % hostname",
        "os.environ['ENDPOINT']",
        "f'tcp://{1}:1'",
        "[e for e in ('tcp://a:1',)]",
        "'%999999999d' % 1",
        "open('x').read()",
        "lambda: 'tcp://a:1'",
        "'tcp://{}:1'.format('a')",
    ],
)
def test_what_is_not_data_is_named_with_its_place(tmp_path: Path, expression: str) -> None:
    path = write(
        tmp_path / "a.py",
        f"import os, socket\nhostname = socket.gethostname()\nconfig = dict(endpoints={{\n  'a': [{expression}]}})",
    )
    error = one_line(path)
    assert error.startswith(f"{path}:4: {expression} is not data")
    assert "not executed" in error


@pytest.mark.parametrize(
    "statement",
    [
        "if True: endpoints['b'] = ['tcp://b:1']",
        "for name in 'bc': endpoints[name] = ['tcp://b:1']",
        "with_more(endpoints)",
        "del endpoints['a']",
        "def change(): endpoints.clear()",
    ],
)
def test_a_statement_that_may_change_the_endpoints_makes_them_unreadable(
    tmp_path: Path, statement: str
) -> None:
    path = write(
        tmp_path / "a.py",
        f"endpoints = {{'a': ['tcp://a:1']}}\nconfig = {{'endpoints': endpoints, 'active': True}}\n{statement}\n",
    )
    assert one_line(path).startswith(f"{path}:3: {statement} is not data")
    assert read_config(path) == {"active": True}


def test_a_later_file_may_say_what_an_earlier_one_left_open(tmp_path: Path) -> None:
    write(tmp_path / "a.py", "import os\nconfig = dict(endpoints={'a': [os.environ['A']]})")
    assert "os.environ['A'] is not data" in one_line(str(tmp_path))
    write(tmp_path / "b.py", "config = dict(endpoints={'a': ['tcp://a:1']})")
    assert read([str(tmp_path)]) == ["tcp://a:1"]


def test_a_file_is_never_executed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    path = write(
        tmp_path / "a.py",
        f"open({str(victim)!r}, 'w')\n__import__('os').mkdir({str(victim)!r})\n"
        f"config = dict(endpoints={{'a': ['tcp://a:1']}}, x=[open({str(victim)!r}, 'w') for _ in 'a'])\n",
    )
    assert read([path]) == ["tcp://a:1"]
    assert not victim.exists()


HOSTILE = {
    "long": "config = dict(endpoints=['tcp://a:1'])\n" + "#" * 10_000_000,
    "brackets": "config = " + "[" * 100_000 + "]" * 100_000,
    "minus": "config = " + "-" * 500_000 + "1",
    "sum": "config = " + "1+" * 400_000 + "1",
    "attributes": "config = a" + ".a" * 400_000,
    "calls": "config = a" + "()" * 400_000,
    "not": "config = " + "not " * 200_000 + "1",
    "ifs": "".join(" " * i + "if 1:\n" for i in range(150)) + " " * 150 + "config = {}",
    "doubling text": "a = 'xxxxxxxx'\n" + "a = a + a\n" * 100 + "config = {'endpoints': a}",
    "doubling list": "a = ['tcp://a:1']\n" + "a = a + a\n" * 100 + "config = {'endpoints': a}",
    "sharing": "a = ['tcp://a:1']\n" + "a = [a, a]\n" * 100 + "config = {'endpoints': a}",
    "itself": "a = {}\na['a'] = a\nconfig = {'endpoints': a}",
    "itself as config": "config = {}\nconfig['endpoints'] = config",
    "unreadable": "config = {" + "f():1," * 80_000 + "}",
    "one line": "config = {'endpoints': [" + "f()," * 100_000 + "]}",
    "big number": "config = " + "1" * 100_000,
    "zero byte": "config = \0{}",
    "unhashable": "config = {'endpoints': {[]: {}, {}: [[]]}}",
    "surrogate": "config = {'endpoints': ['tcp://a:1', 1, None, b'x']}",
    "no config": "endpoints = ['tcp://a:1']",
    "no dictionary": "config = ['tcp://a:1']",
    "empty": "",
    "python 2": "print 'tcp://a:1'",
    "no endpoints": "config = dict(endpoints={})",
    "number": "config = dict(endpoints=7)",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_ends_in_one_line(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "a.py", HOSTILE[name])
    started = time.monotonic()
    assert one_line(path).startswith(path)
    assert time.monotonic() - started < 10


def test_hostile_files_can_be_merged(tmp_path: Path) -> None:
    text = (
        "d = {}\n"
        + "d = {'a': d, 'b': d}\n" * 60
        + "d['c'] = d\nconfig = {'d': d, 'endpoints': ['tcp://a:1']}"
    )
    for name in "abc":
        write(tmp_path / f"{name}.py", text)
    assert read([str(tmp_path)]) == ["tcp://a:1"]


def test_what_is_not_there_or_not_to_be_read_ends_in_one_line(tmp_path: Path) -> None:
    assert "neither an endpoint" in one_line(str(tmp_path / "nothing.py"))
    assert "neither an endpoint" in one_line("localhost:9940")
    assert "neither an endpoint" in one_line("/dev/zero")
    assert "no endpoints" in one_line(str(tmp_path))
    (tmp_path / "a.py").write_bytes(b"# \xe9\nconfig = {}")
    assert "is no UTF-8" in one_line(str(tmp_path))
    one_line("a\0b")
