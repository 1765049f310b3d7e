# SPDX-License-Identifier: MIT
"""Finding the callback: which one, and what is said of one that cannot be used."""

import sys
from pathlib import Path
from typing import Any

import pytest

from fedora_messaging.cli import callback
from fedora_messaging.cli.failures import Failure
from fedora_messaging.cli.settings import Callback

SCRIPT = """
from __future__ import annotations
import dataclasses, logging

@dataclasses.dataclass
class Seen:
    topic: str

def function(message):
    return Seen("topic")

async def later(message): ...

class Kept:
    def __call__(self, message): return self

class Fails:
    def __init__(self): raise ValueError("no database\\nat all")
    def __call__(self, message): ...

class Wants:
    def __init__(self, something): ...
    def __call__(self, message): ...

class NotCallable: ...
class Outer:
    @staticmethod
    def inner(message): return "inner"
number = 5
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "my_script.py"
    path.write_text(SCRIPT)
    return path


def load(module: str | None = None, file: str | None = None, configured: str | None = None) -> Any:
    return callback.load(Callback(module, file), {"callback": configured})


def test_a_file_wins_over_a_module_over_the_configuration(script: Path) -> None:
    printer = "fedora_messaging.example:printer"
    assert load(printer, f"{script}:function")(None).topic == "topic"
    assert load(printer, None, "json:loads").__name__ == "printer"
    assert load(None, None, "json:loads").__name__ == "loads"


def test_classes_are_instantiated_and_names_may_have_dots(script: Path) -> None:
    kept = load(file=f"{script}:Kept")
    assert kept(None) is kept
    assert load(file=f"{script}:Outer.inner")(None) == "inner"


def test_a_file_named_like_a_module_replaces_none(tmp_path: Path) -> None:
    path = tmp_path / "json.py"
    path.write_text("def function(message): return __name__")
    assert load(file=f"{path}:function")(None) == "callback_json"
    assert hasattr(sys.modules["json"], "dumps")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "no callback: give one by --callback MODULE:OBJ"),
        (
            {"module": "fedora_messaging.example"},
            "--callback fedora_messaging.example: it must have the form MODULE:OBJ",
        ),
        ({"configured": "x"}, "callback 'x' of the configuration: it must have the form"),
        ({"module": "fedora_messaging.nope:x"}, "there is no module 'fedora_messaging.nope' here"),
        ({"module": "nope_at_all.deep:x"}, "there is no module 'nope_at_all' here"),
        ({"module": "fedora_messaging.example:nope"}, "there is no 'nope' in fedora_messaging.example"),
        ({"module": "fedora_messaging.example:__name__"}, "the callback must be a function"),
        (
            {"module": "antigravity_raises:x"},
            "importing antigravity_raises failed: ValueError: boo (",
        ),
        (
            {"module": "needs_another:x"},
            "importing needs_another failed: ModuleNotFoundError: No module named 'other_x'",
        ),
        ({"module": "leaves:x"}, "importing leaves failed: SystemExit: 4"),
        ({"file": "nope.py:x"}, "cannot read nope.py: No such file or directory"),
        ({"file": "my_script.py"}, "it must have the form FILE:OBJ"),
        ({"file": "my_script.py:"}, "it must have the form FILE:OBJ"),
        ({"file": "my_script.py:nope"}, "there is no 'nope' in my_script.py"),
        ({"file": "my_script.py:number"}, "the callback must be a function"),
        ({"file": "my_script.py:NotCallable"}, "the callback must be a function"),
        (
            {"file": "my_script.py:Fails"},
            "making an instance failed: ValueError: no database at all (my_script.py, line 18)",
        ),
        ({"file": "my_script.py:Wants"}, "making an instance failed: TypeError: "),
        ({"file": "broken.py:x"}, "broken.py, line 2: "),
        (
            {"file": "raises.py:x"},
            "running raises.py failed: ZeroDivisionError: division by zero (raises.py, line 1)",
        ),
        ({"file": "binary.py:x"}, "binary.py"),
    ],
)
def test_what_cannot_be_used_is_one_line_and_2(
    arguments: dict[str, str], words: str, script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(script.parent)
    monkeypatch.syspath_prepend(script.parent)
    Path("antigravity_raises.py").write_text("raise ValueError('boo')")
    Path("needs_another.py").write_text("import other_x")
    Path("leaves.py").write_text("raise SystemExit(4)")
    Path("broken.py").write_text("x = 1\ndef f(:\n")
    Path("raises.py").write_text("1/0")
    Path("binary.py").write_bytes(b"x = '\xff\0'")
    with pytest.raises(Failure) as failed:
        load(**arguments)
    assert words in failed.value.message
    assert "\n" not in failed.value.message
    assert failed.value.exit_code == 2


def test_the_command_says_it_in_one_line(command: Any) -> None:
    told = command("consume", "--callback", "nope:x")
    assert told.returncode == 2
    assert told.stderr.startswith("Error: --callback nope:x: there is no module 'nope' here")
    assert told.stderr.count("\n") == 1
