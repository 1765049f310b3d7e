# SPDX-License-Identifier: MIT
"""A program that is ended before any one of its changes to the disk leaves a folder that can be used.

A child process does the operation, and ends at once (``os._exit``) when Python is about to make its n-th change in
the folder, for each n until it gets through.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fedmsg_migration_tools.pki.authority import Authority, Wish, chosen, utc_now
from fedmsg_migration_tools.pki.making import Pair
from fedmsg_migration_tools.pki.overview import overview

CHANGES = {"os.mkdir", "os.rename", "os.symlink", "os.remove", "os.rmdir", "os.chmod", "tempfile.mkdtemp"}


def crash(folder: Path, number: int, work: Callable[[], object]) -> bool:
    """Do it in a child that dies before its change of that number; whether it died."""
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        assert code in {0, 9}
        return code == 9
    seen = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        writes = (
            event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_CREAT)
        )
        if (event in CHANGES or writes) and (
            isinstance(arguments[0], int) or str(folder) in str(arguments[0])
        ):
            seen += 1
            if seen == number:
                os._exit(9)

    try:
        sys.addaudithook(hook)
        work()
    except BaseException:  # noqa: BLE001 - it must not return into the test
        os._exit(1)
    os._exit(0)


def usable(one: Authority) -> None:
    """The ledger is whole, and what it calls current is there with its key."""
    ledger = one.folder.ledger()
    overview(one.folder, utc_now())
    for record in [
        *ledger.authorities(),
        *filter(None, (ledger.current(leaf.name) for leaf in ledger.leafs())),
    ]:
        one.folder.pair(record.serial)
    for path in (one.folder.path / "issued").glob("*"):
        if path.name.startswith(".new-"):
            continue
        Pair.of((path / "cert.pem").read_bytes(), (path / "key.pem").read_bytes())
    for key in one.folder.path.rglob("key.pem"):
        assert key.stat().st_mode & 0o077 == 0


def mended(one: Authority) -> None:
    """Whatever writes next has put all in order."""
    one.refresh()
    usable(one)
    assert list(one.folder.path.rglob(".new-*")) == []
    assert overview(one.folder, utc_now()).warnings == []


OPERATIONS: dict[str, Callable[[Authority], object]] = {
    "issue": lambda one: one.issue("koji", Wish(("localhost",))),
    "renew": lambda one: one.renew(["bodhi"]),
    "revoke": lambda one: one.revoke(chosen("bodhi", None, replaced=False), "keyCompromise"),
    "renew --ca": lambda one: one.renew_authority(),
    "renew --ca --new-key": lambda one: one.renew_authority(new=True),
    "crl": lambda one: one.refresh(),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_that_is_cut_off(tmp_path: Path, operation: str) -> None:
    number, died = 0, True
    while died:
        number += 1
        one = Authority(tmp_path / str(number))
        one.init("Test CA")
        one.issue("bodhi", Wish())
        one.issue("rabbit", Wish(("localhost",)))
        keys = {path: path.read_bytes() for path in one.folder.path.glob("private/*/key.pem")}
        died = crash(one.folder.path, number, lambda one=one: OPERATIONS[operation](one))  # type: ignore[misc]
        usable(one)
        mended(one)
        assert {path: path.read_bytes() for path in keys} == keys
    assert number > 5


def test_a_beginning_that_is_cut_off(tmp_path: Path) -> None:
    number, died = 0, True
    while died:
        number += 1
        one = Authority(tmp_path / str(number))
        died = crash(one.folder.path, number, lambda one=one: one.init("Test CA"))  # type: ignore[misc]
        if not (one.folder.path / "ledger.json").exists():
            one.init("Test CA")
        mended(one)
        one.issue("bodhi", Wish())
    assert number > 10
