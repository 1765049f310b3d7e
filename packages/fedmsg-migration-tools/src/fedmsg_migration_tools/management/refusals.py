# SPDX-License-Identifier: MIT
"""What went wrong with a request to the management API, and what the operator does about it. Asks nobody."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import ssl
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from ..exceptions import ToolsError

if TYPE_CHECKING:
    from .server import Server

__all__ = ["ManagementError", "Problem", "error", "of_answer", "of_failure"]

_SETTING = "or give its URL (migration.management_url, --management-url)"


class Problem(StrEnum):
    """What went wrong, for those who decide by it."""

    UNREACHABLE = "unreachable"
    NOT_MANAGEMENT = "not management"  # something else answers: the plugin is off, or the port is another's
    TLS = "tls"
    LOGIN = "login"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not found"
    REFUSED = "refused"  # the request itself
    BROKEN = "broken"  # the broker has an error of its own, or cannot be understood


class ManagementError(ToolsError):
    """The management API gave no answer, or not the one that was asked for; the text says what to do.

    Attributes:
        problem: of what kind.
        status: of HTTP, where there was an answer.
    """

    def __init__(self, text: str, problem: Problem, status: int | None = None) -> None:
        super().__init__(text)
        self.problem = problem
        self.status = status


def error(server: Server, text: str, problem: Problem, status: int | None = None) -> ManagementError:
    """``text`` goes on from "The management API at URL"."""
    return ManagementError(f"The management API at {server.url} {text}", problem, status)


def of_failure(server: Server, exc: Exception, timeout: float) -> ManagementError:
    """For what happened below HTTP, or instead of it; ``timeout`` is in seconds."""
    for kind, problem, told in _FAILURES:
        if isinstance(exc, kind):
            return error(server, f"{told.format(why=_told(exc), timeout=timeout)}, {_SETTING}", problem)
    return error(
        server, f"is not to be reached ({_told(exc)}): check the host, {_SETTING}", Problem.UNREACHABLE
    )


_FAILURES: tuple[tuple[type[Exception], Problem, str], ...] = (
    (
        ssl.SSLCertVerificationError,
        Problem.TLS,
        "shows a certificate that does not hold ({why}): mend it, give its CA as tls.ca_cert",
    ),
    (ssl.SSLError, Problem.TLS, "does not speak TLS as we do ({why}): check the port"),
    (
        ConnectionRefusedError,
        Problem.UNREACHABLE,
        "does not listen: turn it on (rabbitmq-plugins enable rabbitmq_management)",
    ),
    (TimeoutError, Problem.UNREACHABLE, "does not answer within {timeout:g} s: check broker and firewall"),
    (
        http.client.HTTPException,
        Problem.NOT_MANAGEMENT,
        "does not speak HTTP ({why}): something else listens there, or wants TLS; check the port",
    ),
    (
        ConnectionError,
        Problem.NOT_MANAGEMENT,
        "does not speak HTTP ({why}): something else listens there, or wants TLS; check the port",
    ),
)


def of_answer(server: Server, status: int, kind: str, text: bytes, target: str) -> ManagementError:
    """For an answer that says no: HTTP's status, the type of its content, the content, and what was asked for."""
    reason = _reason(kind, text)
    if status in {401, 403}:
        return _forbidden(server, status, reason, target)
    if status == http.HTTPStatus.NOT_FOUND and kind == "application/json":
        return error(
            server, f"has no {target}: check the name of the virtual host", Problem.NOT_FOUND, status
        )
    if status < http.HTTPStatus.BAD_REQUEST or status == http.HTTPStatus.NOT_FOUND:
        advice = "it is not RabbitMQ's, or under another path: give its URL (migration.management_url)"
        return error(server, f"answers {status} to {target}: {advice}", Problem.NOT_MANAGEMENT, status)
    if "Stats in management UI are disabled" in reason:  # RabbitMQ's words, in 3.10.8 and 4.0.5
        said = (
            f"does not answer {target}, since it collects no statistics: let it, in rabbitmq.conf "
            "(management_agent.disable_metrics_collector and, since 4.0, "
            "deprecated_features.permit.management_metrics_collection)"
        )
        return error(server, said, Problem.REFUSED, status)
    problem = Problem.BROKEN if status >= http.HTTPStatus.INTERNAL_SERVER_ERROR else Problem.REFUSED
    return error(server, f"answers {status} to {target}: {reason or 'it does not say why'}", problem, status)


def _forbidden(server: Server, status: int, reason: str, target: str) -> ManagementError:
    """RabbitMQ answers 401 to everything that the user may not, and says which in words.

    "Login failed" of 3.10.8 is "Not_Authorized" in 4.0.5; the other words are the same.
    """
    user = server.user
    if re.search("login|not_authorized", reason, re.IGNORECASE):
        text = (
            f"does not know the user {user} with this password: check both in amqp_url, or give others in "
            "migration.management_url"
        )
        return error(server, text, Problem.LOGIN, status)
    if re.search("management user", reason, re.IGNORECASE):
        text = f"is not for the user {user}: give it the tag monitoring (rabbitmqctl set_user_tags {user} monitoring)"
    elif "virtual host" in reason:
        text = (
            f"does not let the user {user} see the virtual host: let it read there "
            f"(rabbitmqctl set_permissions -p VHOST {user} '' '' '.*')"
        )
    else:
        text = f"refuses {target} ({reason or status}): give the user {user} the tag monitoring, or take another user"
    return error(server, text, Problem.FORBIDDEN, status)


def _reason(kind: str, text: bytes) -> str:
    """What the broker says, on one line."""
    said: Any = None
    if kind == "application/json":
        with contextlib.suppress(ValueError, AttributeError):
            said = json.loads(text).get("reason")
    return " ".join(str(said).split())[:300] if said else ""


def _told(exc: Exception) -> str:
    if isinstance(exc, ssl.SSLCertVerificationError):
        return exc.verify_message
    if isinstance(exc, ssl.SSLError) and exc.reason:
        return exc.reason
    return getattr(exc, "strerror", None) or " ".join(str(exc).split())[:200] or type(exc).__name__
