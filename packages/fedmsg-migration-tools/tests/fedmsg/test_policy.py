# SPDX-License-Identifier: MIT
"""The routing policy: a listed topic has its signers, the others are free unless it is nitpicky."""

from __future__ import annotations

import pytest

from fedmsg_migration_tools.fedmsg.policy import Policy

ROUTING = {"org.example.prod.build": ["builder", "backup"], "org.example.prod.closed": []}


@pytest.mark.parametrize(
    ("topic", "cn", "nitpicky", "allowed"),
    [
        ("org.example.prod.build", "builder", False, True),
        ("org.example.prod.build", "backup", True, True),
        ("org.example.prod.build", "wiki", False, False),
        ("org.example.prod.build", "build", False, False),
        ("org.example.prod.closed", "builder", False, False),
        ("org.example.prod.build.start", "wiki", False, True),
        ("org.example.prod", "wiki", False, True),
        ("org.example.prod.build.start", "builder", True, False),
        ("", "builder", False, True),
    ],
)
def test_who_may_publish_what(topic: str, cn: str, nitpicky: bool, allowed: bool) -> None:
    assert Policy(ROUTING, nitpicky).allows(topic, cn) is allowed


def test_without_a_policy_everybody_may_unless_it_is_nitpicky() -> None:
    assert Policy().allows("a.b", "anyone")
    assert not Policy({}, nitpicky=True).allows("a.b", "anyone")


def test_one_name_that_stands_alone_is_one_name() -> None:
    policy = Policy({"a.b": "builder"})
    assert policy.allows("a.b", "builder")
    assert not policy.allows("a.b", "b")
