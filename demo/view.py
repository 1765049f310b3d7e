# SPDX-License-Identifier: MIT
"""What one sees: the live tables, a line for where there is no terminal, and the report at the end."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from . import cast, play

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .ledger import Account

_SHORT = {cast.FEDMSG: "fedmsg", cast.LIBRARY: "library", cast.OUTSIDE: "outside"}


def live(now: play.Play) -> Group:
    """Everything, as it stands, in 80 columns and 24 lines."""
    accounts = now.accounts
    parts = (_headline(now), _publishers(now), _consumers(accounts), _bridges(now, accounts))
    return Group(*itertools.chain.from_iterable((part, "") for part in parts))


def line(now: play.Play) -> str:
    """The same in a line."""
    had = ", ".join(f"{_SHORT[one.consumer]} {one.had:,}" for one in now.accounts if one.consumer in _SHORT)
    published = ", ".join(f"over {over} {now.ledger.over(over):,}" for over in ("ZeroMQ", "AMQP"))
    return f"{now.elapsed:3.0f} s  published {published}; had: {had}"


def step(now: play.Play) -> str:
    """What happens."""
    return f"{now.step + 1} of {len(play.STEPS)}  {play.STEPS[now.step]}"


def _headline(now: play.Play) -> Text:
    return Text.assemble((f"{now.elapsed:3.0f} s  ", "dim"), (step(now), "bold"))


def _table(first: str, *columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column(first, width=21, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", min_width=8, no_wrap=True)
    return table


def _publishers(now: play.Play) -> Table:
    table = _table("publisher", "over ZeroMQ", "over AMQP", "works over")
    over = {publisher.name: publisher.over for publisher in now.publishers} | {cast.HOTNESS: now.hotness_over}
    for name in cast.PUBLISHERS:
        counts = [now.ledger.departures.get((name, way), 0) for way in ("ZeroMQ", "AMQP")]
        colour = "green" if over[name] == "AMQP" else "yellow"
        table.add_row(name, *(f"{count:,}" for count in counts), Text(over[name], colour))
    return table


def _consumers(accounts: Sequence[Account]) -> Table:
    table = _table("consumer", "straight", "by bridge", "had", "on its way", "twice")
    for account in accounts:
        paths = [account.straight, account.bridged] if account.consumer in cast.CONSUMERS else ["", ""]
        table.add_row(account.consumer, *_numbers(*paths, account.had, account.missing, account.twice))
    return table


def _bridges(now: play.Play, accounts: Sequence[Account]) -> Text:
    bridged = {account.consumer: account.bridged for account in accounts}
    state = ("runs", "green") if now.bridge_runs else ("off", "yellow")
    return Text.assemble(
        f"bridges  zmq_to_amqp: {bridged[cast.LIBRARY]:,} crossed, ",
        state,
        f"; amqp_to_zmq: {bridged[cast.OUTSIDE]:,} crossed, ",
        ("runs", "green"),
    )


def report(accounts: Sequence[Account]) -> Table:
    """What each consumer should have had, and had."""
    table = _table("consumer", "should have", "had", "missing", "twice", "changed")
    table.title = "What became of the messages"
    for one in accounts:
        numbers = _numbers(one.should, one.had, one.missing, one.twice, one.changed)
        table.add_row(one.consumer, *numbers, style="bold red" if one.missing or one.changed else None)
    return table


def books(legs: Mapping[str, Mapping[str, int]]) -> Table:
    """The verifier's balance sheet: in = the sum of the others."""
    table = _table("on the way", "in", "matched", "lost", "unknown", "aside", "loops")
    table.title = "What the verifier says"
    for name, one in legs.items():
        entries = ("in", "matched", "lost", "unverifiable", "quarantined", "loops")
        table.add_row(name, *_numbers(*(one[entry] for entry in entries)))
    return table


def _numbers(*values: int | str) -> list[str]:
    return [value if isinstance(value, str) else f"{value:,}" for value in values]
