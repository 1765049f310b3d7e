# SPDX-License-Identifier: MIT
"""``deploy/containers``: what linters say of it, that its parts fit one another, and its containers without an engine.

The image is built by the Containerfile's own commands, in plain folders; what compose.yaml says is run with the means
of Linux that an engine uses too (``container.sh``).
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from compose_spec import PyOptions

from .conftest import Pki
from .containerfile import Instruction, build, stages
from .machines import Machines, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

TOP = Path(__file__).parents[2]
FOLDER = TOP / "deploy" / "containers"
CONTAINERFILE = FOLDER / "Containerfile"
SERVICES = ("zmq-to-amqp", "amqp-to-zmq", "verify-missing")
BIN = Path(sys.executable).parent
ADMIN = {"user": "admin", "password": "correct horse battery staple"}


def compose() -> dict[str, Any]:
    """What compose.yaml says, its ``<<`` merged; refuses keys and values that the Compose specification has not."""
    read = PyOptions(apply_merge=True).from_yaml((FOLDER / "compose.yaml").read_text())
    read.validate()
    return dict(read.to_dict())


def quadlet(name: str) -> dict[str, list[str]]:
    """The section [Container] of one."""
    text = (FOLDER / "quadlet" / f"{name}.container").read_text()
    found: dict[str, list[str]] = {}
    for line in text.partition("[Container]\n")[2].partition("\n[")[0].splitlines():
        if line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def lint(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([BIN / "hadolint", path], capture_output=True, text=True, check=False, timeout=60)


# What linters and parsers say


def test_hadolint_finds_nothing() -> None:
    told = lint(CONTAINERFILE)
    assert (told.returncode, told.stdout) == (0, "")


def test_hadolint_would_have_said_so(tmp_path: Path) -> None:
    (tmp_path / "Containerfile").write_text(CONTAINERFILE.read_text().replace("WORKDIR /src", "WORKDIR src"))
    assert "DL3000" in lint(tmp_path / "Containerfile").stdout


def test_compose_is_what_the_specification_says() -> None:
    assert set(compose()["services"]) == {"broker", *SERVICES}


def test_an_unknown_key_would_have_been_found() -> None:
    text = (FOLDER / "compose.yaml").read_text()
    with pytest.raises(ValueError, match="readonly"):
        PyOptions(apply_merge=True).from_yaml(text.replace("read_only:", "readonly:"))


# The image


def last() -> list[Instruction]:
    return stages(CONTAINERFILE)[-1]


def test_the_image_is_nobodys() -> None:
    [user] = [one.text for one in last() if one.name == "USER"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    assert not [one for one in last() if one.name == "RUN"]  # and nothing is run as root after it


def test_no_secret_is_in_the_image() -> None:
    secret = re.compile(r"password|secret|token|key\.pem|amqps?://", re.IGNORECASE)
    assert not [one for stage in stages(CONTAINERFILE) for one in stage if secret.search(one.text)]


def test_what_is_copied_is_there() -> None:
    for stage in stages(CONTAINERFILE):
        for one in stage:
            if one.name == "COPY" and not one.text.startswith("--from"):
                for source in one.text.split()[:-1]:
                    assert (TOP / source).exists(), source


def test_it_takes_the_uv_of_the_lock_file() -> None:
    pinned = re.search(r'^name = "uv"\nversion = "(.+)"$', (TOP / "uv.lock").read_text(), re.MULTILINE)
    assert pinned
    assert f"uv=={pinned[1]}" in CONTAINERFILE.read_text()


def test_signals_reach_the_tools() -> None:
    entry = next(one for one in last() if one.name == "ENTRYPOINT")
    assert entry.text.startswith(
        "["
    )  # in the other form a shell would be process 1, and keep SIGTERM to itself
    assert entry.words == ["fedmsg-migration-tools"]


# That the parts fit one another


@pytest.mark.parametrize("name", SERVICES)
def test_the_quadlet_says_what_compose_says(name: str) -> None:
    ours, theirs = quadlet(f"fedmsg-{name}"), compose()["services"][name]
    assert ours["Image"] == [f"{theirs['image']}:latest"]
    assert ours["Exec"][0].split() == theirs["command"]
    assert ours.get("PublishPort", []) == theirs.get("ports", [])
    assert ours["ReadOnly"] == ["true"]
    assert ours["NoNewPrivileges"] == ["true"]
    assert ours["DropCapability"] == ["all"]
    targets = [re.search(r"target=([^,]+)", secret) for secret in ours["Secret"]]
    assert [found[1] for found in targets if found] == [one["target"] for one in theirs["secrets"]]
    assert f"--stop-timeout {seconds(theirs['stop_grace_period'])}" in ours["PodmanArgs"][0]


def test_the_broker_of_the_quadlet_is_that_of_compose() -> None:
    ours, theirs = quadlet("bus-broker"), compose()["services"]["broker"]
    assert ours["Image"] == [theirs["image"]]
    assert ours["PublishPort"] == theirs["ports"]
    assert ours["AddCapability"][0].split() == [f"CAP_{name}" for name in theirs["cap_add"]]
    assert ours["HealthCmd"][0].split() == theirs["healthcheck"]["test"][1:]


def seconds(text: str) -> int:
    minutes, rest = re.fullmatch(r"(?:(\d+)m)?(?:(\d+)s)?", text).groups()  # type: ignore[union-attr]
    return int(minutes or 0) * 60 + int(rest or 0)


@pytest.mark.parametrize("name", ["broker", *SERVICES])
def test_nothing_is_published_beyond_this_machine(name: str) -> None:
    for port in compose()["services"][name].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port)


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_has_no_rights(name: str) -> None:
    service = compose()["services"][name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert "environment" not in service  # where a secret could stand
    assert service["depends_on"]["broker"] == {"condition": "service_healthy"}


def test_what_compose_mounts_is_there() -> None:
    read = compose()
    paths = [one["file"] for one in read["configs"].values()]
    paths += [one.split(":")[0] for one in read["services"]["broker"]["volumes"] if one.startswith("../")]
    assert len(paths) == 10
    for path in paths:
        assert (FOLDER / path).is_file(), path


def test_quadlet_makes_units_of_them() -> None:
    places = (Path("/usr/libexec/podman/quadlet"), TOP / ".cache" / "quadlet" / "quadlet")
    program = next((path for path in places if path.exists()), None)
    if program is None:
        pytest.skip("no quadlet here: tools/install-quadlet fetches one")
    told = subprocess.run(
        [program, "-dryrun"],
        env={**os.environ, "QUADLET_UNIT_DIRS": str(FOLDER / "quadlet")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert told.returncode == 0, told.stderr
    made = set(re.findall(r"^---(.+)---$", told.stdout, re.MULTILINE))
    names = ["bus-broker", *(f"fedmsg-{name}" for name in SERVICES)]
    assert made == {
        "bus-network.service",
        *(f"{name}{part}.service" for name in names for part in ("", "-volume")),
    }
    # It ends without an error, but was seen to lose a quote.
    assert told.stdout.count('--health-cmd "python3 /opt/tools/healthy.py live" ') == len(SERVICES)
    for name in SERVICES:
        command = quadlet(f"fedmsg-{name}")["Exec"][0]
        assert f" localhost/fedmsg-migration-tools:latest {command}\n" in told.stdout


# The containers, run


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of the stage that builds; its first command is left out, since uv is here already."""
    root = tmp_path_factory.mktemp("image")
    (root / "opt" / "uv" / "bin").mkdir(parents=True)
    (root / "opt" / "uv" / "bin" / "uv").symlink_to(BIN / "uv")
    stage = stages(CONTAINERFILE)[0]
    installing = next(one for one in stage if one.name == "RUN")
    assert "pip install" in installing.text
    build([one for one in stage if one is not installing], TOP, root, dict(os.environ))
    shutil.copy(FOLDER / "healthy.py", root / "opt" / "tools")
    for path in (root, *root.parents[:2]):  # pytest's own are for their owner only
        path.chmod(0o755)
    return root


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """The network of compose.yaml, with its broker, and the users that the services are."""
    folder = tmp_path_factory.mktemp("containers")
    with Machines(folder, "broker", *SERVICES) as machines:
        pki = Pki(folder / "pki", hosts=("broker",), clients=SERVICES)
        for mounted in compose()["services"]["broker"]["volumes"]:
            source, into, *_ = mounted.split(":")
            if source.startswith("../") and not ("rabbitmq4" in source and machines.version < (4,)):
                target = machines.etc("broker") / Path(into).relative_to("/etc/rabbitmq")
                target.parent.mkdir(exist_ok=True)
                shutil.copy(FOLDER / source, target)
        machines.cookie("of the only node")
        pki.bring(machines, "broker")
        machines.start("broker")
        machines.await_start("broker")
        machines.ctl("broker", "add_user", ADMIN["user"], text=ADMIN["password"])
        machines.ctl("broker", "set_user_tags", ADMIN["user"], "administrator")
        machines.ctl("broker", "add_vhost", "/pubsub")
        for name in SERVICES:
            made = machines.request(
                "broker",
                "PUT",
                f"https://localhost:15671/api/users/{name}",
                ca=pki.ca,
                tls=pki.of(name),
                body={"password_hash": "", "tags": ""},
                **ADMIN,
            )
            assert made[0] == 201, made
            machines.ctl("broker", "set_permissions", "--vhost", "/pubsub", name, ".*", ".*", ".*")
            lay_out(machines.folder / name, pki, name)
        yield machines


