# SPDX-License-Identifier: MIT
"""``broker check`` on a real RabbitMQ with TLS and certificates: all well, and then one thing wrong at a time."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from .checked_site import PASSWORD, VHOST, Site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    one = Site(tmp_path_factory.mktemp("site"))
    with one.node as node:
        one.apply()
        end = time.monotonic() + 60  # until the node tells of itself
        while not node.management("GET", "/api/nodes")[0].get("enabled_plugins"):
            assert time.monotonic() < end
            time.sleep(0.2)
        yield one


Check = Callable[..., Any]


@pytest.fixture
def check(command: Any, site: Site) -> Check:
    """Runs the command on the site's file, unless told otherwise; no secret is in what it says."""
    command.environment |= {
        "FEDMSG_MIGRATION_TOOLS_BROKER_PASSWORD": site.node.password,
        "ARCHIVE_PASSWORD": PASSWORD,
    }

    def run(*arguments: object, file: Path | None = None, credentials: Path | None = site.credentials) -> Any:
        given = ["--credentials", credentials] if credentials else []
        url = f"http://127.0.0.1:{site.node.ports['management']}"
        who = ["--management-url", url, "--user", site.node.user]
        done = command("broker", "check", file or site.file, *given, *who, *arguments)
        assert not [
            secret for secret in (PASSWORD, site.node.password) if secret in done.stdout + done.stderr
        ]
        return done

    return run


def failed(done: Any) -> list[str]:
    return [line for line in done.stdout.splitlines() if line.startswith("fail")]


def test_all_is_well_and_nothing_is_touched(site: Site, check: Check) -> None:
    before, waiting = site.node.management("GET", "/api/definitions"), site.waiting()
    done = check()
    assert (failed(done), done.stderr, done.returncode) == ([], "", 0), done.stdout
    for words in (
        "file         the broker does not differ from it",
        "publish      bodhi in /pubsub: what is granted is allowed (",
        "bind         reader in /pubsub: what is granted is allowed (",
        "consume      archive in /pubsub: what is granted is allowed (1 tried), what is not granted is refused (",
        "login        stranger in /pubsub: is kept out",
        "login        guest: does not log in",
        "accepts TLS 1.2 and TLS 1.3, nothing older",
        "offers EXTERNAL",
    ):
        assert words in done.stdout
    assert done.stdout.splitlines()[-1].endswith(" 0 fail")
    assert site.node.management("GET", "/api/definitions") == before
    assert site.waiting() == waiting == "[{ok,0,0}]".replace(",", ", ")


def test_who_cannot_be_tried_is_looked_up(check: Check) -> None:
    done = check(credentials=None)
    assert (failed(done), done.returncode) == ([], 0)
    assert "bodhi in /pubsub: what is granted is allowed (" in done.stdout
    assert "by the broker's own tables" in done.stdout
    assert "archive in /pubsub: gets in\n" in done.stdout  # its password is in the environment
    assert "looked up in the broker's tables: bodhi, reader, stranger" in done.stdout


def test_grants_that_rabbitmq_does_not_keep_are_found(site: Site, check: Check, tmp_path: Path) -> None:
    (file := tmp_path / "bus.toml").write_text(
        site.file.read_text().replace("users.bodhi]", 'users.bodhi]\nmanage = ["bodhi-*"]')
    )
    done = check(file=file, credentials=None)
    assert "warn  file         vhosts.'/pubsub'.users.bodhi: who may declare a queue" in done.stdout.replace(
        '"', "'"
    )
    assert done.stderr == ""


def test_as_json(check: Check) -> None:
    done = check("--json")
    told = json.loads(done.stdout)
    assert (told["fail"], done.returncode) == (0, 0)
    assert {"status", "check", "text", "advice"} == set(told["findings"][0])
    assert told["ok"] == sum(one["status"] == "ok" for one in told["findings"])


def test_quietly(check: Check) -> None:
    assert not [line for line in check("--quiet").stdout.splitlines() if line.startswith("ok")]


