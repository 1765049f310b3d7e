# SPDX-License-Identifier: MIT
"""``fedmsg-migration-tools broker check``. What is checked, and how, is in :mod:`...broker.checking`."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..running import amqp_url_option, reported
from .options import BrokerCommand, compared, connect, file_argument, management_options, sound

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ...broker.bus.shape import Bus
    from ...broker.checking.findings import Finding
    from ...broker.checking.running import Setting

_DAYS = 30
_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command("check", cls=BrokerCommand)
@file_argument
@click.option(
    "--credentials",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder with NAME.crt and NAME.key, or NAME.password, for users of the file. Who has none there is looked "
    "up in the broker's tables instead.",
)
@amqp_url_option
@click.option(
    "--days",
    metavar="N",
    type=click.IntRange(min=0),
    default=_DAYS,
    show_default=True,
    help="Warn of certificates that expire sooner.",
)
@click.option("--quiet", is_flag=True, help="Only what is not as it should be.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@management_options
@click.pass_obj
def check(
    conf_path: str | None,
    file: Path,
    credentials: Path | None,
    amqp_url: str | None,
    days: int,
    quiet: bool,
    as_json: bool,
    management_url: str | None,
    user: str | None,
    password_file: Path | None,
) -> None:
    """Prove from the outside, as each user, that the broker is what the file says.

    One line each, with what to do: nodes, alarms, queues, TLS and certificates; and for each user, that what may be
    published, read and bound is accepted, and what may not is refused. Nothing is changed, and no message is
    published: each thing is asked for in a way that does nothing. The exit code is 0 when nothing failed (there may be
    warnings), else 1. The brokers are those of broker.amqp_urls in the file; --amqp-url counts where it names none.
    """
    with reported():
        from ...broker.checking.running import Setting  # noqa: PLC0415

        bus = sound(file)
        with connect(bus, conf_path, management_url, user, password_file) as management:
            url, ca = _broker(amqp_url)
            setting = Setting(management, url, ca, credentials, days)
            found = asyncio.run(_told(_all(bus, setting), silent=as_json, quiet=quiet))
    counts = {status: sum(one.status == status for one in found) for status in _COLOURS}
    if as_json:
        click.echo(json.dumps({"findings": [one.as_dict() for one in found], **counts}, indent=2))
    else:
        click.echo(", ".join(f"{number} {status}" for status, number in counts.items()))
    if counts["fail"]:
        raise click.exceptions.Exit(1)


def _broker(amqp_url: str | None) -> tuple[str, Path | None]:
    """The URL, and whom to trust, of the library's settings; the file's own go before them."""
    from fedora_messaging.config import conf  # noqa: PLC0415

    ca = (conf["tls"] or {}).get("ca_cert")
    return amqp_url or str(conf["amqp_url"]), Path(ca) if ca else None


async def _all(bus: Bus, setting: Setting) -> AsyncIterator[Finding]:
    from ...broker.bus.loopholes import loopholes  # noqa: PLC0415
    from ...broker.checking.findings import fail, ok, warn  # noqa: PLC0415
    from ...broker.checking.running import check  # noqa: PLC0415
    from ...exceptions import ToolsError  # noqa: PLC0415
    from ...management.client import ManagementError, Problem  # noqa: PLC0415

    try:
        changes = len(compared(bus, setting.management).changes)
    except ToolsError as error:  # a secret that is not here, or not for us to see: all else goes without
        if isinstance(error, ManagementError) and error.problem is not Problem.FORBIDDEN:
            raise
        yield warn("file", f"it cannot be compared with the broker: {error}")
    else:
        if changes:
            yield fail(
                "file", f"the broker differs from it in {changes}", "see broker plan, and broker apply"
            )
        else:
            yield ok("file", "the broker does not differ from it")
    for line in loopholes(bus):
        yield warn("file", line)
    async for finding in check(bus, setting):
        yield finding


async def _told(findings: AsyncIterator[Finding], *, silent: bool, quiet: bool) -> list[Finding]:
    found = []
    async for one in findings:
        found.append(one)
        if not silent and not (quiet and one.status == "ok"):
            click.echo(click.style(str(one), fg=_COLOURS[one.status]))
    return found
