# SPDX-License-Identifier: MIT
"""Avatars. The expected URLs were made by fedora-messaging 3.9.1."""

from __future__ import annotations

from typing import Any

import pytest

from fedora_messaging.schema_utils import libravatar_url, user_avatar_url

SITE = "https://seccdn.libravatar.org/avatar/"


def test_a_user_has_an_openid() -> None:
    digest = "e2b8f817389835071ff965e16aeb1ea6bb8e669c1dedfbb3f994f74b57830526"
    assert user_avatar_url("bob") == f"{SITE}{digest}?s=64&d=retro"
    assert user_avatar_url("bob", 32, "x y") == f"{SITE}{digest}?s=32&d=x+y"
    assert libravatar_url(openid="http://bob.id.fedoraproject.org/") == user_avatar_url("bob")


def test_the_email_address_goes_first_and_is_taken_as_it_is() -> None:
    digest = "332b18c16588b8b3675fdf75e38312ccb58fb44a892d2ef6da8fa0cdaf196ba3"
    assert libravatar_url(email="A@B.c", openid="b") == f"{SITE}{digest}?s=64&d=retro"


def test_a_default_may_be_a_url() -> None:
    url = libravatar_url(openid="b", default="https://x/y?z=1&a=ü")
    assert url.endswith("?s=64&d=https%3A%2F%2Fx%2Fy%3Fz%3D1%26a%3D%C3%BC")


@pytest.mark.parametrize("nobody", [{}, {"email": ""}, {"openid": None}])
def test_nobody_has_no_avatar(nobody: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="OpenID"):
        libravatar_url(**nobody)
