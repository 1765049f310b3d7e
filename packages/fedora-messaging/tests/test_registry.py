# SPDX-License-Identifier: MIT
"""Finding message classes: packages here are real folders with metadata, in an interpreter of its own."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from fedora_messaging import message, registry

if TYPE_CHECKING:
    from pathlib import Path

#: Runs code with packages installed (name → source of the module, entry points); the lines that it prints.
Run = Callable[[str, dict[str, tuple[str, str]]], list[str]]

PACKAGE = """
    from fedora_messaging import message

    class Hello(message.Message):
        class Inner(message.Message):
            pass

    class Unknown(message.Message):
        pass
"""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs code with these packages installed: name → (the module's source, its entry points)."""

    def run(code: str, packages: dict[str, tuple[str, str]]) -> list[str]:
        for name, (source, points) in packages.items():
            module = name.replace("-", "_").replace(".", "_")
            (tmp_path / f"{module}.py").write_text(textwrap.dedent(source))
            info = tmp_path / f"{module}-1.0.dist-info"
            info.mkdir()
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
            (info / "entry_points.txt").write_text(f"[fedora.messages]\n{textwrap.dedent(points)}\n")
        lead = f"import sys, logging; sys.path.insert(0, {str(tmp_path)!r}); logging.basicConfig(stream=sys.stdout)\n"
        done = subprocess.run(
            [sys.executable, "-c", lead + textwrap.dedent(code)],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return run


def test_only_the_class_that_is_asked_for_is_imported(run: Run) -> None:
    lines = run(
        """
        from fedora_messaging.message import get_class
        cls = get_class("hello.v1")
        print(cls.__module__, cls.__qualname__, "other_messages" in sys.modules)
        print(get_class("hello.inner").__qualname__)
        """,
        {
            "Hello.Messages": (
                PACKAGE,
                "hello.v1 = Hello_Messages:Hello\nhello.inner = Hello_Messages:Hello.Inner",
            ),
            "other-messages": (PACKAGE, "other = other_messages:Hello"),
        },
    )
    assert lines == ["Hello_Messages Hello False", "Hello.Inner"]


def test_a_message_names_its_class_and_package_and_imports_no_other(run: Run) -> None:
    lines = run(
        """
        from fedora_messaging.message import get_name
        from Hello_Messages import Hello
        print(get_name(Hello), get_name(Hello.Inner), Hello()._headers["fedora_messaging_schema_package"])
        print("other_messages" in sys.modules)
        """,
        {
            "Hello.Messages": (
                PACKAGE,
                "hello.v1 = Hello_Messages:Hello\nhello.inner = Hello_Messages:Hello.Inner",
            ),
            "other-messages": (PACKAGE, "other = other_messages:Hello"),
        },
    )
    assert lines == ["hello.v1 hello.inner hello_messages", "False"]


def test_messages_of_the_base_class_need_no_entry_points(run: Run) -> None:
    lines = run(
        """
        from fedora_messaging import message, registry
        print(message.Message()._headers["fedora_messaging_schema_package"], registry._table._by_name)
        """,
        {},
    )
    assert lines == ["fedora_messaging None"]


def test_a_class_that_is_declared_under_another_module_is_found(run: Run) -> None:
    lines = run(
        """
        from fedora_messaging.message import get_name
        from hello_messages import Hello, Unknown
        print(get_name(Hello))
        try:
            get_name(Unknown)
        except TypeError as exc:
            print("Unknown" in str(exc))
        """,
        {
            "hello-messages": (PACKAGE, ""),
            "re-export": ("from hello_messages import Hello as Renamed", "hello.renamed = re_export:Renamed"),
        },
    )
    assert lines == ["hello.renamed", "True"]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("", "AttributeError: module 'broken_messages' has no attribute 'Broken'"),
        ("Broken = 5", "TypeError: broken_messages:Broken is not a class"),
    ],
)
def test_a_broken_package_leaves_one_warning_and_harms_no_other(run: Run, source: str, reason: str) -> None:
    lines = run(
        """
        from fedora_messaging import message
        message.load_message_classes()
        message.load_message_classes()
        print(message._schema_name_to_class["hello.v1"].__qualname__, message.get_name(message.Message))
        print(message.get_class("broken") is message.Message)
        """,
        {
            "broken-messages": (source, "broken = broken_messages:Broken"),
            "hello-messages": (PACKAGE, "hello.v1 = hello_messages:Hello"),
        },
    )
    assert len(lines) == 4
    warning, found, unknown, is_base = lines
    assert warning.startswith("WARNING:fedora_messaging.registry:")
    assert "'broken_messages'" in warning
    assert f"({reason}" in warning
    assert found == "Hello base.message"
    assert "'broken'" in unknown
    assert is_base == "True"


