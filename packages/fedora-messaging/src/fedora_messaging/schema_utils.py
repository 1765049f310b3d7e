# SPDX-License-Identifier: MIT
"""Avatars: helpers for message classes that show a user. Nothing here asks the network."""

from __future__ import annotations

_AVATARS = "https://seccdn.libravatar.org/avatar"


def user_avatar_url(username: str, size: int = 64, default: str = "retro") -> str:
    """The URL of a Fedora user's avatar.

    Arguments:
        username: the account's name.
        size: in pixels.
        default: what to show for a user without an avatar: one of libravatar's names, or a URL.
    """
    return libravatar_url(openid=f"http://{username}.id.fedoraproject.org/", size=size, default=default)


def libravatar_url(
    email: str | None = None, openid: str | None = None, size: int = 64, default: str = "retro"
) -> str:
    """The URL of the avatar of the person with this e-mail address or, without one, with this OpenID.

    Arguments:
        email: the address, as it is written: case and spaces count.
        openid: the OpenID, a URL.
        size: in pixels.
        default: what to show for a person without an avatar: one of libravatar's names, or a URL.

    Raises:
        ValueError: neither address nor OpenID.
    """
    from hashlib import sha256  # noqa: PLC0415 - 4 ms together, for what publishers and consumers rarely need
    from urllib.parse import urlencode  # noqa: PLC0415

    person = email or openid
    if not person:
        raise ValueError("An avatar needs an e-mail address or an OpenID.")
    query = urlencode({"s": size, "d": default})
    return f"{_AVATARS}/{sha256(person.encode()).hexdigest()}?{query}"
