# SPDX-License-Identifier: MIT
"""Real schema packages beside this library: they load, and the test suites that they carry pass, unmodified.

The suites run in an environment of their own, with the wheel of this library where they expect
fedora-messaging 3.x. The numbers of tests are those that pass with fedora-messaging 3.9.1 in the same environment.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

import pytest

from tests.interop.schema_environment import Environment, build

pytestmark = [pytest.mark.interop, pytest.mark.timeout(900)]


@dataclass(frozen=True)
class Suite:
    """The tests in a package's source distribution: how many pass, and which files are left out."""

    passed: int
    only: tuple[str, ...] = ()


SUITES = {
    "anitya-schema": Suite(103),
    "bodhi-messages": Suite(30),
    "bugzilla2fedmsg-schema": Suite(22),
    "copr-messaging": Suite(40),
    "discourse2fedmsg-messages": Suite(16),
    "fedocal-messages": Suite(52),
    "fedora-messaging-git-hook-messages": Suite(12),
    "fedora-messaging-the-new-hotness-schema": Suite(18),
    # Left out: tests/test_schema.py, which imports from a tests/__init__.py that the distribution lacks.
    "fedora-planet-messages": Suite(14, only=("tests/test_build.py", "tests/test_post_messages.py")),
    "fedorainfra-ansible-messages": Suite(11),
    "koji-fedoramessaging-messages": Suite(30),
    "noggin-messages": Suite(4),
    "nuancier-messages": Suite(6),
    "pagure-messages": Suite(199),
}
# Left out, for reasons of their own (the same with 3.9.1):
#   ci-messages                           reads its schemas from /usr/share, where only its RPM puts them
#   journal-to-fedora-messaging-messages  its class fails fedocal's suite, which looks at all installed classes
# Without tests, but installed and loaded: all others of schema-packages.txt.

CLASSES = 157

# Prints what becomes of each declared class: its schema is one, and its message knows its own name.
INSPECT = """
import json, logging, sys
from fedora_messaging import message, registry
logging.basicConfig(stream=sys.stderr)
found = {}
for name in sorted(one.name for one in registry.declarations()):
    cls = message.get_class(name)
    try:
        cls(body={}).validate()
    except Exception as exc:
        verdict = type(exc).__module__ + "." + type(exc).__name__
    else:
        verdict = "valid"
    headers = cls(body={})._headers
    found[name] = [message.get_name(cls), headers["fedora_messaging_schema_package"], verdict]
json.dump(found, sys.stdout)
"""


@pytest.fixture(scope="module")
def environment() -> Environment:
    return build(list(SUITES))


@pytest.mark.parametrize(("package", "suite"), SUITES.items())
def test_the_suite_that_a_package_carries_passes(
    environment: Environment, package: str, suite: Suite
) -> None:
    done = environment.run(
        *["-m", "pytest", "-q", "-p", "no:cacheprovider", *suite.only], cwd=environment.source(package)
    )
    passed = re.search(r"(\d+) passed", done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert passed is not None
    assert int(passed[1]) == suite.passed


def test_the_suites_saw_this_library(environment: Environment) -> None:
    code = (
        "import fedora_messaging.message, importlib.metadata\n"
        "print(importlib.metadata.version('fedora-messaging'), fedora_messaging.message.__file__)"
    )
    version, path = environment.run("-c", code).stdout.split()
    assert version.startswith("3.100.")
    assert "site-packages" in path


def test_every_class_of_every_package_loads_and_has_a_schema(environment: Environment) -> None:
    done = environment.run("-c", INSPECT)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found) == CLASSES
    assert {name: row[0] for name, row in found.items()} == {name: name for name in found}
    assert {row[2] for row in found.values()} <= {"valid", "jsonschema.exceptions.ValidationError"}
    # Two packages declare "discourse.event.v1"; which of them has it is open, as it is in 3.x.
    missing = {name.replace("-", "_") for name in environment.packages()} - {row[1] for row in found.values()}
    assert missing <= {"discourse2fedmsg_messages"}
    assert "cannot be imported" not in done.stderr
