# SPDX-License-Identifier: MIT
"""What people want to know of an X.509 certificate: whose it is, for which names, until when. Pure,
but for the one function that opens a file.

The standard library tells this of a certificate that it trusts only, and the ones that are not trusted are those
of interest. So this reads the few fields from the DER encoding (RFC 5280, 4.1). It verifies nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from ssl import PEM_cert_to_DER_cert
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
_SEQUENCE = 0x30
_VERSION, _EXTENSIONS = 0xA0, 0xA3  # optional fields: context-specific, constructed, numbers 0 and 3
_OBJECT_ID, _OCTETS, _UTC_TIME = 0x06, 0x04, 0x17
_DNS_NAME, _IP_ADDRESS = 0x82, 0x87
_COMMON_NAME = bytes.fromhex("550403")  # 2.5.4.3
_ALTERNATIVE_NAMES = bytes.fromhex("551d11")  # 2.5.29.17


@dataclass(frozen=True)
class Certificate:
    """``subject`` is the common name; ``names`` are host names and addresses (subjectAltName)."""

    subject: str
    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime

    def days_left(self, now: datetime) -> int:
        """Whole days until it expires; negative when it has."""
        return (self.not_after - now).days


def read(der: bytes) -> Certificate:
    """The certificate in these bytes. Raises ``ValueError`` when they are none."""
    try:
        fields = list(_parts(_inside(_inside(der))))
        if fields[0][0] == _VERSION:
            del fields[0]
        _serial, _algorithm, _issuer, validity, subject, _key, *others = fields
        not_before, not_after = (_time(tag, value) for tag, value in _parts(validity[1]))
        extensions = next((value for tag, value in others if tag == _EXTENSIONS), b"")
        return Certificate(_common_name(subject[1]), tuple(_names(extensions)), not_before, not_after)
    except (IndexError, UnicodeDecodeError) as error:
        raise ValueError("not a certificate") from error


def of_file(path: str) -> Certificate:
    """The first certificate of a PEM file. Raises ``OSError``, and ``ValueError`` when there is none."""
    text = Path(path).read_text("ascii", "replace")
    begin = text.find(_BEGIN)
    end = text.find(_END, begin)
    if begin < 0 or end < 0:
        raise ValueError("not a certificate")
    return read(PEM_cert_to_DER_cert(text[begin : end + len(_END)]))


def _parts(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The (tag, content) of each element in ``data``."""
    position = 0
    while position < len(data):
        tag, length = data[position], data[position + 1]
        position += 2
        if length & 0x80:
            size = length & 0x7F
            length = int.from_bytes(data[position : position + size], "big")
            position += size
        if position + length > len(data):
            raise ValueError("cut off")
        yield tag, data[position : position + length]
        position += length


def _inside(data: bytes) -> bytes:
    """The content of the sequence that ``data`` starts with."""
    tag, content = next(_parts(data), (0, b""))
    if tag != _SEQUENCE:
        raise ValueError("not a certificate")
    return content


def _time(tag: int, value: bytes) -> datetime:
    """Two digits of a year below 50 are of this century (RFC 5280, 4.1.2.5.1)."""
    text = value.decode("ascii")
    if tag == _UTC_TIME:
        text = ("20" if int(text[:2]) < 50 else "19") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _common_name(name: bytes) -> str:
    for _, relative in _parts(name):
        for _, pair in _parts(relative):
            (_, kind), (_, value) = _parts(pair)
            if kind == _COMMON_NAME:
                return value.decode("utf-8", "replace")
    return ""


def _names(extensions: bytes) -> Iterator[str]:
    for _, extension in _parts(_inside(extensions)) if extensions else ():
        (_, kind), *_, (_, value) = _parts(extension)
        if kind != _ALTERNATIVE_NAMES:
            continue
        for tag, name in _parts(_inside(value)):
            if tag == _DNS_NAME:
                yield name.decode("ascii", "replace")
            elif tag == _IP_ADDRESS:
                yield str(ip_address(name))
