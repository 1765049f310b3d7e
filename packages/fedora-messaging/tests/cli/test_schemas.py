# SPDX-License-Identifier: MIT
"""``fedora-messaging schemas``: the table of classes, and the check of a file. Packages are installed for the test."""

import json
from typing import Any

import pytest

PACKAGE = """
from fedora_messaging import message

class Old(message.Message):
    topic = "app.old"
    severity = message.ERROR
    deprecated = True

class New(message.Message):
    body_schema = {"type": "object", "required": ["who"]}

not_a_class = 5
"""

ENTRY_POINTS = """
app.old = app_messages:Old
app.new = app_messages:New
app.number = app_messages:not_a_class
app.missing = app_messages:Missing
app.broken = app_broken:Message
"""


@pytest.fixture
def installed(command: Any) -> Any:
    """The command, with a distribution that declares good and bad classes."""
    broken = "raise RuntimeError('built for\\nanother world')"
    command.install("App.Messages", "2.5", {"app_messages": PACKAGE, "app_broken": broken}, ENTRY_POINTS)
    return command


def test_lists_classes_and_what_is_wrong_with_them(installed: Any) -> None:
    told = installed("schemas")
    assert (told.returncode, told.stderr) == (0, "")
    rows = {line.split()[0]: " ".join(line.split()) for line in told.stdout.splitlines()}
    assert rows["NAME"] == "NAME PACKAGE TOPIC SEVERITY DEPRECATED"
    assert rows["app.old"] == "app.old App.Messages 2.5 app.old error yes"
    assert rows["app.new"] == "app.new App.Messages 2.5 - info no"
    assert (
        rows["app.number"]
        == "app.number App.Messages 2.5 broken: app_messages:not_a_class is not a class of messages"
    )
    assert rows["app.missing"].startswith("app.missing App.Messages 2.5 broken: AttributeError: ")
    assert rows["app.broken"] == "app.broken App.Messages 2.5 broken: RuntimeError: built for another world"
    assert rows["base.message"] == "base.message fedora-messaging 3.100.0 - info no"


def test_lists_them_as_json(installed: Any) -> None:
    listed = {one["name"]: one for one in json.loads(installed("schemas", "--json").stdout)}
    assert listed["app.old"] == {
        "name": "app.old", "package": "App.Messages", "version": "2.5", "topic": "app.old", "severity": 40,
        "deprecated": True, "error": None,
    }  # fmt: skip
    assert listed["app.broken"]["error"] == "RuntimeError: built for another world"


def message(schema: str, body: Any) -> str:
    headers = {
        "fedora_messaging_schema": schema,
        "fedora_messaging_severity": 20,
        "sent-at": "2019-07-30T19:12:22+00:00",
    }
    return json.dumps({"topic": "t", "body": body, "headers": headers, "id": "x"}) + "\n"


def test_names_each_bad_line_of_a_file(installed: Any) -> None:
    good, bad = message("app.new", {"who": 1}), message("app.new", {})
    installed.write("file", good + bad + "\nnonsense\n" + message("nobody.has.it", {}) * 2 + good)
    told = installed("schemas", "file")
    assert told.returncode == 2
    assert told.stdout.splitlines() == [
        "line 2: 'who' is a required property",
        "line 4: Expecting value: line 1 column 1 (char 0)",
        "2 messages of the schema 'nobody.has.it', which is not installed: checked as plain",
        "4 valid messages, 2 bad lines",
    ]
    assert told.stderr == ""


def test_checks_a_file_as_json(installed: Any) -> None:
    told = installed("schemas", "--json", "-", stdin=message("app.new", {}) + message("app.old", {}))
    assert told.returncode == 2
    bad = [{"number": 1, "reason": "'who' is a required property"}]
    assert json.loads(told.stdout) == {"valid": 1, "bad": bad, "unknown_schemas": {}}


def test_a_good_file_is_0(installed: Any) -> None:
    told = installed("schemas", "-", stdin=message("app.new", {"who": 1}))
    assert (told.returncode, told.stdout, told.stderr) == (0, "1 valid message, 0 bad lines\n", "")
