# SPDX-License-Identifier: MIT
"""The certificate authority: issue, renew, revoke, and what follows from each for the files.

Every operation puts keys where nothing was, then commits the ledger, then makes the public files from it. So a crash
before the commit has changed nothing, and one behind it is mended by whatever writes next.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from ..exceptions import ToolsError
from .folder import Folder
from .ledger import Kind, Ledger, Record, State
from .making import Key, Pair, Validity, authority, certificate, crl, hash_of, new_key, serial_text
from .names import check_authority, check_user, host

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from cryptography import x509

__all__ = ["CA_DAYS", "CRL_DAYS", "DAYS", "REASONS", "Authority"]

DAYS = 365  # of a certificate
CA_DAYS = 3650
CRL_DAYS = 730  # twice the certificates': renewing them, which writes the list too, always comes first
SKEW = timedelta(minutes=15)  # by which the clock of a peer may be behind
REASONS = ("unspecified", "keyCompromise", "affiliationChanged", "superseded", "cessationOfOperation")
_FORGET = timedelta(days=30)  # behind its end, a revoked certificate leaves the list


def utc_now() -> datetime:
    """To the second, which is all that a certificate can hold."""
    return datetime.now(UTC).replace(microsecond=0)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a certificate is to be.

    Attributes:
        hosts: of a server; none: it is a client's.
        also_client: a server that presents itself as a client too, as one of a cluster does.
        days: how long.
    """

    hosts: Sequence[str] = ()
    also_client: bool = False
    days: int = DAYS


