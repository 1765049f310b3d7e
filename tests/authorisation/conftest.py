# SPDX-License-Identifier: MIT
"""Brokers with TLS, one for each version of it, and one that lets nobody in without a certificate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .bus import VERSIONS, Place

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session", params=VERSIONS)
def place(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Place]:
    """With each version: they refuse certificates in different ways."""
    with Place(tmp_path_factory.mktemp("bus"), request.param).started() as one:
        yield one


@pytest.fixture(scope="session")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Both versions, and only with a certificate."""
    with Place(tmp_path_factory.mktemp("strict"), only_with_certificate=True).started() as one:
        yield one
