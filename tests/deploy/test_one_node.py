# SPDX-License-Identifier: MIT
"""``deploy/rabbitmq`` on one machine, as it is: who gets in, from where, and who does not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from .machines import RABBITMQ, Machines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .conftest import Pki

BUS = "bus1.example.org"
FILES = ("rabbitmq.conf", "advanced.config", "enabled_plugins", "definitions.json", "rabbitmq-env.conf")
LOOPBACK = {
    ("127.0.0.1", 5671),  # AMQP
    ("127.0.0.1", 15671),  # management
    ("127.0.0.1", 15692),  # Prometheus
    ("127.0.0.1", 25672),  # rabbitmqctl
    ("127.0.0.1", 4369),  # Erlang's port mapper
    ("::1", 4369),
}
ADMIN = {"user": "admin", "password": "correct horse battery staple"}


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, pki: Pki) -> Iterator[Machines]:
    """One on which all is as it comes; admin, who has a password, and alice, who has a certificate."""
    with Machines(tmp_path_factory.mktemp("one"), BUS) as machines:
        machines.install(*FILES)
        pki.bring(machines)
        machines.start(BUS)
        machines.await_start(BUS)
        assert machines.ctl(BUS, "--silent", "list_users").strip() in {"", "user\ttags"}  # guest neither
        assert machines.ctl(BUS, "--silent", "list_vhosts").strip() in {"", "name"}
        add_admin(machines)
        machines.ctl(BUS, "add_vhost", "/")
        url = "https://localhost:15671/api"
        nobody = {"password_hash": "", "tags": ""}
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        assert machines.request(BUS, "PUT", f"{url}/users/alice", ca=pki.ca, body=nobody, **ADMIN)[0] == 201
        assert machines.request(BUS, "PUT", f"{url}/users/bob", ca=pki.ca, body=nobody, **ADMIN)[0] == 201
        path = f"{url}/permissions/%2F/alice"
        assert machines.request(BUS, "PUT", path, ca=pki.ca, body=everything, **ADMIN)[0] == 201
        yield machines


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory, pki: Pki) -> Iterator[Machines]:
    """One with all the files that open it to others, and that for 4.x where it is one."""
    with Machines(tmp_path_factory.mktemp("opened"), BUS) as machines:
        new = ["conf.d/70-rabbitmq4.conf"] if machines.version >= (4,) else []
        opening = [f"conf.d/{path.name}" for path in (RABBITMQ / "conf.d").glob("5*.conf")]
        assert len(opening) == 3
        machines.install(*FILES, *opening, *new)
        pki.bring(machines)
        machines.start(BUS)
        machines.await_start(BUS)
        yield machines


def add_admin(machines: Machines) -> None:
    """The first user, as the page says: the password comes from standard input."""
    machines.ctl(BUS, "add_user", ADMIN["user"], text=ADMIN["password"])
    machines.ctl(BUS, "set_user_tags", ADMIN["user"], "administrator")


def test_it_listens_on_loopback_only(machine: Machines) -> None:
    assert machine.listeners(BUS) == LOOPBACK


@pytest.mark.parametrize("port", sorted(port for address, port in LOOPBACK if address == "127.0.0.1"))
def test_nobody_outside_reaches_it(machine: Machines, port: int) -> None:
    status, reason = machine.request(None, "GET", f"http://{BUS}:{port}/")
    assert (status, "refused" in reason) == (0, True)


@pytest.mark.parametrize(("version", "taken"), [("tls1_1", False), ("tls1_2", True), ("tls1_3", True)])
@pytest.mark.parametrize("port", [5671, 15671])
def test_it_speaks_tls_1_2_and_1_3(machine: Machines, pki: Pki, port: int, version: str, taken: bool) -> None:
    tls = pki.of("alice")
    ours = ["-CAfile", str(pki.ca), "-cert", f"{tls}/cert.pem", "-key", f"{tls}/key.pem"]
    said = machine.handshake(BUS, f"localhost:{port}", f"-{version}", *ours)
    assert ("alert protocol version" in said) is not taken
    assert ("Verify return code: 0 (ok)" in said and "Cipher is (NONE)" not in said) is taken


@pytest.mark.parametrize(
    "cipher", ["ECDHE-ECDSA-AES256-SHA384", "AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-SHA"]
)
def test_it_takes_no_weak_cipher(machine: Machines, cipher: str) -> None:
    said = machine.handshake(BUS, "localhost:5671", "-tls1_2", "-cipher", f"{cipher}:@SECLEVEL=0")
    assert "handshake failure" in said or "insufficient security" in said
    assert "Cipher is (NONE)" in said


def test_a_certificate_is_a_login(machine: Machines, pki: Pki) -> None:
    assert machine.doctor(BUS, "localhost:5671", pki.of("alice")) == []
    assert "user 'alice' authenticated and granted access to vhost '/'" in machine.log(BUS)


def test_a_revoked_certificate_is_not(machine: Machines, pki: Pki) -> None:
    [problem] = machine.doctor(BUS, "localhost:5671", pki.of("bob"))
    assert "revoked" in problem
    assert "Certificate Revoked" in machine.log(BUS)


def test_nobody_comes_without_one(machine: Machines, pki: Pki) -> None:
    [problem] = machine.doctor(BUS, "localhost:5671", pki.of("nobody"))
    assert "wants a client's certificate" in problem


def test_a_certificate_of_another_authority_is_refused(machine: Machines, pki: Pki, tmp_path: Path) -> None:
    other = type(pki)(tmp_path / "other")
    other.ca.write_bytes(pki.ca.read_bytes())  # it trusts the broker; the broker does not trust it
    [problem] = machine.doctor(BUS, "localhost:5671", other.of("alice"))
    assert "refused our certificate" in problem


def test_who_has_one_and_is_no_user_does_not_get_in(machine: Machines, pki: Pki) -> None:
    [problem] = machine.doctor(BUS, "localhost:5671", pki.of(BUS))
    assert "did not accept our certificate as a login" in problem


def test_a_password_is_no_login_over_amqp(machine: Machines, pki: Pki) -> None:
    where = f"{ADMIN['user']}:{ADMIN['password'].replace(' ', '%20')}@localhost:5671"
    [problem] = machine.doctor(BUS, where, pki.of("alice"))
    assert "PLAIN" in problem


def test_guest_cannot_log_in(machine: Machines, pki: Pki) -> None:
    url = "https://localhost:15671/api/whoami"
    assert machine.request(BUS, "GET", url, ca=pki.ca, user="guest", password="guest")[0] == 401
    assert machine.request(BUS, "GET", url, ca=pki.ca, **ADMIN)[0] == 200


def test_a_revocation_counts_at_once(machine: Machines, pki: Pki) -> None:
    pki.issue("carol")
    [before] = machine.doctor(BUS, "localhost:5671", pki.of("carol"))
    assert "did not accept our certificate as a login" in before  # its certificate was good
    pki.run("revoke", "carol")
    pki.bring(machine)
    [after] = machine.doctor(BUS, "localhost:5671", pki.of("carol"))
    assert "revoked" in after


@pytest.mark.parametrize(("days", "in_date"), [(None, False), (-1, False), (1, True)])
def test_who_gets_in_depends_on_the_revocation_list(
    machine: Machines, pki: Pki, days: int | None, in_date: bool
) -> None:
    [path] = (machine.etc(BUS) / "tls" / "crl").iterdir()
    path.unlink()
    if days is not None:
        path.write_bytes(pki.revocations(datetime.now(UTC) + timedelta(days)))
    problems = machine.doctor(BUS, "localhost:5671", pki.of("alice"))
    pki.bring(machine)
    assert (problems == []) is in_date
    assert machine.doctor(BUS, "localhost:5671", pki.of("alice")) == []


def test_a_renewed_certificate_needs_no_restart(machine: Machines, pki: Pki) -> None:
    def shown() -> str:
        said = machine.handshake(BUS, "localhost:5671", "-showcerts")
        return said[said.index("-----BEGIN") : said.index("-----END")]

    before = shown()
    pki.run("renew", BUS)
    pki.bring(machine)
    machine.ctl(BUS, "eval", "ssl:clear_pem_cache().")  # or wait two minutes
    assert shown() != before
    assert machine.doctor(BUS, "localhost:5671", pki.of("alice")) == []


def test_the_numbers_for_prometheus(machine: Machines) -> None:
    status, text = machine.request(BUS, "GET", "http://localhost:15692/metrics")
    assert (status, "rabbitmq_connections" in text) == (200, True)


def test_limits(machine: Machines) -> None:
    said = machine.ctl(BUS, "environment")
    for limit in ("max_message_size,16777216", "consumer_timeout,10800000", "channel_max,64", "heartbeat,30"):
        assert f"{{{limit}}}" in said


def test_it_has_no_rights_and_writes_to_its_folders_only(machine: Machines) -> None:
    found = machine.run(BUS, "sh", "-c", "grep -l beam.smp /proc/[0-9]*/comm").stdout
    pid = found.split("/")[2]
    status = machine.run(BUS, "cat", f"/proc/{pid}/status").stdout
    assert "NoNewPrivs:\t1" in status
    assert "CapBnd:\t0000000000000000" in status
    for place in ("/etc", "/etc/rabbitmq", "/usr"):
        touched = machine.run(BUS, "nsenter", "--target", pid, "--mount", "touch", f"{place}/mark")
        assert "Read-only file system" in touched.stderr


def test_no_secret_is_in_its_log(machine: Machines) -> None:
    log = machine.log(BUS)
    cookie = (machine.folder / BUS / "lib" / ".erlang.cookie").read_text()
    assert "Created user 'admin'" in log
    assert ADMIN["password"] not in log
    assert cookie not in log


def test_the_files_that_open_it(opened: Machines) -> None:
    closed = {("127.0.0.1", 5671), ("127.0.0.1", 15671)}
    assert opened.listeners(BUS) == LOOPBACK - closed | {("::", 5671), ("::", 15671), ("::", 15691)}


@pytest.mark.parametrize(("port", "path"), [(15671, "/api/whoami"), (15691, "/metrics")])
def test_from_outside_a_certificate_comes_first(opened: Machines, pki: Pki, port: int, path: str) -> None:
    url = f"https://{BUS}:{port}{path}"
    assert opened.request(None, "GET", url, ca=pki.ca)[0] == 0
    assert opened.request(None, "GET", url, ca=pki.ca, tls=pki.of("alice"))[0] in {200, 401}


def test_from_outside_over_amqp(opened: Machines, pki: Pki) -> None:
    [problem] = opened.doctor(None, f"{BUS}:5671", pki.of("alice"))
    assert "did not accept our certificate as a login" in problem  # there is no such user on this one
