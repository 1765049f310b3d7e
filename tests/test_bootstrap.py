# SPDX-License-Identifier: MIT
"""What ``tools/bootstrap`` decides, on machines made of fake commands. That it works on a real one is tried by hand."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

TOOLS = Path(__file__).parents[1] / "tools"
BORROWED = [
    "cat",
    "chmod",
    "cksum",
    "cut",
    "dirname",
    "env",
    "grep",
    "ln",
    "mkdir",
    "printf",
    "rm",
    "sed",
    "sh",
]
BORROWED += ["chown", "flock", "mv", "sort", "tail", "touch", "uniq"]

# Every fake writes what it was called with; a package manager "installs" by putting commands into the folder.
FAKES = {
    "apt-get": """
        echo "apt-get $*" >>"$CALLS"
        if [ -e "$SYSTEM_ROOT/usr/sbin/policy-rc.d" ]; then cat "$SYSTEM_ROOT/usr/sbin/policy-rc.d" >>"$CALLS"; fi
        case "$1" in update) exit 0 ;; esac
        if [ -e "$MACHINE/broken" ]; then echo "E: no such package"; exit 100; fi
        for name in "$@"; do touch "$MACHINE/$name-installed"; done
        ln -sf "$(command -v cat)" "$MACHINE/bin/rabbitmq-server"
    """,
    "dnf": """
        echo "dnf $*" >>"$CALLS"
        ln -sf "$(command -v cat)" "$MACHINE/bin/rabbitmq-server"
        if [ ! -e "$MACHINE/bin/python3.12" ]; then ln -s "$MACHINE/python-new" "$MACHINE/bin/python3.12"; fi
    """,
    "sudo": """
        echo "sudo $*" >>"$CALLS"
        if [ "$1" = -n ]; then test -e "$MACHINE/sudoer"; else exec "$@"; fi
    """,
    "systemctl": """
        echo "systemctl $*" >>"$CALLS"
    """,
    "update-rc.d": """
        echo "update-rc.d $*" >>"$CALLS"
    """,
}

NEW_PYTHON = """
    case "$*" in
        *ensurepip*) test -e "$MACHINE/python3-venv-installed" ;;
        --version) echo "Python 3.11.2" ;;
        "-m venv --clear .venv")
            rm -rf .venv && mkdir -p .venv/bin
            ln -sf "$MACHINE/python-new" .venv/bin/python
            echo "VIRTUAL_ENV=$PWD/.venv" >.venv/bin/activate ;;
        "-m pip"*)
            printf '#!/bin/sh\\necho "uv $*" >>"$CALLS"\\n' >.venv/bin/uv
            chmod +x .venv/bin/uv
            echo "pip $*" >>"$CALLS" ;;
    esac
"""
OLD_PYTHON = """
    case "$*" in
        --version) echo "Python 3.9.2" ;;
        *) exit 1 ;;
    esac