BODHI = r"(?s)\A(?:org\.app\.prod(?:\..*)?|org\.app\.[^.]*\.tag)\z"
WRONG: dict[str, tuple[Callable[[Site], None], str, str]] = {
    "everything may be published": (
        lambda site: site.permit("bodhi", topic=".*"),
        "publish",
        "bodhi in /pubsub: may",
    ),
    "no end": (
        lambda site: site.permit("bodhi", topic=r"^org\.app\.prod"),
        "publish",
        "may publish 'org.app.prodx",
    ),
    "no dots": (
        lambda site: site.permit("bodhi", topic=BODHI.replace(r"\.", ".")),
        "publish",
        "may publish 'orgx",
    ),
    "a newline": (
        lambda site: site.permit("bodhi", topic=BODHI.replace(r"\z", "$")),
        "publish",
        r"may publish 'org.app.check.tag\n'",
    ),
    "a topic is missing": (
        lambda site: site.permit("bodhi", topic=r"^org\.app\.prod\.check$"),
        "publish",
        "bodhi in /pubsub: may not publish 'org.app.prod' to amq.topic, which the file grants",
    ),
    "another exchange": (
        lambda site: site.permit("bodhi", write=r"^amq\."),
        "publish",
        "may publish 'check' to amq.default",
    ),
    "all may be bound": (
        lambda site: site.permit("reader", topic=".*"),
        "bind",
        "reader in /pubsub: may bind ",
    ),
    "others' queues may be read": (
        lambda site: site.permit("bodhi", read="^archive$"),
        "consume",
        "bodhi in /pubsub: may consume archive, which the file does not grant",
    ),
    "its queue may not be read": (
        lambda site: site.permit("archive", read="^$"),
        "consume",
        "archive in /pubsub: may not consume archive, which the file grants",
    ),
    "queues may be made": (
        lambda site: site.permit("bodhi", configure=".*"),
        "declare",
        "bodhi in /pubsub: may declare archive",
    ),
    "a stranger gets in": (
        lambda site: site.permit("stranger", read="^$"),
        "login",
        "stranger in /pubsub: gets in",
    ),
}


@pytest.fixture
def restored(site: Site) -> Iterator[None]:
    """What a test did to permissions is undone."""
    yield
    for kind in ("permissions", "topic-permissions"):
        for row in site.node.management("GET", f"/api/{kind}"):
            if row["vhost"] == VHOST and row["user"] != site.node.user:
                site.node.management("DELETE", f"/api/{kind}/{quote(VHOST, safe='')}/{row['user']}")
    site.apply()


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize(
    ("case", "by"),
    [
        *((case, "trying") for case in WRONG),
        *((case, "tables") for case in ("a newline", "no dots", "a stranger gets in")),
    ],
)
def test_a_wrong_permission_shows(site: Site, check: Check, case: str, by: str) -> None:
    change, kind, words = WRONG[case]
    change(site)
    done = check(credentials=site.credentials if by == "trying" else None)
    found = [line for line in failed(done) if line.split()[1] == kind]
    assert [line for line in found if words in line], done.stdout
    assert done.returncode == 1
    assert [line for line in failed(done) if " file " in line]


@contextmanager
def user(site: Site, name: str, password: str, tags: str) -> Iterator[None]:
    site.node.management("PUT", f"/api/users/{name}", {"password": password, "tags": tags})
    try:
        yield
    finally:
        site.node.management("DELETE", f"/api/users/{name}")


def test_who_may_only_monitor_sees_the_rest(site: Site, command: Any, check: Check) -> None:
    with user(site, "watcher", "secret-of-the-watcher", "monitoring"):
        command.environment["FEDMSG_MIGRATION_TOOLS_BROKER_PASSWORD"] = "secret-of-the-watcher"
        done = check("--user", "watcher")
    assert (failed(done), done.returncode) == ([], 0), done.stdout + done.stderr
    assert "warn  users        users and permissions are only shown to administrators" in done.stdout
    assert "warn  file         it cannot be compared with the broker" in done.stdout
    assert "publish      bodhi in /pubsub: what is granted is allowed" in done.stdout


def test_the_user_whom_everybody_knows(site: Site, check: Check) -> None:
    with user(site, "guest", "guest", "administrator"):
        done = check()
    assert "fail  users        the default user guest is there: delete it" in done.stdout
    assert done.returncode == 1


def test_guest_really_logs_in(site: Site, check: Check) -> None:
    with user(site, "guest", "guest", ""):
        site.permit("guest", read="^$")
        done = check()
    assert "fail  login        guest: logs in with the password that everybody knows" in done.stdout


def test_an_administrator_whom_the_file_does_not_know(site: Site, check: Check) -> None:
    with user(site, "boss", "secret-of-the-boss", "administrator"):
        done = check()
    assert "fail  users        boss has the tags administrator" in done.stdout


