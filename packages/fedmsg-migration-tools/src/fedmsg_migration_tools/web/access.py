# SPDX-License-Identifier: MIT
"""Who may see the page. Pure: a request in, a refusal or nothing out.

Without a token only this machine can reach the page, and then its own browsers are the danger: a page from elsewhere
whose name is made to resolve to 127.0.0.1 (DNS rebinding) would be of the same origin. Such a request still bears
that name in ``Host``, so only names of loopback are answered. With a token, the token decides: in ``Authorization``,
or in a cookie, which ``/?token=…`` sets; a page from elsewhere has neither.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..exceptions import ToolsError
from .wire import Answer, says

if TYPE_CHECKING:
    from .wire import Request

LEAST = 16  # characters of a token: what cannot be guessed in a year of trying
_FORGET = 30 * 86400  # seconds until a browser has to show the token again


class Access:
    """Decides on requests.

    Arguments:
        token: what is asked for; ``None``: nothing, and the page must listen on loopback only.

    Raises ``ToolsError`` for a token that is too short.
    """

    def __init__(self, token: str | None) -> None:
        if token is not None and len(token) < LEAST:
            raise ToolsError(f"The page's token is too short: it takes at least {LEAST} characters")
        self.token = token
        # The cookie shows that the token was known, and is not it; both stay valid when the service restarts.
        digest = hashlib.sha256(f"verification page\0{token}".encode()).hexdigest()
        self._cookie_name, self._cookie_value = f"verification-{digest[:8]}", digest[8:]

    def refuse(self, request: Request) -> Answer | None:
        """What to answer instead of what was asked for; ``None`` when it may be answered."""
        if request.headers.get("sec-fetch-site") == "cross-site" and request.path != "/":
            return says(HTTPStatus.FORBIDDEN, "Another site's page asks for this.")
        if self.token is None:
            return _refuse_host(request.headers.get("host", ""))
        return self._refuse_stranger(request)

    def _refuse_stranger(self, request: Request) -> Answer | None:
        shown = request.query.get("token") if request.path == "/" else None
        if shown is not None and self._is_token(shown):
            return Answer(
                HTTPStatus.SEE_OTHER, headers={"Location": "./", "Set-Cookie": self._cookie(request)}
            )
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._is_token(bearer.strip()):
            return None
        if _same(_cookie(request.headers.get("cookie", ""), self._cookie_name), self._cookie_value):
            return None
        return says(
            HTTPStatus.UNAUTHORIZED,
            "This page needs its token: open it as /?token=TOKEN, or send Authorization: Bearer TOKEN.",
            WWW_Authenticate='Bearer realm="verification"',
        )

    def _is_token(self, shown: str) -> bool:
        return self.token is not None and _same(shown, self.token)

    def _cookie(self, request: Request) -> str:
        # Lax, not Strict: who follows a link from a chat is to arrive with the cookie that this very answer sets.
        secure = "; Secure" if request.headers.get("x-forwarded-proto") == "https" else ""
        return (
            f"{self._cookie_name}={self._cookie_value}; Path=/; Max-Age={_FORGET}; "
            f"HttpOnly; SameSite=Lax{secure}"
        )


def is_loopback(host: str) -> bool:
    """Whether a name or address can only be reached from this machine."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761: they resolve to loopback
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def _refuse_host(host: str) -> Answer | None:
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        name = None
    if name and is_loopback(name):
        return None
    return says(
        HTTPStatus.MISDIRECTED_REQUEST,
        "This page is for the machine that it runs on, by the name localhost or 127.0.0.1. "
        "Give it a token to show it under other names.",
    )


def _cookie(header: str, name: str) -> str:
    """A cookie's value; empty if it is not there."""
    for part in header.split(";"):
        key, _, value = part.strip().partition("=")
        if key == name:
            return value
    return ""


def _same(one: str, other: str) -> bool:
    """Takes the same time however much of it is right."""
    return hmac.compare_digest(one.encode(errors="replace"), other.encode())