"""


class Machine(NamedTuple):
    """A folder that stands for a machine: ``bin`` is its PATH, ``clone`` the repository on it."""

    folder: Path
    clone: Path

    def put(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}")
        path.chmod(0o755)

    def has(self, *commands: str) -> None:
        for command in commands:
            self.put(f"bin/{command}", FAKES[command])

    def user(self, uid: int) -> None:
        self.put("bin/id", f"echo {uid}")

    def bootstrap(self, *more: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": str(self.folder / "bin"),
            "MACHINE": str(self.folder),
            "SYSTEM_ROOT": str(self.folder / "root"),
            "CALLS": str(self.folder / "calls"),
        }
        return subprocess.run(
            [self.clone / "tools/bootstrap", *more],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )

    @property
    def calls(self) -> list[str]:
        log = self.folder / "calls"
        return log.read_text().splitlines() if log.exists() else []

    @property
    def policy(self) -> Path:
        return self.folder / "root/usr/sbin/policy-rc.d"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A Debian as it is delivered: a Python and systemd, but neither the venv module nor RabbitMQ; run by root."""
    made = Machine(tmp_path, tmp_path / "clone")
    (tmp_path / "bin").mkdir()
    (tmp_path / "root/usr/sbin").mkdir(parents=True)
    (tmp_path / "root/etc").mkdir()
    (tmp_path / "root/etc/hosts").touch()
    for command in BORROWED:
        (tmp_path / "bin" / command).symlink_to(shutil.which(command) or command)
    shutil.copytree(TOOLS, made.clone / "tools")
    package = made.clone / "packages/one"
    package.mkdir(parents=True)
    (package / "pyproject.toml").write_text("")
    (made.clone / "pyproject.toml").write_text("")
    (made.clone / "uv.lock").write_text('[[package]]\nname = "uv"\nversion = "1.2.3"\n')
    made.put("python-new", NEW_PYTHON)
    made.put("bin/python3", NEW_PYTHON)
    made.has("apt-get", "update-rc.d")
    made.put("bin/systemd-analyze", "")
    made.put("bin/promtool", "")
    made.user(0)
    return made


def test_on_a_fresh_machine_everything_is_installed(machine: Machine) -> None:
    done = machine.bootstrap()
    assert done.returncode == 0, done.stderr
    assert (
        "apt-get install --quiet --yes --no-install-recommends python3-venv rabbitmq-server" in machine.calls
    )
    assert "pip -m pip install --quiet --disable-pip-version-check uv==1.2.3" in machine.calls
    assert "uv sync --quiet --frozen --inexact" in machine.calls


def test_the_second_time_it_does_nothing(machine: Machine) -> None:
    machine.bootstrap()
    before = machine.calls
    done = machine.bootstrap()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert machine.calls == before


def test_a_changed_lock_file_is_installed_by_the_same_uv(machine: Machine) -> None:
    machine.bootstrap()
    with (machine.clone / "uv.lock").open("a") as lock:
        lock.write("# one more\n")
    machine.put("clone/.venv/bin/uv", 'test "$1" = --version && echo "uv 1.2.3" || echo "uv $*" >>"$CALLS"')
    machine.bootstrap()
    assert machine.calls.count("uv sync --quiet --frozen --inexact") == 2
    assert sum(call.startswith("pip") for call in machine.calls) == 1


def test_an_environment_that_was_moved_is_made_again(machine: Machine) -> None:
    machine.bootstrap()
    moved = Machine(machine.folder, machine.clone.rename(machine.folder / "elsewhere"))
    done = moved.bootstrap()
    assert done.returncode == 0, done.stderr
    assert moved.calls.count("uv sync --quiet --frozen --inexact") == 2


def test_services_are_forbidden_to_start_only_while_debian_installs(machine: Machine) -> None:
    machine.bootstrap()
    assert "exit 101" in machine.calls
    assert not machine.policy.exists()
    assert machine.calls[-3:-2] == ["update-rc.d rabbitmq-server disable"]


def test_a_policy_that_is_there_is_kept(machine: Machine) -> None:
    machine.policy.write_text("#!/bin/sh\nexit 104\n")
    machine.bootstrap()
    assert "exit 104" in machine.calls
    assert machine.policy.read_text() == "#!/bin/sh\nexit 104\n"


def test_the_policy_goes_also_when_installing_fails(machine: Machine) -> None:
    (machine.folder / "broken").touch()
    done = machine.bootstrap()
    assert done.returncode == 1
    assert done.stderr.splitlines()[-2] == "E: no such package"
    assert not machine.policy.exists()


