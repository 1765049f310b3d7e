# SPDX-License-Identifier: MIT
"""``fedora-messaging doctor``: what works, what does not, and what to do about it, a line each.

The checks are in :mod:`.network` and :mod:`.permissions`; this is their order, and the printing.
"""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import click

from ..exceptions import ConfigurationException, ConnectionException
from .findings import Finding, Status, fail, note, ok

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from ..transports.base import Address
    from .prober import Prober


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--publish-topic",
    metavar="TOPIC",
    help="Check whether this topic may be published (topic_prefix is added).",
)
@click.pass_obj
def doctor(conf_path: str | None, as_json: bool, publish_topic: str | None) -> None:
    """Check configuration, broker and permissions.

    Reads the configuration, resolves, connects, authenticates, and checks whether the user may declare, bind,
    consume and publish what is configured. It leaves nothing behind on the broker but lines in its log: it asks
    for things with a value that is always refused, and sees what for. The exit code is 0 when all is well,
    else 1.
    """
    findings = asyncio.run(_collect(conf_path, publish_topic, silent=as_json))
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    if any(finding.status is Status.FAIL for finding in findings):
        raise click.exceptions.Exit(1)


async def _collect(conf_path: str | None, publish_topic: str | None, *, silent: bool) -> list[Finding]:
    findings = []
    async for finding in examine(conf_path, publish_topic):
        findings.append(finding)
        if not silent:
            click.echo(str(finding))
    return findings


async def examine(conf_path: str | None, publish_topic: str | None) -> AsyncIterator[Finding]:
    """All checks; those that depend on one that failed are left out."""
    from ..address import addresses  # noqa: PLC0415 - only when a command runs
    from ..config import conf  # noqa: PLC0415

    try:
        yield _configuration(conf_path)
        conf.load_config(conf_path)
        hosts = addresses(conf)
    except ConfigurationException as error:
        yield fail("configuration", error.message)
        return
    examined = False
    for address in hosts:
        usable = True
        for finding in _network(address):
            usable = usable and finding.status is not Status.FAIL
            yield finding
        if usable:
            async for finding in _broker(conf, address, publish_topic, permissions=not examined):
                examined = examined or (finding.check == "login" and finding.status is Status.OK)
                yield finding


def _configuration(conf_path: str | None) -> Finding:
    """Which file. Raises ``ConfigurationException`` when one is named and not there."""
    from ..config import DEFAULT_PATH, ENVIRONMENT  # noqa: PLC0415

    path = conf_path or os.environ.get(ENVIRONMENT) or DEFAULT_PATH
    if os.path.isfile(path):  # noqa: PTH113 - one question
        return ok("configuration", f"read from {path}")
    if conf_path is not None:
        raise ConfigurationException(f"--conf: {path} is not a file")
    return note("configuration", f"there is no file {path}: the defaults are used")


def _network(address: Address) -> Iterator[Finding]:
    if urlsplit(address.url).scheme in ("amqp", "amqps"):
        from .network import examine as examine_network  # noqa: PLC0415

        yield from examine_network(address)


async def _broker(
    conf: Mapping[str, Any], address: Address, publish_topic: str | None, *, permissions: bool
) -> AsyncIterator[Finding]:
    from .permissions import examine  # noqa: PLC0415
    from .prober import Prober  # noqa: PLC0415

    prober = Prober(address)
    try:
        finding = await _login(prober, address)
        yield finding
        if finding.status is Status.FAIL or not permissions:
            return
        if urlsplit(address.url).scheme not in ("amqp", "amqps"):
            yield note("permissions", "are checked on RabbitMQ only")
            return
        async for finding in examine(conf, prober, publish_topic):
            yield finding
    finally:
        await prober.close()


async def _login(prober: Prober, address: Address) -> Finding:
    from ..address import shown  # noqa: PLC0415

    try:
        await prober.connect()
    except (ConnectionException, ConfigurationException) as error:
        return fail("login", str(error))
    parts = urlsplit(address.url)
    if parts.scheme not in ("amqp", "amqps"):
        return ok("login", f"connected to {shown(address.url)}")
    user = repr(unquote(parts.username)) if parts.username else "the default user or our certificate's"
    return ok("login", f"as {user}, virtual host {unquote(parts.path[1:]) or '/'!r}")
