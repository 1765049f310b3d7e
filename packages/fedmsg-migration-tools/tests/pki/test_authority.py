# SPDX-License-Identifier: MIT
"""The life of a CA: what each operation changes in the folder, and what it leaves alone."""

import fcntl
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from fedmsg_migration_tools.exceptions import ToolsError
from fedmsg_migration_tools.pki import folder as folders
from fedmsg_migration_tools.pki.authority import Authority, Wish, chosen
from fedmsg_migration_tools.pki.ledger import State


def serials(path: Path) -> set[int]:
    """Of what the list revokes."""
    return {one.serial_number for one in x509.load_pem_x509_crl(path.read_bytes())}


def key_of(ca: Authority, name: str) -> bytes:
    return (ca.folder.issued(name) / "key.pem").read_bytes()


def certificate_of(ca: Authority, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((ca.folder.issued(name) / "cert.pem").read_bytes())


def trusted(ca: Authority) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(ca.folder.ca.read_bytes())


def revoke(
    ca: Authority, name: str | None, serial: str | None = None, *, replaced: bool = False
) -> list[str]:
    return [one.serial for one in ca.revoke(chosen(name, serial, replaced=replaced), "unspecified")]


def walk(path: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for one in path.rglob("*"):
        if not one.is_symlink():
            yield one, one.stat()


@pytest.fixture(params=[0o022, 0o000, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    former = os.umask(request.param)
    yield
    os.umask(former)


@pytest.mark.usefixtures("umask")
def test_keys_are_for_the_owner_and_the_rest_is_for_everybody(tmp_path: Path) -> None:
    one = Authority(tmp_path / "pki")
    one.init("Test CA")
    one.issue("bodhi", Wish())
    modes = {
        path.relative_to(one.folder.path): stat.S_IMODE(found.st_mode)
        for path, found in walk(tmp_path / "pki")
    }
    private = {mode for path, mode in modes.items() if path == Path("private") or path.name == "key.pem"}
    assert private == {0o700, 0o600}
    assert sum(path.name == "key.pem" for path in modes) == 2
    public = [path for path in modes if path.parts[0] != "private"]
    assert {modes[path] for path in public} == {0o755, 0o644}


def test_init_twice_is_refused_and_so_is_a_folder_of_another(ca: Authority, tmp_path: Path) -> None:
    before = ca.folder.ca.read_bytes()
    with pytest.raises(ToolsError, match="already"):
        ca.init("Another")
    assert ca.folder.ca.read_bytes() == before
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "ca.pem").write_text("of easy-rsa")
    with pytest.raises(ToolsError, match="not of this program"):
        Authority(tmp_path / "other").init("Test")
    assert (tmp_path / "other" / "ca.pem").read_text() == "of easy-rsa"


def test_a_certificate_is_issued_once(ca: Authority) -> None:
    ca.issue("bodhi", Wish())
    before = key_of(ca, "bodhi")
    with pytest.raises(ToolsError, match="pki renew bodhi"):
        ca.issue("bodhi", Wish())
    assert key_of(ca, "bodhi") == before
    with pytest.raises(ToolsError, match="cannot be a certificate's name"):
        ca.issue("../bodhi", Wish())
    with pytest.raises(ToolsError, match="neither a host"):
        ca.issue("rabbit", Wish(("a b",)))
    assert [one.name for one in ca.folder.ledger().leafs()] == ["bodhi"]


def test_its_clock_may_be_ahead_of_the_others(ca: Authority) -> None:
    made = ca.issue("bodhi", Wish())
    (authority,) = trusted(ca)
    assert authority.not_valid_before_utc <= made.begins < made.ends
    assert (ca._clock() - made.begins).total_seconds() >= 600


@pytest.mark.parametrize("same", [False, True])
def test_renewing(ca: Authority, clock: Any, same: bool) -> None:
    first = ca.issue("rabbit", Wish(("localhost", "127.0.0.1"), True, 90))
    key, old = key_of(ca, "rabbit"), (ca.folder.issued("rabbit") / "cert.pem").resolve()
    clock.wait(60)
    (made,) = ca.renew(["rabbit", "rabbit"], same_key=same)
    assert (key_of(ca, "rabbit") == key) == same
    assert (made.hosts, made.client, made.ends - first.ends) == (first.hosts, True, clock.ahead)
    assert old.exists()
    assert serials(ca.folder.crl) == set()  # the former is as good as before
    former, current = ca.folder.ledger().leafs()
    assert (former.state(clock()), current.state(clock())) == (State.REPLACED, State.VALID)
    clock.wait(40)
    assert former.state(clock()) == State.EXPIRED


def test_all_are_renewed_or_none(ca: Authority) -> None:
    made = ca.issue("bodhi", Wish())
    with pytest.raises(ToolsError, match="koji has no certificate here"):
        ca.renew(["bodhi", "koji"])
    assert ca.folder.ledger().current("bodhi") == made


def test_revoking(ca: Authority, clock: Any) -> None:
    first = ca.issue("bodhi", Wish())
    other = ca.issue("koji", Wish())
    (second,) = ca.renew(["bodhi"])
    assert revoke(ca, "bodhi", replaced=True) == [first.serial]
    assert serials(ca.folder.crl) == {int(first.serial, 16)}
    assert ca.folder.issued("bodhi").exists()
    with pytest.raises(ToolsError, match="no replaced certificate of the name bodhi"):
        revoke(ca, "bodhi", replaced=True)
    assert revoke(ca, "bodhi") == [second.serial]
    assert not os.path.lexists(ca.folder.issued("bodhi"))
    colons = ":".join(other.serial[i : i + 2] for i in range(0, 4, 2)).upper() + other.serial[4:].upper()
    assert revoke(ca, None, colons) == [other.serial]
    assert len(serials(ca.folder.crl)) == 3
    (hashed,) = ca.folder.crls.iterdir()
    assert hashed.read_bytes() == ca.folder.crl.read_bytes()
    with pytest.raises(ToolsError, match="no certificate of the name nobody"):
        revoke(ca, "nobody")
    ca.issue("bodhi", Wish())  # the name is free again
    clock.wait(365 + 31)
    ca.refresh()
    assert serials(ca.folder.crl) == set()  # all have ended by themselves


def test_lists_are_numbered_and_last(ca: Authority, clock: Any) -> None:
    numbers = []
    for _ in range(3):
        ca.refresh()
        crl = x509.load_pem_x509_crl(ca.folder.crl.read_bytes())
        numbers.append(crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number)
    assert numbers == sorted(set(numbers))
    assert crl.next_update_utc is not None
    assert (crl.next_update_utc - clock()).days in {729, 730}


def test_the_end_of_the_authority_bounds_the_rest(tmp_path: Path, clock: Any) -> None:
    one = Authority(tmp_path / "pki", clock)
    authority = one.init("Test CA", days=100)
    assert one.issue("bodhi", Wish()).ends == authority.ends
    crl = x509.load_pem_x509_crl(one.folder.crl.read_bytes())
    assert crl.next_update_utc == authority.ends
    clock.wait(101)
    for refused in (lambda: one.issue("koji", Wish()), lambda: one.renew(["bodhi"])):
        with pytest.raises(ToolsError, match="pki renew --ca"):
            refused()
    one.renew_authority()
    assert (one.renew(["bodhi"])[0].ends - clock()).days in {364, 365}  # as was wished at first


def test_a_renewed_authority_has_its_key_and_name(ca: Authority, clock: Any) -> None:
    ca.issue("bodhi", Wish())
    (before,) = trusted(ca)
    clock.wait(1000)
    ca.renew_authority()
    (after,) = trusted(ca)
    assert after.not_valid_after_utc > before.not_valid_after_utc
    assert after.subject == before.subject
    certificate_of(ca, "bodhi").verify_directly_issued_by(after)


def test_a_new_authority_beside_the_former_until_that_retires(ca: Authority) -> None:
    ca.issue("bodhi", Wish())
    ca.issue("koji", Wish())
    ca.renew_authority(new=True)
    new, old = trusted(ca)
    assert new.subject != old.subject
    assert len(list(ca.folder.crls.iterdir())) == 2
    assert ca.folder.crl.read_text().count("BEGIN X509 CRL") == 2
    certificate_of(ca, "bodhi").verify_directly_issued_by(old)
    with pytest.raises(ToolsError, match=r"Renew these first.*bodhi, koji"):
        ca.retire()
    ca.renew(["bodhi"])
    certificate_of(ca, "bodhi").verify_directly_issued_by(new)
    revoke(ca, "koji")
    lists = x509.load_pem_x509_crl  # of the former CA, which koji's was of
    assert [len(list(lists(path.read_bytes()))) for path in sorted(ca.folder.crls.iterdir())].count(1) == 1
    assert [one.name for one in ca.retire()] == ["Test CA"]
    assert trusted(ca) == [new]
    assert len(list(ca.folder.crls.iterdir())) == 1
    assert ca.retire() == []
    ca.issue("koji", Wish())
    certificate_of(ca, "koji").verify_directly_issued_by(new)


def test_no_file_of_a_key_is_written_twice(ca: Authority) -> None:
    ca.issue("bodhi", Wish())
    keys = {path: path.read_bytes() for path in ca.folder.path.glob("private/*/key.pem")}
    ca.renew(["bodhi"])
    ca.renew_authority()
    revoke(ca, "bodhi")
    ca.issue("bodhi", Wish())
    assert {path: path.read_bytes() for path in keys} == keys


def test_two_at_once_do_not_get_into_each_others_way(ca: Authority) -> None:
    program = (
        "import sys; from pathlib import Path; from fedmsg_migration_tools.pki.authority import Authority, Wish\n"
        "for n in range(5): Authority(Path(sys.argv[1])).issue(f'{sys.argv[2]}{n}', Wish())"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", program, str(ca.folder.path), name])
        for name in ("a", "b", "c")
    ]
    assert [one.wait(60) for one in started] == [0, 0, 0]
    names = [one.name for one in ca.folder.ledger().leafs()]
    assert sorted(names) == sorted(f"{letter}{n}" for letter in "abc" for n in range(5))
    assert all(ca.folder.issued(name).exists() for name in names)


def test_one_who_writes_for_ever_is_not_waited_for(ca: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "PATIENCE", 0.2)
    with (ca.folder.path / "private" / "lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ToolsError, match="Another program is writing"):
            ca.issue("bodhi", Wish())
    ca.issue("bodhi", Wish())


def test_what_is_damaged_is_named(ca: Authority, tmp_path: Path) -> None:
    with pytest.raises(ToolsError, match=r"There is no CA in .*: make one with 'pki init'"):
        Authority(tmp_path / "nowhere").refresh()
    ledger = ca.folder.path / "ledger.json"
    text = ledger.read_bytes()
    for bad in (b"", text[:50], b"{}", b'{"name": "x", "crl_days": 1, "format": 2}', b"\xff"):
        ledger.write_bytes(bad)
        with pytest.raises(ToolsError, match="backup") as caught:
            ca.issue("bodhi", Wish())
        assert len(str(caught.value).splitlines()) == 1
        assert ledger.read_bytes() == bad
    ledger.write_bytes(text)
    (key,) = ca.folder.path.glob("private/*/key.pem")
    key.write_text("no key")
    with pytest.raises(ToolsError, match="take them from a backup"):
        ca.issue("bodhi", Wish())
