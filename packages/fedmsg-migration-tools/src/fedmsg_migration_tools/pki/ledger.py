# SPDX-License-Identifier: MIT
"""The ledger: every certificate that was issued, and what became of it. Pure; the folder reads and writes the text.

It is what counts: a certificate is issued, replaced or revoked when the ledger says so, and every other file that is
not a key can be made again from it.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec reads the annotations
from enum import StrEnum

import msgspec

from ..exceptions import ToolsError

__all__ = ["Kind", "Ledger", "Record", "State"]

FORMAT = 1


class Kind(StrEnum):
    """What a certificate is for."""

    CA = "ca"
    SERVER = "server"
    CLIENT = "client"


class State(StrEnum):
    """What became of a certificate."""

    VALID = "valid"
    REPLACED = "replaced"  # there is a newer one of the name; good until its end, or until it is revoked
    EXPIRED = "expired"
    REVOKED = "revoked"  # of a CA: nobody is to trust it any more


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One certificate.

    Attributes:
        serial: in hexadecimal.
        name: its common name.
        authority: the number of the CA that signed it, counted from 1; a CA that is renewed with its key keeps it.
        hosts: names and addresses of a server.
        days: how long it was to last, were its CA not to end before.
        client: whether it may present itself as a client.
        replaced: when a newer one took its place.
        revoked: when it was revoked, for which reason.
    """

    serial: str
    name: str
    kind: Kind
    authority: int
    begins: datetime
    ends: datetime
    days: int
    hosts: tuple[str, ...] = ()
    client: bool = False
    replaced: datetime | None = None
    revoked: datetime | None = None
    reason: str | None = None

    def state(self, now: datetime) -> State:
        """What it is now."""
        if self.revoked is not None:
            return State.REVOKED
        if self.ends <= now:
            return State.EXPIRED
        return State.VALID if self.replaced is None else State.REPLACED


class Ledger(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of them, in the order in which they were issued.

    Attributes:
        name: the CA's.
        crl_days: how long a revocation list may be used.
        crl_number: of the latest.
    """

    name: str
    crl_days: int
    format: int = FORMAT
    crl_number: int = 0
    records: tuple[Record, ...] = ()

    def text(self) -> bytes:
        """As JSON, to be read by people too."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"

    @classmethod
    def of(cls, text: bytes) -> Ledger:
        """From its JSON. Raises ``ToolsError``."""
        try:
            ledger = msgspec.json.decode(text, type=cls)
        except msgspec.MsgspecError as error:
            raise ToolsError(f"not a ledger of this program: {error}") from error
        if ledger.format != FORMAT:
            raise ToolsError(f"a ledger of the format {ledger.format}, and this program knows {FORMAT} only")
        return ledger

    def current(self, name: str) -> Record | None:
        """The certificate of a server or a client that is neither replaced nor revoked; it may have expired."""
        return next((one for one in self.leafs() if one.name == name and _stands(one)), None)

    def leafs(self) -> list[Record]:
        """Those of servers and clients."""
        return [one for one in self.records if one.kind is not Kind.CA]

    def authorities(self) -> list[Record]:
        """The CAs that are trusted: one certificate for each key. The last one signs."""
        return [one for one in self.records if one.kind is Kind.CA and _stands(one)]

    def with_records(self, *new: Record) -> Ledger:
        """With these: instead of those with their serial, or behind the others."""
        changed = {one.serial: one for one in new}
        records = [changed.pop(one.serial, one) for one in self.records]
        return msgspec.structs.replace(self, records=(*records, *changed.values()))


def _stands(record: Record) -> bool:
    return record.replaced is None and record.revoked is None
