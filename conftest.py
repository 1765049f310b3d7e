# SPDX-License-Identifier: MIT
"""For all tests of the repository; fixtures belong beside the tests that use them."""

from __future__ import annotations

import functools
import re
import signal
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

# A shell without job control lets what it starts in the background ignore SIGINT, and so do the children of that;
# tests send it to programs that should end with it.
signal.signal(signal.SIGINT, signal.default_int_handler)

HERE = Path(__file__).parent
BROKER = re.compile(r"\b(PrivateNode|private_node|rabbitmq|amqp_url)\b|\bdemo\b")


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--broker with`` is for a second run against another RabbitMQ: the other tests would do the same again."""
    parser.addoption(
        "--broker",
        choices=["with", "without"],
        help="only the tests that may use a broker, or only those that cannot",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Choose by what a test and its fixtures are made of: see :func:`may_use_a_broker`."""
    wanted = config.getoption("broker")
    if wanted is not None:
        kept = [item for item in items if may_use_a_broker(item) == (wanted == "with")]
        config.hook.pytest_deselected(items=[item for item in items if item not in set(kept)])
        items[:] = kept


def may_use_a_broker(item: pytest.Item) -> bool:
    """Whether its file, a file with one of its fixtures, or a file of ours that one of them uses, speaks of a broker.

    The files of the packages themselves do not count: they speak of it all the time, and start none by themselves.
    A test that should be among them, and is not, fails in a run of the others where there is no RabbitMQ.
    """
    fixtures = item._fixtureinfo.name2fixturedefs.values()  # type: ignore[attr-defined]  # noqa: SLF001
    names = {item.obj.__module__, *(fixture[-1].func.__module__ for fixture in fixtures)}  # type: ignore[attr-defined]
    return any(map(speaks_of_a_broker, names))


@functools.cache
def speaks_of_a_broker(name: str) -> bool:
    """Whether the module of that name does, or one that it imports from."""
    return any(BROKER.search(Path(str(one.__file__)).read_text()) for one in reached({name}))


def reached(names: set[str]) -> Iterator[ModuleType]:
    """The modules of those names, and all that they import from, as far as they are files of tests."""
    seen: set[str] = set()
    while names - seen:
        name = (names - seen).pop()
        seen.add(name)
        module = sys.modules.get(name)
        if module is not None and ours(module):
            yield module
            for value in vars(module).values():
                names.add(
                    str(value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", ""))
                )


def ours(module: ModuleType) -> bool:
    """Whether it is a file of this repository, and of no package."""
    path = Path(getattr(module, "__file__", None) or "/")
    return path.is_relative_to(HERE) and not {"src", ".venv"} & set(path.relative_to(HERE).parts)
