# SPDX-License-Identifier: MIT
"""What the reference page of the operator's file lists by hand is what there is."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from fedmsg_migration_tools.broker import names
from fedmsg_migration_tools.broker.bus import shape
from fedmsg_migration_tools.cli.broker import COMMANDS

PAGE = (Path(__file__).parents[4] / "docs" / "reference" / "bus-file.md").read_text(encoding="utf-8")

TABLES: dict[str, type[msgspec.Struct]] = {
    "[broker]": shape.Broker,
    "[users.NAME]": shape.User,
    "[vhosts.NAME]": shape.Vhost,
    "[vhosts.NAME.exchanges.NAME]": shape.Exchange,
    "[vhosts.NAME.queues.NAME]": shape.Queue,
    "bindings": shape.Binding,
    "[vhosts.NAME.users.NAME]": shape.Grants,
    "expressions": shape.Expressions,
    "topics": shape.TopicExpressions,
    "[vhosts.NAME.policies.NAME]": shape.Policy,
    "[vhosts.NAME.upstreams.NAME]": shape.Upstream,
    "[leave]": shape.Leave,
}


def sections() -> dict[str, str]:
    """Heading → what is below it, up to the next."""
    parts = re.split(r"^#{1,4} (.+)$", PAGE, flags=re.MULTILINE)
    return {name.strip("`"): text for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def rows(name: str) -> dict[str, list[str]]:
    """Key → the cells of its row."""
    found = re.findall(r"^\| `([a-z_]+)` \|(.*)\|$", sections()[name], re.MULTILINE)
    return {key: [cell.strip() for cell in cells.split(" | ")] for key, cells in found}


@pytest.mark.parametrize("name", TABLES)
def test_every_key_is_explained_in_its_place(name: str) -> None:
    plain = [
        field.name
        for field in msgspec.structs.fields(TABLES[name])
        if f"[vhosts.NAME.{field.name}.NAME]" not in sections() or name != "[vhosts.NAME]"
    ]
    assert list(rows(name)) == plain


@pytest.mark.parametrize("name", TABLES)
def test_every_default_is_told(name: str) -> None:
    for field in msgspec.structs.fields(TABLES[name]):
        if field.name not in rows(name):
            continue
        told = rows(name)[field.name][1].strip("`").strip('"')
        default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
        if field.required:
            assert told == "required", field.name
        elif default is None:
            assert told == "none", field.name
        elif isinstance(default, tuple):
            assert told == str(list(default)).replace("'", '"'), field.name
        else:
            assert told == (str(default).lower() if isinstance(default, bool) else str(default)), field.name


def test_every_table_is_there() -> None:
    inner = {f"[vhosts.NAME.{name}.NAME]" for name in shape.Vhost.__struct_fields__}
    headings = set(sections())
    assert {one for one in headings if one.startswith("[vhosts.NAME.")} <= inner
    explained = {*TABLES, "[vhosts.NAME.operator_policies.NAME]"}
    assert explained <= headings
    for field in msgspec.structs.fields(shape.Bus):
        assert {f"[{field.name}]", f"[{field.name}.NAME]"} & headings, field.name


def test_names_that_are_said_are_those_that_count() -> None:
    for name in names.OWN_EXCHANGES:
        assert f"`{name}`" in PAGE
    for command in COMMANDS:
        assert f"broker {command}" in PAGE
