# SPDX-License-Identifier: MIT
"""Finding RabbitMQ and Erlang: in trees laid out as the distributions do, and the one that is installed here."""

import subprocess
from pathlib import Path

import pytest

from fedora_messaging.exceptions import NodeError
from fedora_messaging.private_node import installation


def rabbitmq(home: Path, version: str = "3.10.8") -> Path:
    for folder in (
        "sbin",
        f"plugins/rabbit-{version}",
        f"plugins/rabbitmq_top-{version}",
        "plugins/ra-2.2.0",
    ):
        (home / folder).mkdir(parents=True)
    return home


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o755)
    return path


def debian(root: Path) -> Path:
    for name in ("erl", "epmd"):
        program(root / "usr/lib/erlang/bin" / name)
    program(root / "usr/lib/erlang/erts-13.1.5/bin/erl_call")
    return rabbitmq(root / "usr/lib/rabbitmq/lib/rabbitmq_server-3.10.8")


def test_debian(tmp_path: Path) -> None:
    home = debian(tmp_path)
    found = installation.find(environ={}, root=tmp_path)
    assert found.home == home
    assert found.erl == tmp_path / "usr/lib/erlang/bin/erl"
    assert found.epmd == tmp_path / "usr/lib/erlang/bin/epmd"
    assert found.erl_call == tmp_path / "usr/lib/erlang/erts-13.1.5/bin/erl_call"
    assert found.rabbitmqctl == home / "sbin/rabbitmqctl"
    assert found.version == (3, 10, 8)
    assert found.plugins == {"rabbit", "rabbitmq_top", "ra"}


def test_fedora(tmp_path: Path) -> None:
    home = rabbitmq(tmp_path / "usr/lib/rabbitmq/lib/rabbitmq_server-3.13.7", "3.13.7")
    erl = program(tmp_path / "usr/lib64/erlang/bin/erl")
    epmd = program(tmp_path / "usr/lib64/erlang/erts-15.2/bin/epmd")
    found = installation.find(environ={}, root=tmp_path)
    assert (found.home, found.erl, found.epmd, found.erl_call) == (home, erl, epmd, None)


def test_the_newest_of_several(tmp_path: Path) -> None:
    debian(tmp_path)
    newer = rabbitmq(tmp_path / "usr/lib/rabbitmq/lib/rabbitmq_server-3.13.0")
    rabbitmq(tmp_path / "usr/lib/rabbitmq/lib/rabbitmq_server-3.9.27")
    assert installation.find(environ={}, root=tmp_path).home == newer


def test_the_folder_that_is_given_wins_over_the_environment_and_that_over_the_rest(tmp_path: Path) -> None:
    debian(tmp_path)
    one, two = rabbitmq(tmp_path / "one"), rabbitmq(tmp_path / "two")
    environ = {"RABBITMQ_HOME": str(two)}
    assert installation.find(one, environ, tmp_path).home == one
    assert installation.find(None, environ, tmp_path).home == two


def test_erlang_from_the_environment_or_the_path(tmp_path: Path) -> None:
    home = rabbitmq(tmp_path / "home")
    for folder in ("otp", "other"):
        for name in ("erl", "epmd"):
            program(tmp_path / folder / "bin" / name)
    environ = {"ERLANG_HOME": str(tmp_path / "otp"), "PATH": str(tmp_path / "other/bin")}
    assert installation.find(home, environ, tmp_path).erl == tmp_path / "otp/bin/erl"
    del environ["ERLANG_HOME"]
    assert installation.find(home, environ, tmp_path).erl == tmp_path / "other/bin/erl"


def test_missing_rabbitmq_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(NodeError) as caught:
        installation.find(environ={}, root=tmp_path)
    assert str(caught.value).startswith(
        "RabbitMQ is not installed. Install it with 'apt-get install rabbitmq-server'"
    )
    assert "dnf install rabbitmq-server" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("missing", ["erl", "epmd"])
def test_missing_erlang_says_what_is_missing(tmp_path: Path, missing: str) -> None:
    debian(tmp_path)
    (tmp_path / "usr/lib/erlang/bin" / missing).unlink()
    with pytest.raises(NodeError, match=f"'{missing}' is missing. Install it with"):
        installation.find(environ={}, root=tmp_path)


def test_a_given_folder_without_rabbitmq(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match=r"There is no RabbitMQ in .*: no folders 'sbin' and 'plugins'"):
        installation.find(tmp_path)


def test_an_unpacked_distribution_is_called_from_within(tmp_path: Path) -> None:
    debian(tmp_path)
    found = installation.Installation(
        Path("/usr/lib/rabbitmq/lib/rabbitmq_server-3.10.8"),
        Path("/erl"),
        Path("/epmd"),
        Path("/erl_call"),
        root=tmp_path,
        entry=("enter", str(tmp_path)),
    )
    assert found.command(found.epmd, "-port", "1") == ["enter", str(tmp_path), "/epmd", "-port", "1"]
    assert found.version == (3, 10, 8)
    found.require(["rabbitmq_top"])
    with pytest.raises(NodeError, match=f"The RabbitMQ in {tmp_path}/usr/lib/.* has no plugin x"):
        found.require(["x"])


def test_programs_of_an_unpacked_distribution_find_it_as_usr_and_nobody_else_does(tmp_path: Path) -> None:
    """This machine's own distribution, as if it were another one."""
    (tmp_path / "usr").symlink_to("/usr")
    found = installation.choose(root=tmp_path, environ={})
    assert found.erl.is_relative_to("/usr")
    command = found.command(Path("/bin/cat"), "/proc/self/mountinfo")
    mounts = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert any(line.split()[4] == "/usr" for line in mounts.splitlines())
    assert mounts.count("\n") > Path("/proc/self/mountinfo").read_text().count("\n")


def test_which_of_all_that_are_named(tmp_path: Path) -> None:
    debian(tmp_path)
    other = rabbitmq(tmp_path / "other")
    environ = {
        "RABBITMQ_ROOT": str(tmp_path),
        "RABBITMQ_HOME": str(tmp_path / "nothing"),
        "ERLANG_HOME": str(tmp_path / "usr/lib/erlang"),
    }
    with pytest.raises(NodeError, match=f"The distribution in {tmp_path} cannot be used"):
        installation.choose(environ=environ)  # it has no programs
    assert installation.choose(other, environ=environ).home == other
    with pytest.raises(NodeError, match="give one"):
        installation.choose(other, tmp_path)


def test_a_folder_without_a_distribution(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match=r"There is no unpacked distribution in .*: no folder 'usr'"):
        installation.choose(root=tmp_path / "nothing")
    (tmp_path / "usr").mkdir()
    with pytest.raises(NodeError, match="RabbitMQ is not installed"):
        installation.choose(root=tmp_path)


def test_plugins_that_are_not_there_are_named(tmp_path: Path) -> None:
    debian(tmp_path)
    found = installation.find(environ={}, root=tmp_path)
    found.require(["rabbitmq_top"])
    with pytest.raises(NodeError, match="has no plugin rabbitmq_nothing, x"):
        found.require(["x", "rabbitmq_top", "rabbitmq_nothing"])


def test_the_one_installed_here() -> None:
    found = installation.find()
    assert (3, 10) <= found.version < (5,)
    assert found.rabbitmqctl.exists()
    assert not found.home.is_relative_to("/usr/sbin")
    found.require(["rabbitmq_management", "rabbitmq_prometheus", "rabbitmq_stomp", "rabbitmq_mqtt"])
