# SPDX-License-Identifier: MIT
"""``fedmsg-migration-tools pki``: certificates for the broker and its clients."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from fedora_messaging.cli.failures import USAGE, Failure

from .running import OTHER, reported

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ..pki.ledger import Record
    from ..pki.overview import Line

F = TypeVar("F", bound="Callable[..., Any]")

FOLDER = "/etc/fedmsg-migration-tools/pki"
VARIABLE = "FEDMSG_MIGRATION_TOOLS_PKI"
REASONS = ("unspecified", "keyCompromise", "affiliationChanged", "superseded", "cessationOfOperation")

_folder = click.option(
    "--folder",
    "-C",
    metavar="PATH",
    envvar=VARIABLE,
    default=FOLDER,
    type=click.Path(path_type=Path, file_okay=False),
    help=f"The authority's folder. Default: ${VARIABLE}, or {FOLDER}.",
)


def _days(default: int | None, what: str) -> Callable[[F], F]:
    shown = f" Default: {default}." if default else ""
    return click.option(
        "--days", metavar="N", type=click.IntRange(1, 36500), default=default, help=f"{what}{shown}"
    )


@click.group("pki")
def pki() -> None:
    """Keep a small certificate authority for the broker and its clients.

    It lives in a folder: ca.pem, which everybody trusts; crl.pem and crl/, for the broker; issued/NAME/cert.pem and
    key.pem, for the one who bears the name. Keep the folder on one machine, and keep a backup of it.
    """


@pki.command("init")
@_folder
@click.option(
    "--name", metavar="NAME", default="Message bus CA", show_default=True, help="The authority's own name."
)
@_days(3650, "How long the authority's certificate lasts.")
@click.option(
    "--crl-days",
    metavar="N",
    type=click.IntRange(1, 36500),
    default=730,
    show_default=True,
    help="How long a revocation list may be used; each command that writes makes a new one.",
)
def init(folder: Path, name: str, days: int, crl_days: int) -> None:
    """Make the authority, in a folder where none is."""
    with reported():
        from ..pki.authority import Authority  # noqa: PLC0415 - 60 ms, for cryptography

        made = Authority(folder).init(name, days=days, crl_days=crl_days)
        click.echo(f"{folder / 'ca.pem'}: {made.name}, until {made.ends:%Y-%m-%d}")


@pki.command("issue")
@click.argument("name")
@_folder
@click.option(
    "--host",
    "hosts",
    metavar="HOST",
    multiple=True,
    help="A server's: a name or an IP address by which clients reach it. May be repeated.",
)
@click.option(
    "--also-client", is_flag=True, help="A server's that connects to others too, such as one of a cluster."
)
@_days(365, "How long it lasts, at most as long as the authority.")
def issue(folder: Path, name: str, hosts: tuple[str, ...], also_client: bool, days: int) -> None:
    """Make a key and a certificate for NAME.

    Without --host it is a client's, and NAME is the user as whom it logs in.
    """
    with reported():
        from ..pki.authority import Authority, Wish  # noqa: PLC0415

        made = Authority(folder).issue(name, Wish(hosts, also_client, days))
        _tell(folder, [made])


@pki.command("renew")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@_folder
@click.option(
    "--expiring", metavar="DAYS", type=click.IntRange(0), help="All that end within DAYS, instead of names."
)
@click.option("--same-key", is_flag=True, help="Keep the key. Otherwise there is a new one.")
@click.option("--ca", is_flag=True, help="The authority itself, with its key: what it has signed stays good.")
@click.option(
    "--new-key",
    is_flag=True,
    help="With --ca: a second authority that signs from now on; ca.pem has both, until 'pki retire'.",
)
@_days(None, "How long it lasts. Default: as long as before; of the authority, 3650.")
def renew(
    folder: Path,
    names: tuple[str, ...],
    expiring: int | None,
    same_key: bool,
    ca: bool,
    new_key: bool,
    days: int | None,
) -> None:
    """Make newer certificates, in place of those of NAMEs.

    issued/NAME then leads to the new ones. The former stay good until they end or are revoked, so there is time to
    bring the new ones where they are used.
    """
    if sum((bool(names), expiring is not None, ca)) != 1:
        raise Failure("give either names, or --expiring, or --ca", USAGE)
    if (new_key and not ca) or (same_key and ca):
        raise Failure("--new-key belongs to --ca, which keeps its key otherwise; --same-key to names", USAGE)
    with reported():
        from ..pki.authority import CA_DAYS, Authority, utc_now  # noqa: PLC0415

        one = Authority(folder)
        if ca:
            made = one.renew_authority(days=days or CA_DAYS, new=new_key)
            click.echo(f"{folder / 'ca.pem'}: {made.name}, until {made.ends:%Y-%m-%d}")
            return
        if expiring is not None:
            from ..pki.overview import overview  # noqa: PLC0415

            lines = overview(one.folder, utc_now(), expiring=expiring).lines
            names = tuple(line.name for line in lines if line.kind in {"server", "client"})
        if names:
            _tell(folder, one.renew(names, days=days, same_key=same_key))
        else:
            click.echo("There is nothing to renew.")


@pki.command("revoke")
@click.argument("name", required=False)
@_folder
@click.option(
    "--serial", metavar="HEX", help="Only the certificate of this serial number, instead of a name's."
)
@click.option("--replaced", is_flag=True, help="Only those of NAME that were renewed, not the newest.")
@click.option(
    "--reason", type=click.Choice(REASONS), default="unspecified", show_default=True, help="For the list."
)
def revoke(folder: Path, name: str | None, serial: str | None, replaced: bool, reason: str) -> None:
    """Let the certificates of NAME be refused from now on, all of them.

    A broker that reads crl/ refuses the next connection; one that is open stays open.
    """
    if (name is None) == (serial is None):
        raise Failure("give either a name or --serial", USAGE)
    with reported():
        from ..pki.authority import Authority, chosen  # noqa: PLC0415

        for one in Authority(folder).revoke(chosen(name, serial, replaced=replaced), reason):
            click.echo(f"revoked {one.name}, serial {one.serial}")


@pki.command("crl")
@_folder
def crl(folder: Path) -> None:
    """Write the revocation lists anew, so that they last again."""
    with reported():
        from ..pki.authority import Authority  # noqa: PLC0415

        ends = Authority(folder).refresh()
        click.echo(f"{folder / 'crl.pem'}: until {ends:%Y-%m-%d}")


@pki.command("retire")
@_folder
def retire(folder: Path) -> None:
    """Trust the former authorities no more, after 'pki renew --ca --new-key'."""
    with reported():
        from ..pki.authority import Authority  # noqa: PLC0415

        gone = Authority(folder).retire()
        for one in gone:
            click.echo(f"retired {one.name}")
        if not gone:
            click.echo("There is no former authority.")


@pki.command("list")
@_folder
@click.option("--all", "everything", is_flag=True, help="Those that were replaced or revoked too.")
@click.option("--expiring", metavar="DAYS", type=click.IntRange(0), help="Only what ends within DAYS.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def list_(folder: Path, everything: bool, expiring: int | None, as_json: bool) -> None:
    """List the authority, its certificates and its revocation list.

    Warns of what will end soon. Exit code with --expiring: 1 when something does, for cron.
    """
    with reported():
        from ..pki.authority import utc_now  # noqa: PLC0415
        from ..pki.folder import Folder  # noqa: PLC0415
        from ..pki.overview import overview  # noqa: PLC0415

        found = overview(Folder(folder), utc_now(), everything=everything, expiring=expiring)
        if as_json:
            facts = [line.facts() for line in found.lines]
            click.echo(json.dumps({"certificates": facts, "warnings": list(found.warnings)}, indent=2))
        else:
            _table(found.lines)
            for warning in found.warnings:
                click.echo(f"Warning: {warning}", err=True)
    if expiring is not None and (found.lines or found.warnings):
        raise click.exceptions.Exit(OTHER)


def _tell(folder: Path, records: Iterable[Record]) -> None:
    for one in records:
        where = folder / "issued" / one.name
        hosts = f", for {', '.join(one.hosts)}" if one.hosts else ""
        click.echo(f"{where}/cert.pem, key.pem: {one.kind} {one.name}{hosts}, until {one.ends:%Y-%m-%d}")


def _table(lines: Sequence[Line]) -> None:
    if not lines:
        return
    rows = [("NAME", "KIND", "STATE", "ENDS", "DAYS", "SERIAL", "HOSTS")]
    rows += [
        (
            one.name,
            one.kind,
            one.state,
            f"{one.ends:%Y-%m-%d}",
            str(one.days),
            one.serial,
            " ".join(one.hosts),
        )
        for one in lines
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
