# SPDX-License-Identifier: MIT
"""The table of permissions: a real broker answers as the file says, and the page in the docs is what it answers."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

import pytest

from .actions import ACTIONS
from .expected import outcome, users
from .table import PAGE, page, tried

if TYPE_CHECKING:
    from .actions import Action
    from .bus import Place


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.text)
def test_none_is_unexpected(place: Place, action: Action) -> None:
    found = {user: tried(place, user, action) for user in users()}
    classes = {user: "yes" if error is None else type(error).__name__ for user, error in found.items()}
    assert classes == {user: outcome(user, action) for user in users()}, found
    assert all("\n" not in str(error) for error in found.values())


def test_each_action_is_allowed_to_somebody_and_refused_to_somebody() -> None:
    """Otherwise it would show nothing; some are refused to all of these users."""
    for user in ("bodhi", "koji", "fedora", "archive"):
        assert {outcome(user, action) == "yes" for action in ACTIONS} == {True, False}
    refused = {error for action in ACTIONS for user in users() if (error := outcome(user, action)) != "yes"}
    assert refused == {"ConnectionException", "BadDeclaration", "PermissionException", "PublishForbidden"}


def test_the_page_is_what_the_broker_does(place: Place) -> None:
    now = page(place)
    differences = difflib.unified_diff(
        PAGE.read_text().splitlines(), now.splitlines(), "committed", "now", "", ""
    )
    assert now == PAGE.read_text(), "\n".join(["Run python -m tests.authorisation.table", *differences])