def test_a_class_that_is_no_message_is_not_taken_for_one(run: Run) -> None:
    lines = run(
        """
        from fedora_messaging import message
        print(message.get_class("odd") is message.Message)
        """,
        {"odd-messages": ("class Odd: pass", "odd = odd_messages:Odd")},
    )
    assert lines[-1] == "True"


def test_many_threads_may_ask_at_once(run: Run) -> None:
    lines = run(
        """
        from concurrent.futures import ThreadPoolExecutor
        from fedora_messaging.message import get_class, get_name
        def ask(number):
            cls = get_class(f"hello.v{number % 4}")
            return cls.__qualname__, get_name(cls)
        with ThreadPoolExecutor(16) as pool:
            answers = set(pool.map(ask, range(200)))
        print(sorted(answers))
        """,
        {
            "hello-messages": (
                "import time; time.sleep(0.1)\nfrom fedora_messaging.message import Message\n"
                + "".join(f"class V{number}(Message): pass\n" for number in range(4)),
                "\n".join(f"hello.v{number} = hello_messages:V{number}" for number in range(4)),
            )
        },
    )
    assert lines == [str([(f"V{number}", f"hello.v{number}") for number in range(4)])]


def test_a_fork_while_another_thread_reads_the_declarations(run: Run) -> None:
    lines = run(
        """
        import os, threading
        from fedora_messaging import message, registry
        held = threading.Event()
        def hold():
            with registry._table._lock:
                held.set()
                threading.Event().wait()
        threading.Thread(target=hold, daemon=True).start()
        held.wait()
        child = os.fork()
        if not child:
            os._exit(0 if message.get_class("hello.v1").__name__ == "Hello" else 1)
        print(os.waitpid(child, 0)[1])
        """,
        {"hello-messages": (PACKAGE, "hello.v1 = hello_messages:Hello")},
    )
    assert lines == ["0"]


def test_of_two_names_the_later_counts_as_in_3_x(run: Run) -> None:
    lines = run(
        """
        from fedora_messaging.message import get_class, get_name, load_message_classes
        load_message_classes()
        print(get_name(get_class("first")), get_class("first") is get_class("second"))
        """,
        {"hello-messages": (PACKAGE, "first = hello_messages:Hello\nsecond = hello_messages:Hello")},
    )
    assert lines == ["second True"]


def test_declarations_are_listed_without_importing_them(run: Run) -> None:
    lines = run(
        """
        from fedora_messaging import registry
        print([(d.name, d.module, d.attribute, d.package) for d in registry.declarations() if d.name == "hello.v1"])
        print("hello_messages" in sys.modules)
        """,
        {"hello-messages": (PACKAGE, "hello.v1 = hello_messages:Hello")},
    )
    assert lines == ["[('hello.v1', 'hello_messages', 'Hello', 'hello_messages')]", "False"]


def test_what_a_test_took_away_is_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(message._class_to_schema_name, message.Message)
    monkeypatch.delitem(message._schema_name_to_class, "base.message")
    assert message.get_name(message.Message) == "base.message"
    assert message.get_class("base.message") is message.Message


@pytest.mark.parametrize(("name", "normal"), [("A.b-_c", "a_b_c"), ("bodhi-messages", "bodhi_messages")])
def test_normalise(name: str, normal: str) -> None:
    assert registry.normalise(name) == normal


@pytest.mark.parametrize("name", [None, 5, [], {}])
def test_what_is_no_name_names_no_class(name: object) -> None:
    assert registry.find_class(name) is None
