# SPDX-License-Identifier: MIT
"""The table of permissions: a real broker answers as the file says, and the page in the docs is what it answers."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

import pytest

from fedora_messaging.exceptions import PublishForbidden

from .actions import ACTIONS
from .expected import outcome, users
from .table import PAGE, Outcomes, outcomes, page

if TYPE_CHECKING:
    from .actions import Action
    from .bus import Place


@pytest.fixture(scope="session")
def found(place: Place) -> Outcomes:
    """Everything tried once, with each version of TLS."""
    return outcomes(place)


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: f"{action.vhost} {action.text}")
def test_none_is_unexpected(found: Outcomes, action: Action) -> None:
    errors = {user: found[user, action] for user in users()}
    classes = {user: "yes" if error is None else type(error).__name__ for user, error in errors.items()}
    assert classes == {user: outcome(user, action) for user in users()}, errors
    assert all("\n" not in str(error) for error in errors.values())


def test_each_action_is_allowed_to_somebody_and_refused_to_somebody() -> None:
    """Otherwise it would show nothing; some are refused to all of these users."""
    for user in ("bodhi", "koji", "fedora", "admin", "amqp-to-zmq"):
        assert {outcome(user, action) == "yes" for action in ACTIONS} == {True, False}
    refused = {error for action in ACTIONS for user in users() if (error := outcome(user, action)) != "yes"}
    assert refused == {"ConnectionException", "BadDeclaration", "PermissionException", "PublishForbidden"}


def test_refusals_to_publish_name_topic_exchange_and_user(found: Outcomes) -> None:
    refusals = [(user, error) for (user, _), error in found.items() if isinstance(error, PublishForbidden)]
    assert refusals
    for user, error in refusals:
        assert error.user == user
        assert f"{error.topic}: the user {user!r} may not publish" in str(error)
        assert f"exchange {error.exchange!r}" in str(error) or error.exchange == ""


def test_the_page_is_what_the_broker_does(place: Place, found: Outcomes) -> None:
    now = page(place, found)
    differences = difflib.unified_diff(
        PAGE.read_text().splitlines(), now.splitlines(), "committed", "now", "", ""
    )
    assert now == PAGE.read_text(), "\n".join(["Run python -m tests.authorisation.table", *differences])