def test_with_systemd_the_units_cannot_start_and_stay_disabled(machine: Machine) -> None:
    machine.has("systemctl")
    (machine.folder / "root/run/systemd/system").mkdir(parents=True)
    machine.bootstrap()
    units = ["rabbitmq-server.service", "epmd.service", "epmd.socket"]
    installed = next(at for at, call in enumerate(machine.calls) if call.startswith("apt-get install"))
    for unit in units:
        assert machine.calls.index(f"systemctl --quiet mask {unit}") < installed
        assert machine.calls.index(f"systemctl --quiet unmask {unit}") > installed
        assert machine.calls.index(f"systemctl --quiet disable {unit}") > installed


def test_an_erlang_that_was_there_keeps_its_epmd(machine: Machine) -> None:
    machine.has("systemctl")
    machine.put("bin/epmd", "")
    (machine.folder / "root/run/systemd/system").mkdir(parents=True)
    machine.bootstrap()
    assert not [call for call in machine.calls if "epmd" in call]


def test_a_rabbitmq_that_was_there_is_not_touched(machine: Machine) -> None:
    machine.has("systemctl")
    machine.put("root/usr/sbin/rabbitmq-server", "")
    (machine.folder / "python3-venv-installed").touch()
    machine.bootstrap()
    assert not [call for call in machine.calls if call.startswith(("apt-get", "systemctl", "update-rc.d"))]


def test_without_the_right_one_line_says_what_is_missing(machine: Machine) -> None:
    machine.user(1000)
    done = machine.bootstrap()
    assert done.returncode == 1
    assert done.stderr == (
        "Missing: the venv module of python3, RabbitMQ. "
        "Install it as root with: apt-get install python3-venv rabbitmq-server\n"
    )
    assert machine.calls == []


def test_sudo_that_would_ask_is_not_the_right_when_nobody_can_answer(machine: Machine) -> None:
    machine.user(1000)
    machine.has("sudo")
    done = machine.bootstrap()
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert machine.calls == ["sudo -n true"]


def test_sudo_installs_and_nothing_else_runs_as_root(machine: Machine) -> None:
    machine.user(1000)
    machine.has("sudo")
    (machine.folder / "sudoer").touch()
    done = machine.bootstrap()
    assert done.returncode == 0, done.stderr
    assert [call for call in machine.calls if call.startswith("sudo")] == [
        "sudo -n true",
        "sudo tools/install-packages apt-get python3-venv rabbitmq-server",
    ]


def fedora(machine: Machine) -> None:
    (machine.folder / "bin/apt-get").unlink()
    (machine.folder / "bin/update-rc.d").unlink()
    (machine.folder / "python3-venv-installed").touch()
    machine.has("dnf", "systemctl")


def test_fedora_installs_with_dnf(machine: Machine) -> None:
    fedora(machine)
    done = machine.bootstrap()
    assert done.returncode == 0, done.stderr
    assert machine.calls[:2] == [
        "dnf install --quiet --assumeyes rabbitmq-server",
        "systemctl --quiet disable rabbitmq-server.service",
    ]


def test_a_newer_python_under_another_name_is_found(machine: Machine) -> None:
    fedora(machine)
    machine.put("bin/python3", OLD_PYTHON)
    machine.put("bin/python3.12", NEW_PYTHON)
    done = machine.bootstrap()
    assert done.returncode == 0, done.stderr
    assert "dnf install --quiet --assumeyes rabbitmq-server" in machine.calls


def test_a_python_that_is_too_old_gets_a_younger_sister(machine: Machine) -> None:
    fedora(machine)
    machine.put("bin/python3", OLD_PYTHON)
    done = machine.bootstrap()
    assert done.returncode == 0, done.stderr
    assert "dnf install --quiet --assumeyes python3.12 rabbitmq-server" in machine.calls


def test_a_python_that_is_too_old_is_named(machine: Machine) -> None:
    machine.user(1000)
    machine.put("bin/python3", OLD_PYTHON)
    done = machine.bootstrap()
    assert done.stderr == (
        "Missing: Python 3.11 or newer (found: Python 3.9.2), RabbitMQ. "
        "Install it as root with: apt-get install python3.11 python3.11-venv rabbitmq-server\n"
    )


