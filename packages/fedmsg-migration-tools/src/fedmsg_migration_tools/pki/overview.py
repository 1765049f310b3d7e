# SPDX-License-Identifier: MIT
"""What there is, and what will soon be trouble: the list, and its warnings. Reads only, and needs no lock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from cryptography import x509

from ..exceptions import ToolsError
from .ledger import Kind, State

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .folder import Folder
    from .ledger import Ledger, Record

__all__ = ["Line", "Overview", "overview"]

SOON = 30  # days before its end, from which on a certificate or a revocation list is warned of
SOON_CA = 365  # of a CA, since every client needs the next one


@dataclass(frozen=True, slots=True)
class Line:
    """One certificate, or the revocation lists, as ``list`` shows it."""

    name: str
    kind: str
    state: str
    ends: datetime
    days: int
    serial: str = ""
    hosts: Sequence[str] = ()

    def facts(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "name": self.name,
            "kind": self.kind,
            "state": self.state,
            "ends": self.ends.isoformat(),
            "days": self.days,
            "serial": self.serial,
            "hosts": list(self.hosts),
        }


@dataclass(frozen=True, slots=True)
class Overview:
    """The lines asked for, and the warnings, which are about everything."""

    lines: Sequence[Line]
    warnings: Sequence[str]


def overview(
    folder: Folder, now: datetime, *, everything: bool = False, expiring: int | None = None
) -> Overview:
    """Look at a CA.

    Arguments:
        folder: where it is.
        now: the time.
        everything: with certificates that were replaced or revoked.
        expiring: only what ends within that many days, and needs to be renewed.

    Raises ``ToolsError``.
    """
    ledger = folder.ledger()
    records = [one for one in ledger.records if everything or _in_use(one)]
    lines = [*(_line(one, now) for one in records), *_lists(folder, now)]
    if expiring is not None:
        lines = [one for one in lines if one.days < expiring and one.state in {State.VALID, State.EXPIRED}]
    return Overview(lines, [*_warnings(ledger, folder, now, expiring), *_damage(ledger, folder, now)])


def _in_use(record: Record) -> bool:
    return record.replaced is None and record.revoked is None


def _line(record: Record, now: datetime) -> Line:
    days = (record.ends - now).days
    return Line(record.name, record.kind, record.state(now), record.ends, days, record.serial, record.hosts)


def _lists(folder: Folder, now: datetime) -> Iterator[Line]:
    """The revocation lists as they are on disk: one line, for the one that runs out first."""
    found = _crls(folder)
    if found:
        ends = min(one.next_update_utc or now for one in found)
        state = State.VALID if ends > now else State.EXPIRED
        yield Line(folder.crl.name, "crl", state, ends, (ends - now).days)


def _crls(folder: Folder) -> list[x509.CertificateRevocationList]:
    try:
        text = folder.crl.read_bytes()
    except OSError:
        return []
    end = b"-----END X509 CRL-----"
    try:
        return [x509.load_pem_x509_crl(one + end) for one in text.split(end)[:-1]]
    except ValueError:
        return []


def _warnings(ledger: Ledger, folder: Folder, now: datetime, expiring: int | None) -> Iterator[str]:
    for record in filter(_in_use, ledger.records):
        ca = record.kind is Kind.CA
        soon = expiring if expiring is not None else SOON_CA if ca else SOON
        if record.ends - now < timedelta(days=soon):
            what = f"The CA {record.name}" if ca else f"The certificate of {record.name}"
            command = "pki renew --ca" if ca else f"pki renew {record.name}"
            yield f"{what} {_ends(record.ends, now)}: '{command}'"
    for line in _lists(folder, now):
        if line.days < (SOON if expiring is None else expiring):
            yield f"The revocation list {_ends(line.ends, now)}, and then nobody is let in: 'pki crl'"


def _ends(when: datetime, now: datetime) -> str:
    days = (when - now).days
    how = "has ended" if when <= now else "ends today" if days == 0 else f"ends in {days} days"
    return f"{how} ({when:%Y-%m-%d %H:%M} UTC)"


def _damage(ledger: Ledger, folder: Folder, now: datetime) -> Iterator[str]:
    """What a crash, or somebody, has taken from the public files: the ledger still knows it."""
    listed = {one.serial_number for crl in _crls(folder) for one in crl}
    lacking = [
        one.name
        for one in ledger.leafs()
        if one.revoked and one.ends > now and int(one.serial, 16) not in listed
    ]
    if lacking:
        yield f"The revocation list lacks {', '.join(lacking)}: 'pki crl' writes it anew"
    for path in (folder.ca, folder.crl, folder.crls):
        if not path.exists():
            yield f"{path} is missing: 'pki crl' writes it anew"
    for one in ledger.leafs():
        if not _in_use(one):
            continue
        try:
            folder.pair(one.serial)
        except ToolsError as error:
            yield str(error)
