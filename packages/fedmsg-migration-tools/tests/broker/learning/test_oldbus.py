# SPDX-License-Identifier: MIT
"""fedmsg's configuration and certificates, read as data; real forms and hostile ones."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from fedmsg_migration_tools.broker.learning.oldbus import OldBus, read
from fedmsg_migration_tools.exceptions import ToolsError
from tests.pki import DAY, authority

ANNOUNCE = "org.fedoraproject.prod.announce.announcement"

# The form of the file that fedmsg ships (fedmsg.d/ssl.py), and of those that its documentation shows.
SSL = """\
import socket
hostname = socket.gethostname().split(".", 1)[0]
suffix = "phx2.fedoraproject.org"

config = dict(
    sign_messages=True,
    validate_signatures=True,
    ssldir="/etc/pki/fedmsg",
    certnames={
        "shell.app01": "shell-app01.%s" % suffix,
        "bodhi.app01": "bodhi-app01." + suffix,
    },
    routing_policy={
        "org.fedoraproject.prod.announce.announcement": [
            "announce-lockbox.phx2.fedoraproject.org",
        ],
    },
    routing_nitpicky=False,
)
"""
MORE = """\
config = {"routing_policy": {"org.fedoraproject.prod.bodhi.update.comment": ["bodhi-app01.phx2.fedoraproject.org"]},
          "routing_nitpicky": True}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "fedmsg.d").mkdir()
    return tmp_path / "fedmsg.d"


def of(folder: Path, text: str) -> OldBus:
    (folder / "policy.py").write_text(text)
    return read([str(folder)], [])


def test_a_folder_of_fedmsgs_files(folder: Path) -> None:
    (folder / "a_ssl.py").write_text(SSL)
    (folder / "b_more.py").write_text(MORE)
    old = read([str(folder)], [])
    assert old.routing == {
        ANNOUNCE: ("announce-lockbox.phx2.fedoraproject.org",),
        "org.fedoraproject.prod.bodhi.update.comment": ("bodhi-app01.phx2.fedoraproject.org",),
    }
    assert old.nitpicky is True
    assert set(old.expires) == {"shell-app01.phx2.fedoraproject.org", "bodhi-app01.phx2.fedoraproject.org"}
    assert old.services["shell-app01.phx2.fedoraproject.org"] == "shell"
    assert old.notes == []


def test_fedmsgs_decision_is_kept(folder: Path) -> None:
    old = of(folder, SSL)
    assert old.policy.allows(ANNOUNCE, "announce-lockbox.phx2.fedoraproject.org")
    assert not old.policy.allows(ANNOUNCE, "other")
    assert old.policy.allows("org.fedoraproject.prod.other", "other")


def test_names_that_hang_on_the_host_are_a_note(folder: Path) -> None:
    old = of(folder, SSL.replace("% suffix", "% hostname"))
    assert old.services == {}
    assert old.routing
    (note,) = old.notes
    assert "certnames are left out" in note
    assert "policy.py:10" in note


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("config = dict(routing_policy=__import__('os').environ)", "is not data"),
        ("config = dict(routing_policy={'t': [x for x in ('a', 'b')]})", "is not data"),
        ("config = dict(routing_policy={'t': 7})", "list of names"),
        ("config = dict(routing_policy={'t': [7]})", "list of names"),
        ("config = dict(routing_policy={7: ['a']})", "dictionary with texts"),
        ("config = dict(routing_policy=['a'])", "dictionary with texts"),
        ("config = dict(routing_nitpicky='yes')", "True or False"),
        ("config = dict(certnames=[1])", "dictionary with texts"),
        ("config = dict(", "no Python"),
        ("x = 1", "no dictionary named config"),
        ("config = " + "[" * 50_000, "no Python|nested too deeply"),
        ("a = 'x' * 10**12\nconfig = dict(routing_policy=a)", "is not data"),
        ("a = {'t': ['c']}\n" + "a = dict(a, **a)\n" * 20 + "config = dict(routing_policy=7)", "texts"),
        ("config = dict()\nconfig['routing_policy'] = open('/etc/passwd').read()", "is not data"),
    ],
)
def test_what_is_wrong_is_one_line(folder: Path, text: str, said: str) -> None:
    with pytest.raises(ToolsError, match=said) as caught:
        of(folder, text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_nothing_is_executed(folder: Path, tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    code = f"import pathlib\npathlib.Path({str(mark)!r}).touch()\nconfig = dict(routing_policy={{}})\n"
    assert of(folder, code).routing == {}
    assert not mark.exists()


def test_no_utf_8_and_no_file_are_one_line(folder: Path) -> None:
    (folder / "x.py").write_bytes(b"config = {'\xff': 1}")
    with pytest.raises(ToolsError, match="no UTF-8"):
        read([str(folder)], [])
    with pytest.raises(ToolsError, match="neither an endpoint"):
        read([str(folder / "missing")], [])


def test_a_name_that_is_no_users_is_left_out_and_said(folder: Path) -> None:
    old = of(folder, "config = dict(routing_policy={'t': ['a\\nb', 'good', '', '\\ud800']})")
    assert old.routing == {"t": ("good",)}
    assert len(old.notes) == 3
    assert all(note.isprintable() for note in old.notes)


def test_certificates_of_a_folder(tmp_path: Path) -> None:
    ca = authority("CA")
    ends = datetime.now(UTC) + 90 * DAY
    for name in ("shell-app01", "bodhi-app01"):
        ca.issue(name, ends=ends).write(tmp_path, name)
    ca.issue("bodhi-app01", ends=ends + DAY).write(tmp_path, "renewed")
    ca.issue(["two", "names"]).write(tmp_path, "two")
    ca.issue("odd\nname").write(tmp_path, "odd")
    (tmp_path / "ca.crt").write_bytes(ca.pem)
    (tmp_path / "broken.crt").write_bytes(b"\xff\xfe")
    (tmp_path / "huge.crt").write_bytes(b"x" * 10_000_000)
    (tmp_path / "notes.txt").write_text("hello")
    old = read([], [str(tmp_path)])
    assert set(old.expires) == {"shell-app01", "bodhi-app01"}
    assert old.expires["bodhi-app01"] == pytest.approx((ends + DAY).timestamp(), abs=2)
    assert [Path(note.split(" cannot")[0].split(":")[0]).name for note in old.notes] == [
        "broken.crt",
        "huge.crt",
        "odd.crt",
        "two.crt",
    ]
    assert all("\n" not in note for note in old.notes)


@pytest.mark.parametrize("name", ["missing", "file", "empty", "a\0b"])
def test_a_folder_without_certificates_is_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    with pytest.raises(ToolsError, match="certificate") as caught:
        read([], [str(tmp_path / name)])
    assert "\n" not in str(caught.value)