def test_a_machine_that_does_not_know_localhost_learns_it(machine: Machine) -> None:
    (machine.folder / "root/etc/hosts").unlink()
    machine.bootstrap()
    packages = "python3-venv rabbitmq-server netbase"
    assert f"apt-get install --quiet --yes --no-install-recommends {packages}" in machine.calls


def test_neither_apt_nor_dnf(machine: Machine) -> None:
    (machine.folder / "bin/apt-get").unlink()
    (machine.folder / "python3-venv-installed").touch()
    done = machine.bootstrap()
    assert done.returncode == 1
    assert done.stderr == (
        "Missing: RabbitMQ. There is neither apt-get nor dnf here: "
        "install it your own way (in Debian: rabbitmq-server)\n"
    )


def test_what_reads_the_units_is_installed_where_it_is_missing(machine: Machine) -> None:
    (machine.folder / "bin/systemd-analyze").unlink()
    assert machine.bootstrap().returncode == 0
    (install,) = [call for call in machine.calls if call.startswith("apt-get install")]
    assert install.endswith(" python3-venv rabbitmq-server systemd")


def test_what_judges_the_alert_rules_is_installed_without_its_service(machine: Machine) -> None:
    (machine.folder / "bin/promtool").unlink()
    machine.has("systemctl")
    (machine.folder / "root/run/systemd/system").mkdir(parents=True)
    assert machine.bootstrap().returncode == 0
    (install,) = [call for call in machine.calls if call.startswith("apt-get install")]
    assert install.endswith(" python3-venv rabbitmq-server prometheus")
    for action in ("mask", "unmask", "disable"):
        assert f"systemctl --quiet {action} prometheus.service" in machine.calls
    assert "update-rc.d prometheus disable" in machine.calls


def test_on_fedora_the_file_is_asked_for_whatever_its_package_is_called(machine: Machine) -> None:
    fedora(machine)
    (machine.folder / "bin/promtool").unlink()
    assert machine.bootstrap().returncode == 0
    assert "dnf install --quiet --assumeyes rabbitmq-server /usr/bin/promtool" in machine.calls


def test_a_browser_is_installed_for_those_who_ask_for_it(machine: Machine) -> None:
    assert machine.bootstrap().returncode == 0
    assert not any("chromium" in call for call in machine.calls)
    assert machine.bootstrap("chromium").returncode == 0
    assert "apt-get install --quiet --yes --no-install-recommends chromium" in machine.calls


@pytest.mark.parametrize("command", ["chromium", "chromium-browser"])
def test_a_browser_that_is_there_is_enough(machine: Machine, command: str) -> None:
    machine.put(f"bin/{command}", "")
    assert machine.bootstrap("chromium").returncode == 0
    assert not any("chromium" in call for call in machine.calls)


def test_rabbitmq_4_is_unpacked_once_for_those_who_ask_for_it(machine: Machine) -> None:
    machine.put(
        "clone/tools/install-rabbitmq4",
        '''echo "install-rabbitmq4" >>"$CALLS"; mkdir "$(dirname "$0")/../.cache/rabbitmq4"''',
    )
    assert machine.bootstrap().returncode == 0
    assert "install-rabbitmq4" not in machine.calls
    assert machine.bootstrap("rabbitmq4").returncode == 0
    assert machine.bootstrap("rabbitmq4").returncode == 0
    assert machine.calls.count("install-rabbitmq4") == 1


def test_without_the_right_one_line_says_how_rabbitmq_4_is_unpacked(machine: Machine) -> None:
    assert machine.bootstrap().returncode == 0
    machine.user(1000)
    done = machine.bootstrap("rabbitmq4")
    assert done.returncode == 1
    assert done.stderr == (
        "Missing: RabbitMQ 4.0 in .cache/rabbitmq4. Unpack it there as root with: tools/install-rabbitmq4\n"
    )


