# SPDX-License-Identifier: MIT
"""From the settings to what signs, what checks signatures, and the keys of CURVE. ``cryptography`` is loaded only if
it is needed: it takes 20 MB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..exceptions import ToolsError

if TYPE_CHECKING:
    from ..config import Signatures, Signing
    from ..fedmsg.signing import Signer, Validator

__all__ = ["signer", "validator"]


def validator(settings: Signatures) -> Validator | None:
    """What checks signatures, or None when they are not to be checked. Raises ``ToolsError``."""
    if not settings.validate:
        return None
    from ..fedmsg.policy import Policy  # noqa: PLC0415
    from ..fedmsg.signing import Validator  # noqa: PLC0415

    _refuse_without_sha1()
    return Validator(settings.ca, settings.crl, Policy(settings.routing_policy, settings.nitpicky))


def signer(settings: Signing) -> Signer | None:
    """What signs, or None when nothing is to be signed. Raises ``ToolsError``."""
    if not settings.sign_messages:
        return None
    from ..fedmsg.signing import Signer  # noqa: PLC0415

    _refuse_without_sha1()
    files = settings.files()
    if files is None:
        raise ToolsError("signing: name certificate and key, or certname")
    return Signer.load(*files)


def _refuse_without_sha1() -> None:
    """Where the system forbids SHA-1, every signature would be taken for a bad one."""
    from ..fedmsg.signing import sha1_problem  # noqa: PLC0415

    if problem := sha1_problem():
        raise ToolsError(problem)