class Authority:
    """A CA in a folder. All methods raise ``ToolsError``.

    Arguments:
        path: of the folder.
        clock: the time, in UTC.
    """

    def __init__(self, path: Path, clock: Callable[[], datetime] = utc_now) -> None:
        self.folder = Folder(path)
        self._clock = clock

    def init(self, name: str, *, days: int = CA_DAYS, crl_days: int = CRL_DAYS) -> Record:
        """Make the CA."""
        check_authority(name)
        with self.folder.writing():
            self.folder.may_begin()
            pair = authority(name, self._validity(days), new_key())
            record = _record(pair, Kind.CA, name, 1, days)
            self.folder.keep(pair)
            self._commit(Ledger(name=name, crl_days=crl_days).with_records(record))
        return record

    def issue(self, name: str, wish: Wish) -> Record:
        """A certificate for a name that has none."""
        check_user(name)
        with self.folder.writing():
            ledger = self.folder.ledger()
            if ledger.current(name) is not None:
                raise ToolsError(
                    f"{name} has a certificate: take 'pki renew {name}' for a newer one, or revoke it before you "
                    "issue a different one"
                )
            pair, record = self._sign(ledger, name, wish, new_key())
            self.folder.keep(pair)
            self._commit(ledger.with_records(record))
        return record

    def renew(self, names: Sequence[str], *, days: int | None = None, same_key: bool = False) -> list[Record]:
        """Newer certificates for these names. The former stay good until they end or are revoked.

        Arguments:
            names: all of them are there, or none is renewed.
            days: how long; as long as the former when omitted.
            same_key: keep the key.
        """
        with self.folder.writing():
            ledger = self.folder.ledger()
            former = [self._current(ledger, name) for name in dict.fromkeys(names)]
            made = []
            for old in former:
                key = self.folder.pair(old.serial).key if same_key else new_key()
                wish = Wish(old.hosts, old.client, days or old.days)
                pair, record = self._sign(ledger, old.name, wish, key)
                self.folder.keep(pair)
                made.append(record)
            replaced = [msgspec.structs.replace(one, replaced=self._clock()) for one in former]
            self._commit(ledger.with_records(*replaced, *made))
        return made

    def renew_authority(self, *, days: int = CA_DAYS, new: bool = False) -> Record:
        """A newer certificate of the CA.

        Arguments:
            days: how long.
            new: with a new key, under a new name: a further CA, which signs from now on, while the former are
                trusted until :meth:`retire`. Otherwise with the same key: what was signed stays good.
        """
        with self.folder.writing():
            ledger = self.folder.ledger()
            old = ledger.authorities()[-1]
            if new:
                number = old.authority + 1
                name = f"{ledger.name} {number}"
                pair = authority(name, self._validity(days), new_key())
                gone = []
            else:
                number, name = old.authority, old.name
                pair = authority(name, self._validity(days), self.folder.pair(old.serial).key)
                gone = [msgspec.structs.replace(old, replaced=self._clock())]
            record = _record(pair, Kind.CA, name, number, days)
            self.folder.keep(pair)
            self._commit(ledger.with_records(*gone, record))
        return record

    def retire(self) -> list[Record]:
        """Trust no CA any more but the one that signs now. Refused while a certificate of another is in use."""
        with self.folder.writing():
            ledger, now = self.folder.ledger(), self._clock()
            *former, last = ledger.authorities()
            using = [
                one.name
                for one in ledger.leafs()
                if one.authority != last.authority and one.state(now) is State.VALID
            ]
            if using:
                raise ToolsError(f"Renew these first, they are of a former CA: {', '.join(using)}")
            gone = [msgspec.structs.replace(one, revoked=now, reason="superseded") for one in former]
            self._commit(ledger.with_records(*gone))
        return gone

    def revoke(self, records: Callable[[Ledger, datetime], Sequence[Record]], reason: str) -> list[Record]:
        """Let nobody accept these any more, and write the revocation list.

        Arguments:
            records: which: chosen from the ledger.
            reason: one of :data:`REASONS`.
        """
        with self.folder.writing():
            ledger, now = self.folder.ledger(), self._clock()
            gone = [msgspec.structs.replace(one, revoked=now, reason=reason) for one in records(ledger, now)]
            self._commit(ledger.with_records(*gone))
        return gone

    def refresh(self) -> datetime:
        """Write the revocation lists anew, and whatever of the public files is missing; until when they may be used."""
        with self.folder.writing():
            self._commit(self.folder.ledger())
        return self._validity(self.folder.ledger().crl_days).ends

    def _current(self, ledger: Ledger, name: str) -> Record:
        found = ledger.current(name)
        if found is None:
            raise ToolsError(f"{name} has no certificate here that could be renewed: see 'pki list --all'")
        return found

    def _validity(self, days: int) -> Validity:
        now = self._clock()
        try:
            return Validity(now - SKEW, now + timedelta(days=days))
        except OverflowError as error:
            raise ToolsError(f"{days} days end after the year 9999") from error

    def _sign(self, ledger: Ledger, name: str, wish: Wish, key: Key) -> tuple[Pair, Record]:
        number, issuer = self._signer(ledger)
        hosts = [host(one) for one in dict.fromkeys(wish.hosts)]
        client = wish.also_client or not hosts
        pair = certificate(issuer, name, self._validity(wish.days), key, hosts=hosts, client=client)
        kind = Kind.SERVER if hosts else Kind.CLIENT
        return pair, _record(pair, kind, name, number, wish.days, tuple(map(str, hosts)), client)

    def _signer(self, ledger: Ledger) -> tuple[int, Pair]:
        record = ledger.authorities()[-1]
        if record.ends <= self._clock():
            raise ToolsError(f"The CA has ended, on {record.ends:%Y-%m-%d}: take 'pki renew --ca'")
        return record.authority, self.folder.pair(record.serial)

    def _commit(self, ledger: Ledger) -> None:
        """The ledger, and then all that follows from it."""
        ledger = msgspec.structs.replace(ledger, crl_number=ledger.crl_number + 1)
        pairs = {one.authority: self.folder.pair(one.serial) for one in ledger.authorities()}
        crls = {
            f"{hash_of(pair.certificate.subject)}.r0": self._crl(ledger, number, pair)
            for number, pair in pairs.items()
            if pair.certificate.not_valid_after_utc > self._clock()
        }
        self.folder.commit(ledger)
        ca = b"".join(pair.pem for pair in reversed(pairs.values()))
        self.folder.publish(ca, b"".join(crls.values()), crls)
        names = {one.name for one in ledger.leafs()}
        found = [ledger.current(name) for name in sorted(names)]
        self.folder.link({one.name: one.serial for one in found if one is not None})

    def _crl(self, ledger: Ledger, number: int, issuer: Pair) -> bytes:
        validity = self._validity(ledger.crl_days)
        ends = min(validity.ends, issuer.certificate.not_valid_after_utc)
        revoked = [
            (int(one.serial, 16), one.revoked, one.reason or "unspecified")
            for one in ledger.leafs()
            if one.revoked and one.authority == number and one.ends + _FORGET > self._clock()
        ]
        return crl(issuer, ledger.crl_number, Validity(validity.begins, ends), revoked)


def chosen(
    name: str | None, serial: str | None, *, replaced: bool
) -> Callable[[Ledger, datetime], Sequence[Record]]:
    """Which certificates to revoke: all of a name, or only its replaced ones, or the one of a serial number."""

    def choose(ledger: Ledger, now: datetime) -> Sequence[Record]:
        wanted = (serial or "").replace(":", "").lower().lstrip("0")
        found = [
            one
            for one in ledger.leafs()
            if (one.serial == wanted if serial else one.name == name)
            and one.revoked is None
            and one.ends > now
            and (one.replaced is not None or not replaced)
        ]
        if not found:
            what = f"the serial number {serial}" if serial else f"the name {name}"
            kind = "replaced certificate" if replaced else "certificate"
            raise ToolsError(f"There is no {kind} of {what} that is still good: see 'pki list --all'")
        return found

    return choose


def _record(
    pair: Pair,
    kind: Kind,
    name: str,
    number: int,
    days: int,
    hosts: tuple[str, ...] = (),
    client: bool = False,
) -> Record:
    made: x509.Certificate = pair.certificate
    return Record(
        serial=serial_text(made.serial_number),
        name=name,
        kind=kind,
        authority=number,
        begins=made.not_valid_before_utc,
        ends=made.not_valid_after_utc,
        days=days,
        hosts=hosts,
        client=client,
    )