def test_quadlet_is_fetched_once_for_those_who_ask_for_it(machine: Machine) -> None:
    machine.put(
        "clone/tools/install-quadlet",
        '''echo "install-quadlet" >>"$CALLS"; folder=$(dirname "$0")/../.cache/quadlet
        mkdir -p "$folder"; touch "$folder/quadlet"; chmod +x "$folder/quadlet"''',
    )
    assert machine.bootstrap().returncode == 0
    assert "install-quadlet" not in machine.calls
    assert machine.bootstrap("quadlet").returncode == 0
    assert machine.bootstrap("quadlet").returncode == 0
    assert machine.calls.count("install-quadlet") == 1


UNPACKING = """
    echo "debootstrap $*" >>"$CALLS"
    for last; do case "$last" in *.part) folder=$last ;; *.fetched) : ;; esac; done
    mkdir -p "$folder/usr/share/doc" "$folder/var/cache/apt/archives"
    if [ -e "$MACHINE/broken" ]; then echo "E: cut off"; exit 1; fi
    touch "$folder/usr/whole"
"""


@pytest.fixture
def unpacking(machine: Machine) -> Machine:
    """One with a debootstrap that makes next to nothing, and an apt that fetches from two places."""
    machine.put("bin/debootstrap", UNPACKING)
    machine.put("bin/unshare", 'shift; exec "$@"')
    machine.put(
        "bin/apt-get",
        """
        echo "apt-get $1" >>"$CALLS"
        printf '%s\n' 'Debian-Security http://a.example/security/' 'Debian http://a.example/debian/' 'X http://x.example/'
        """,
    )
    keyrings = machine.folder / "root/usr/share/keyrings"
    keyrings.mkdir(parents=True)
    (keyrings / "debian-archive-keyring.gpg").touch()
    return machine


def unpack(machine: Machine) -> int:
    environment = {
        "PATH": str(machine.folder / "bin"),
        "MACHINE": str(machine.folder),
        "SYSTEM_ROOT": str(machine.folder / "root"),
        "CALLS": str(machine.folder / "calls"),
    }
    script = [machine.clone / "tools/install-rabbitmq4"]
    return subprocess.run(script, env=environment, capture_output=True, check=False, timeout=30).returncode


def test_what_was_cut_off_is_no_rabbitmq_4_and_the_next_run_makes_one(unpacking: Machine) -> None:
    made = unpacking.clone / ".cache/rabbitmq4"
    (unpacking.folder / "broken").touch()
    assert unpack(unpacking) != 0
    assert not made.exists()
    (unpacking.folder / "broken").unlink()
    assert unpack(unpacking) == 0
    assert (made / "usr/whole").exists()
    assert [path.name for path in made.parent.iterdir()] == ["rabbitmq4"]
    calls = len(unpacking.calls)
    assert unpack(unpacking) == 0
    assert len(unpacking.calls) == calls


def test_debian_is_fetched_from_where_apt_fetches_it(unpacking: Machine) -> None:
    assert unpack(unpacking) == 0
    (call,) = (call for call in unpacking.calls if call.startswith("debootstrap"))
    assert call.endswith("rabbitmq4.part http://a.example/debian")
    assert " trixie " in call


def test_where_apt_knows_no_debian_debootstrap_chooses(unpacking: Machine) -> None:
    unpacking.put("bin/apt-get", "echo Ubuntu http://u.example/ubuntu")
    assert unpack(unpacking) == 0
    (call,) = (call for call in unpacking.calls if call.startswith("debootstrap"))
    assert call.endswith("rabbitmq4.part")


def test_debootstrap_is_installed_where_it_is_missing(unpacking: Machine) -> None:
    (unpacking.folder / "root/usr/share/keyrings/debian-archive-keyring.gpg").unlink()
    unpacking.has("apt-get")
    assert unpack(unpacking) == 0
    assert (unpacking.folder / "debian-archive-keyring-installed").exists()