def lay_out(folder: Path, pki: Pki, name: str) -> None:
    """The files that compose.yaml mounts into a service."""
    read = compose()
    (folder / "secrets").mkdir()
    (folder / "state").mkdir()
    for one in read["services"][name]["configs"]:
        target = folder / one["target"].removeprefix("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(FOLDER / read["configs"][one["source"]]["file"], target)
    for one in read["services"][name]["secrets"]:
        target = folder / "secrets" / one["target"]
        source = Path(read["secrets"][one["source"]]["file"])
        if source.name == "token":
            target.write_text("a token of some length\n")
        else:
            shutil.copy(pki.ca if source.name == "ca.pem" else pki.of(name) / source.name, target)
        target.chmod(0o400)
    if os.geteuid() == 0:
        for path in (folder / "state", *(folder / "secrets").iterdir()):
            os.chown(path, 10001, 10001)


@contextlib.contextmanager
def container(network: Machines, image: Path, name: str) -> Iterator[subprocess.Popen[str]]:
    """Run a service of compose.yaml on the machine of its name."""
    entry = next(one for one in last() if one.name == "ENTRYPOINT").words
    command = [*entry, *compose()["services"][name]["command"]]
    folder = network.folder / name
    program = Path(__file__).parent / "container.sh"
    inside = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", str(program)]
    arguments = [str(folder), str(image / "opt" / "tools"), sys.base_prefix, *command]
    with (folder / "printed").open("w") as log:
        running = subprocess.Popen(
            network.command(name, [*inside, *arguments]),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            text=True,
        )
    try:
        yield running
    finally:
        running.kill()
        running.wait()


def within(network: Machines, name: str, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a service's container, as an engine runs its health check."""
    first = (network.folder / name / "container.pid").read_text().strip()
    root = f"/proc/{first}/root"
    return network.run(name, "nsenter", "--target", first, "--mount", "--pid", f"--root={root}", *command)


def test_the_services_run_as_compose_says(network: Machines, image: Path) -> None:
    """Healthy by the image's own check, as nobody, writing only to their volumes; ended by SIGTERM."""
    check = next(one for one in last() if one.name == "HEALTHCHECK").text.partition(" CMD ")[2]
    health = [
        one.replace("python3", f"{sys.base_prefix}/bin/python3") for one in Instruction("CMD", check).words
    ]
    with contextlib.ExitStack() as stack:
        running = {name: stack.enter_context(container(network, image, name)) for name in SERVICES}

        def healthy(name: str) -> bool:
            assert running[name].poll() is None, (network.folder / name / "printed").read_text()
            started = (network.folder / name / "container.pid").exists()
            return started and within(network, name, *health).returncode == 0

        for name in SERVICES:
            wait_for(partial(healthy, name), name, 60)
        for name in SERVICES:
            status = within(network, name, "cat", "/proc/1/status").stdout
            assert "NoNewPrivs:\t1" in status or os.geteuid() != 0
            assert "CapBnd:\t0000000000000000" in status or os.geteuid() != 0
            assert "Uid:\t10001\t10001\t10001\t10001" in status or os.geteuid() != 0
            for place in ("/etc", "/opt/tools", "/usr", "/run/secrets"):
                assert "Read-only file system" in within(network, name, "touch", f"{place}/mark").stderr
        for name in SERVICES:
            within(network, name, "kill", "-TERM", "1")
            assert running[name].wait(60) == 0, (network.folder / name / "printed").read_text()
    assert (network.folder / "zmq-to-amqp" / "state" / "zmq_to_amqp.sqlite").exists()
    assert (network.folder / "verify-missing" / "state" / "verify_missing.sqlite").exists()
    for name in SERVICES:
        assert "BEGIN" not in (network.folder / name / "printed").read_text()  # no key in the log


def test_the_brokers_health_check(network: Machines) -> None:
    check, *arguments = compose()["services"]["broker"]["healthcheck"]["test"][1:]
    assert network.tool("broker", check, *arguments).returncode == 0
    assert network.tool("broker", check, *arguments[:-1], "5672").returncode != 0


def test_the_configuration_names_what_is_mounted() -> None:
    library = tomllib.loads((FOLDER / "config" / "fedora-messaging.toml").read_text())
    tools = tomllib.loads((FOLDER / "config" / "tools.toml").read_text())
    named = {*library["tls"].values(), tools["verify_missing"]["token_file"]}
    assert named == {f"/run/secrets/{name}" for name in ("ca.pem", "cert.pem", "key.pem", "token")}
