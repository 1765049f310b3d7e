# SPDX-License-Identifier: MIT
"""What the reference pages list by hand is what there is."""

import re
from pathlib import Path

import click
import msgspec

from fedmsg_migration_tools import config, shapes
from fedmsg_migration_tools.cli import COMMANDS, cli
from fedmsg_migration_tools.exceptions import Reason

DOCS = Path(__file__).parents[3] / "docs"

TABLES: dict[str, type[msgspec.Struct]] = {
    "zmq_to_amqp": shapes.ZmqToAmqp,
    "zmq_to_amqp.spool": shapes.Spool,
    "zmq_to_amqp.signatures": shapes.Signatures,
    "zmq_to_amqp.curve": shapes.Curve,
    "zmq_to_amqp.monitoring": shapes.Monitoring,
    "amqp_to_zmq": shapes.AmqpToZmq,
    "amqp_to_zmq.signing": shapes.Signing,
    "amqp_to_zmq.replay": shapes.Replay,
    "amqp_to_zmq.curve": shapes.CurveServer,
    "amqp_to_zmq.monitoring": shapes.Monitoring,
    "quarantine": shapes.Quarantine,
    "verify_missing": shapes.VerifyMissing,
    "migration": shapes.Migration,
    "verify_missing.repair": shapes.Repair,
    "verify_missing.monitoring": shapes.Monitoring,
}


def sections(page: str) -> dict[str, str]:
    """Heading → what is below it, for headings that are the name of a table."""
    parts = re.split(r"^## `\[(.+)\]`$", page, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def keys(text: str) -> list[str]:
    """The first column of the tables."""
    return re.findall(r"^\| `([a-z_]+)` \|", text, re.MULTILINE)


def test_every_setting_is_explained_in_its_place() -> None:
    page = (DOCS / "reference" / "tools-configuration.md").read_text()
    found = sections(page)
    assert set(found) >= set(TABLES)
    for name, struct in TABLES.items():
        plain = [
            field.name for field in msgspec.structs.fields(struct) if f"{name}.{field.name}" not in TABLES
        ]
        assert keys(found[name].partition("\n## ")[0]) == plain, name
    for name in shapes.Config.__struct_fields__:
        assert f"`{name}`" in page or name in found, name


def test_every_default_is_told() -> None:
    found = sections((DOCS / "reference" / "tools-configuration.md").read_text())
    for name, struct in TABLES.items():
        for field in msgspec.structs.fields(struct):
            default = field.default
            if type(default) in (int, str) or default in (True, False):
                row = next(
                    line for line in found[name].splitlines() if line.startswith(f"| `{field.name}` |")
                )
                told = row.split("|")[3].strip().strip("`").replace(",", "").strip('"')
                assert told == str(default).lower() or told == str(default), (name, field.name)


def test_every_older_name_is_explained() -> None:
    page = (DOCS / "reference" / "tools-configuration.md").read_text()
    for names in config.OLDER.values():
        for older, today in names.items():
            row = next(
                line
                for line in page.splitlines()
                if f"`{older.rpartition('.')[2]}`" in line.partition("|")[2]
            )
            assert today[-1] in row, older


def test_every_command_is_listed() -> None:
    page = (DOCS / "reference" / "tools-cli.md").read_text()
    context = click.Context(cli)
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        names = [name, *(f"{name} {one}" for one in getattr(command, "commands", {}))]
        for one in names:
            assert f"```{{command-help}} fedmsg-migration-tools {one}\n" in page, one


def test_every_reason_is_explained() -> None:
    page = (DOCS / "how-to" / "quarantine.md").read_text()
    for reason in Reason:
        assert f"\n| `{reason}` |" in page, reason