def test_an_alarm(site: Site, check: Check) -> None:
    usual = site.node.evaluate("vm_memory_monitor:get_vm_memory_high_watermark()")
    site.node.evaluate("vm_memory_monitor:set_vm_memory_high_watermark(0.00001)")
    try:
        done = check("--quiet", credentials=None)
    finally:
        site.node.evaluate(f"vm_memory_monitor:set_vm_memory_high_watermark({usual})")
    assert "fail  alarms" in done.stdout
    assert "what may be published is not tried while messages are not accepted" in done.stdout
    assert not [line for line in done.stdout.splitlines() if "may publish" in line]
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("tls = true", 'tls = true\nminimum_version = "99.1"', "version      RabbitMQ on"),
        (
            '"rabbitmq_management"',
            '"rabbitmq_shovel"',
            "plugins      rabbitmq_shovel is not enabled on",
        ),
        ("tls = true", 'tls = true\nnodes = ["b@x"]', "nodes        b@x is not in the cluster"),
        ("localhost", "127.0.0.1", "its certificate does not hold: IP address mismatch"),
        ("[users]", "[users]\nnewcomer.certificate = true", "users        there is no user newcomer"),
        (
            '[vhosts."/pubsub".users.archive]',
            '[vhosts."/other"]\n[vhosts."/pubsub".users.archive]',
            "vhosts       there is no virtual host /other",
        ),
    ],
)
def test_the_file_wants_something_else(
    site: Site, check: Check, tmp_path: Path, old: str, new: str, words: str
) -> None:
    file = tmp_path / "bus.toml"
    file.write_text(site.file.read_text().replace(old, new, 1))
    done = check(file=file, credentials=None)
    assert [line for line in failed(done) if words in line], done.stdout + done.stderr
    assert done.returncode == 1


def test_a_url_without_tls(site: Site, check: Check, tmp_path: Path) -> None:
    file = tmp_path / "bus.toml"
    plain = f"amqp://localhost:{site.node.amqp_port}"
    file.write_text(site.file.read_text().replace(f"amqps://localhost:{site.node.ports['amqps']}", plain))
    done = check(file=file, credentials=None)
    assert [line for line in failed(done) if "broker.tls is set, and this URL is without" in line]


def test_certificates_of_users(site: Site, check: Check, tmp_path: Path) -> None:
    folder = tmp_path / "credentials"
    shutil.copytree(site.credentials, folder)
    now = datetime.now(UTC)
    day = timedelta(days=1)
    site.issue("bodhi", folder=folder, not_before=now - 9 * day, not_after=now - day)
    site.issue("reader", folder=folder, not_after=now + 3 * day)
    site.issue("stranger", "somebody", folder=folder)
    done = check(credentials=folder)
    assert f"fail  certificate  the certificate {folder}/bodhi.crt expired on" in done.stdout
    assert "fail  login        bodhi in /pubsub: localhost:" in done.stdout
    assert f"warn  certificate  the certificate {folder}/reader.crt is valid until" in done.stdout
    assert f"fail  certificate  the certificate {folder}/stranger.crt has the CN 'somebody'" in done.stdout
    assert (
        f"ok    certificate  the certificate {folder}/reader.crt"
        in check("--days", 1, credentials=folder).stdout
    )


# bad input


def one_line(done: Any) -> str:
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("Error: ")
    return str(lines[0])


def test_a_wrong_management_password(command: Any, check: Check) -> None:
    command.environment["FEDMSG_MIGRATION_TOOLS_BROKER_PASSWORD"] = "not-this-one"
    assert "does not know the user" in one_line(check())


def test_no_management_api(check: Check, site: Site) -> None:
    assert "does not speak HTTP" in one_line(
        check("--management-url", f"http://127.0.0.1:{site.node.amqp_port}")
    )
    assert "does not listen" in one_line(check("--management-url", "http://127.0.0.1:1"))


def test_an_unreachable_broker(site: Site, check: Check, tmp_path: Path) -> None:
    file = tmp_path / "bus.toml"
    file.write_text(site.file.read_text().replace(f":{site.node.ports['amqps']}", ":1"))
    assert "No broker listens at localhost:1: name it" in one_line(check(file=file))


def test_a_file_with_a_mistake(site: Site, check: Check, tmp_path: Path) -> None:
    file = tmp_path / "bus.toml"
    file.write_text(site.file.read_text().replace("consume", "consumes"))
    assert "consumes" in one_line(check(file=file))


def test_a_password_on_the_command_line_is_warned_of(check: Check) -> None:
    done = check("--amqp-url=amqps://a:secretly@localhost")
    assert "put the URL into $FEDMSG_MIGRATION_TOOLS_AMQP_URL" in done.stderr
    assert "secretly" not in done.stderr + done.stdout


def test_a_file_that_names_no_broker(site: Site, command: Any, check: Check, tmp_path: Path) -> None:
    file = tmp_path / "bus.toml"
    lines = site.file.read_text().splitlines(keepends=True)
    file.write_text("".join(line for line in lines if not line.startswith("amqp_urls")))
    command.environment["FEDMSG_MIGRATION_TOOLS_AMQP_URL"] = f"amqps://localhost:{site.node.ports['amqps']}"
    done = check(file=file)
    assert (failed(done), done.returncode) == ([], 0), done.stdout + done.stderr
    assert "bodhi in /pubsub: what is granted is allowed" in done.stdout


def test_an_empty_password_file(check: Check, tmp_path: Path) -> None:
    (tmp_path / "archive.password").write_text("")
    assert "holds no password" in one_line(check(credentials=tmp_path))
