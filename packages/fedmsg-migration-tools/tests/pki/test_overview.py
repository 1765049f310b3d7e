# SPDX-License-Identifier: MIT
"""What the list shows, and of what it warns, in time."""

from typing import Any

import pytest

from fedmsg_migration_tools.pki.authority import Authority, Wish, chosen
from fedmsg_migration_tools.pki.overview import Overview, overview


def look(ca: Authority, clock: Any, **how: Any) -> Overview:
    return overview(ca.folder, clock(), **how)


def shown(found: Overview) -> list[tuple[str, str, str]]:
    return [(one.name, one.kind, one.state) for one in found.lines]


@pytest.fixture
def bus(ca: Authority) -> Authority:
    ca.issue("rabbit", Wish(("localhost",), days=300))
    ca.issue("bodhi", Wish(days=60))
    return ca


def test_what_is_in_use(bus: Authority, clock: Any) -> None:
    bus.renew(["rabbit"])
    bus.issue("koji", Wish())
    bus.revoke(chosen("koji", None, replaced=False), "unspecified")
    found = look(bus, clock)
    assert shown(found) == [
        ("Test CA", "ca", "valid"),
        ("bodhi", "client", "valid"),
        ("rabbit", "server", "valid"),
        ("crl.pem", "crl", "valid"),
    ]
    assert found.warnings == []
    everything = look(bus, clock, everything=True)
    assert ("rabbit", "server", "replaced") in shown(everything)
    assert ("koji", "client", "revoked") in shown(everything)


def test_what_will_end_is_warned_of(bus: Authority, clock: Any) -> None:
    clock.wait(31)
    (warning,) = look(bus, clock).warnings
    assert "bodhi ends in 28 days" in warning or "bodhi ends in 29 days" in warning
    assert "'pki renew bodhi'" in warning
    clock.wait(30)
    (warning,) = look(bus, clock).warnings
    assert "bodhi has ended" in warning
    assert ("bodhi", "client", "expired") in shown(look(bus, clock))


def test_what_ends_within_some_days(bus: Authority, clock: Any) -> None:
    assert shown(look(bus, clock, expiring=59)) == []
    assert shown(look(bus, clock, expiring=61)) == [("bodhi", "client", "valid")]
    assert len(look(bus, clock, expiring=61).warnings) == 1
    clock.wait(3000)
    late = look(bus, clock, expiring=30)
    assert [one.kind for one in late.lines] == ["server", "client", "crl"]
    bus.revoke(lambda ledger, _: ledger.leafs(), "unspecified")
    assert shown(look(bus, clock, expiring=30)) == []
    assert look(bus, clock, expiring=30).warnings == []


def test_the_lists_and_the_authority_are_warned_of_early(bus: Authority, clock: Any) -> None:
    clock.wait(705)
    (found,) = [one for one in look(bus, clock).warnings if "revocation list" in one]
    assert "nobody is let in: 'pki crl'" in found
    bus.refresh()
    assert not any("revocation list" in one for one in look(bus, clock).warnings)
    clock.wait(3300 - 705)
    assert any(
        "The CA Test CA ends in" in one and "'pki renew --ca'" in one for one in look(bus, clock).warnings
    )


def test_what_is_missing_is_said_and_what_mends_it(bus: Authority, clock: Any) -> None:
    bus.issue("koji", Wish())
    before = bus.folder.crl.read_bytes()
    bus.revoke(chosen("koji", None, replaced=False), "unspecified")
    bus.folder.crl.write_bytes(before)  # as a crash leaves it, or a backup of one file
    assert any("lacks koji" in one for one in look(bus, clock).warnings)
    for broken in (b"", b"nonsense"):
        bus.folder.crl.write_bytes(broken)
        assert any("lacks koji" in one for one in look(bus, clock).warnings)
    bus.folder.ca.unlink()
    assert any("ca.pem is missing: 'pki crl'" in one for one in look(bus, clock).warnings)
    bus.refresh()
    assert look(bus, clock).warnings == []
    (bus.folder.issued("bodhi") / "key.pem").unlink()
    assert any("key.pem" in one for one in look(bus, clock).warnings)
