# SPDX-License-Identifier: MIT
"""With what one can log in here as a user of the file: a folder of certificates and passwords, or the file itself.

In the folder, ``NAME.crt`` and ``NAME.key`` are a certificate, or ``NAME/cert.pem`` and ``NAME/key.pem``, as ``pki``
calls them below ``issued``; ``NAME.password`` is a password (one line). What the file says of a password
(``password_file``, ``password_env``) counts as well. Passwords stay in this process.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from fedora_messaging.transports.base import Address

from ...exceptions import ToolsError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ..bus.shape import User

__all__ = ["Login", "address", "login"]


@dataclass(frozen=True, slots=True)
class Login:
    """As whom, and with what: a password, or a certificate with its key."""

    user: str
    password: str | None = field(default=None, repr=False)
    certificate: Path | None = None
    key: Path | None = None


def login(
    name: str, user: User, folder: Path | None, environment: Mapping[str, str] | None = None
) -> Login | None:
    """With what one can log in as this user; None when that is not known here.

    Arguments:
        name: of the user.
        user: what the file says of him.
        folder: with files for users, if there is one.
        environment: where ``password_env`` is looked up; default: this process's.

    Raises:
        ToolsError: there is a file that cannot be used.
    """
    variables = os.environ if environment is None else environment
    if folder is not None and "/" not in name:
        for certificate, key in ((f"{name}.crt", f"{name}.key"), (f"{name}/cert.pem", f"{name}/key.pem")):
            # Also of one with a password: AMQP may take certificates only.
            if (folder / certificate).exists() and (folder / key).exists():
                return Login(name, certificate=folder / certificate, key=folder / key)
        if (password := folder / f"{name}.password").exists():
            return Login(name, _line(password))
    if user.password_file is not None and user.password_file.exists():
        return Login(name, _line(user.password_file))
    if user.password_env is not None and user.password_env in variables:
        return Login(name, variables[user.password_env])
    return None


def address(url: str, who: Login, vhost: str, ca_cert: Path | None) -> Address:
    """The broker of ``url``, with this user and virtual host in place of those in it."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    user = "" if who.password is None else f"{quote(who.user, safe='')}:{quote(who.password, safe='')}@"
    query = f"?{parts.query}" if parts.query else ""
    tls = {
        "ca_cert": str(ca_cert) if ca_cert else None,
        "certfile": str(who.certificate) if who.certificate else None,
        "keyfile": str(who.key) if who.key else None,
    }
    return Address(f"{parts.scheme}://{user}{host}/{quote(vhost, safe='')}{query}", tls)


def _line(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise ToolsError(f"The password in {path} cannot be read ({why}): mend the file") from error
    lines = text.splitlines()
    if not lines or not lines[0]:
        raise ToolsError(f"The file {path} holds no password: write it in the first line")
    return lines[0]
