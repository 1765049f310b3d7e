# SPDX-License-Identifier: MIT
"""``fedmsg-migration-tools status``: how far the migration is. What follows from what is in :mod:`..migration`."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, TypeVar

import click

from .running import OTHER, amqp_url_option, given, load, reported, without_password

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ..config import Config
    from ..management.client import Snapshot
    from ..migration.audit import Audit
    from ..migration.overview import Overview
    from ..migration.seen import Seen

T = TypeVar("T")

VERSION = 1  # of what --json prints

_CALLED = {"broker": "Broker", "verifier": "Verifier", "bridge": "Bridge"}


@click.command("status")
@click.option(
    "--gate",
    metavar="BRIDGE",
    type=click.Choice(["zmq_to_amqp", "amqp_to_zmq"]),
    help="Only whether this bridge, zmq_to_amqp or amqp_to_zmq, may be turned off; exit code 0 when it may, else 1.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option(
    "--management-url",
    metavar="URL",
    callback=without_password,
    help="The broker's management API; default: port 15672 of the hosts of amqp_url, and their user.",
)
@click.option(
    "--verifier-url",
    metavar="URL",
    help="The page of the verification service; default: where [verify_missing] listens, or else its store.",
)
@click.option(
    "--bridge-url",
    metavar="URL",
    help="The monitoring page of amqp_to_zmq; default: what [amqp_to_zmq.monitoring] says, on this machine.",
)
@amqp_url_option
@click.pass_obj
def status(
    conf_path: str | None,
    gate: str | None,
    as_json: bool,
    management_url: str | None,
    verifier_url: str | None,
    bridge_url: str | None,
    amqp_url: str | None,
) -> None:
    """Show who publishes and listens where, which bindings will hurt, and what keeps the bridges.

    It asks the broker's management API, the verification service and the bridge from AMQP to ZeroMQ. What does not
    answer is named in a line, and then less can be told.
    """
    with reported():
        options = given(management_url=management_url, verifier_url=verifier_url, bridge_url=bridge_url)
        config = load(conf_path, {"migration": options}, logging=False)
        asked = _Asked(config, amqp_url or config.amqp_url)
        overview = asked.overview()
        if as_json:
            click.echo(json.dumps(_facts(asked, overview, gate)))
        else:
            click.echo(_text(asked, overview, gate))
        if gate and not overview.gates[gate].open:
            raise click.exceptions.Exit(OTHER)


class _Asked:
    """What the three sources said; a line for each.

    Arguments:
        config: of the tools.
        amqp_url: instead of the broker's address in the library's settings.
    """

    def __init__(self, config: Config, amqp_url: str | None) -> None:
        self._config = config
        self._amqp_url = amqp_url
        self.now = time.time()
        self.sources: dict[str, dict[str, Any]] = {}
        self.broker = self._ask("broker", self._broker)
        self.verifier = self._ask("verifier", self._verifier)
        self.bridge = self._ask("bridge", self._bridge)

    def _ask(self, name: str, source: Callable[[], tuple[T, str]]) -> T | None:
        from fedora_messaging.exceptions import ConfigurationException  # noqa: PLC0415 - only when it runs

        from ..exceptions import ToolsError  # noqa: PLC0415

        try:
            found, said = source()
        except (ToolsError, ConfigurationException) as error:
            self.sources[name] = {"known": False, "said": str(error)}
            return None
        self.sources[name] = {"known": True, "said": said}
        return found

    def overview(self) -> Overview:
        """All that follows."""
        from ..migration.overview import draw  # noqa: PLC0415

        settings = self._config.migration
        seen, audit = self.verifier or (None, None)
        return draw(
            self.now,
            seen=seen,
            audit=audit,
            broker=self.broker,
            bridge=self.bridge,
            ours=(self._config.amqp_to_zmq.queue,),
            quarantine=self._config.quarantine.queue,
            quiet_days=settings.quiet_days,
            max_blind=settings.max_blind,
            exchanges=(self._config.zmq_to_amqp.exchange, self._config.amqp_to_zmq.exchange),
            topics=self._config.verify_missing.topics,
        )

    # the sources

    def _broker(self) -> tuple[Snapshot, str]:
        from fedora_messaging.config import conf  # noqa: PLC0415

        from ..management.client import Management  # noqa: PLC0415
        from ..management.server import servers, vhost  # noqa: PLC0415
        from ..migration.wording import count  # noqa: PLC0415

        settings = conf.copy()
        if self._amqp_url is not None:
            settings.update(amqp_url=self._amqp_url, amqp_urls=[])
        name = vhost(settings)
        places = servers(settings, self._config.migration.management_url)
        with Management(places, timeout=self._config.migration.timeout) as management:
            user, tags = management.whoami()
            snapshot = management.snapshot(name)
        said = f"{management.server.url}, virtual host {name}: {count(len(snapshot.queues), 'queue')}"
        if not {"monitoring", "administrator"} & set(tags):
            said += f"; {user} lacks the tag monitoring, so the names of others' connections are not known"
        return snapshot, said

    def _verifier(self) -> tuple[tuple[Seen, Audit], str]:
        from ..migration.audit import understand  # noqa: PLC0415
        from ..migration.wording import minute  # noqa: PLC0415

        told, where = self._told()
        seen, audit = understand(told, self.now)
        return (seen, audit), f"{where}: since {minute(audit.since)}, last heard of {minute(audit.at)} UTC"

    def _told(self) -> tuple[Mapping[str, Any], str]:
        """By the page of the service that runs, if that is known, else by the store that it left."""
        from ..exceptions import ToolsError  # noqa: PLC0415
        from ..migration import asking  # noqa: PLC0415

        settings, url = self._config.verify_missing, self._config.migration.verifier_url
        if url is None and settings.listen is None:
            return _of_store(self._config), str(settings.store)
        page = url or f"http://{_reachable(settings.listen or '')}"
        try:
            return asking.audit(page, self._config.migration.timeout, _token(settings.token_file)), page
        except ToolsError:
            if url is not None or not settings.store.exists():
                raise
            return _of_store(self._config), str(settings.store)  # it does not run; then the store is free

    def _bridge(self) -> tuple[tuple[int, dict[str, int]], str]:
        from ..exceptions import ToolsError  # noqa: PLC0415
        from ..migration import asking  # noqa: PLC0415
        from ..migration.wording import count  # noqa: PLC0415

        url, pages = self._config.migration.bridge_url, self._config.amqp_to_zmq.monitoring
        if url is None:
            if pages is None or not pages.port:
                raise ToolsError(
                    "where its monitoring page is, is not known: name it by --bridge-url, or by bridge_url in "
                    "[migration]"
                )
            url = f"http://{_reachable(f'{pages.address}:{pages.port}')}"
        found = asking.subscribers(url, self._config.migration.timeout)
        return found, f"{url}: {count(found[0], 'socket')} connected"


def _of_store(config: Config) -> Mapping[str, Any]:
    """What the service left when it ended. Raises ``ToolsError`` when there is nothing, or it still runs."""
    from ..exceptions import ToolsError  # noqa: PLC0415
    from ..migration.audit import tell  # noqa: PLC0415
    from ..verify.store import Store  # noqa: PLC0415

    settings = config.verify_missing
    if not settings.store.exists():
        raise ToolsError(
            f"it has left nothing in {settings.store}: let verify_missing run, and give it a page ([verify_missing] "
            "listen), or name its page by --verifier-url"
        )
    try:
        store = Store(settings.store, settings.keep_days)
    except ToolsError as error:
        raise ToolsError(
            f"{error}; while verify_missing runs it is to be asked by its page: [verify_missing] listen, or "
            "--verifier-url"
        ) from error
    try:
        return tell(store, store.last_alive or 0.0, config.migration.quiet_days)
    finally:
        store.close()


def _reachable(listen: str) -> str:
    """Where to go to for what listens there: on this machine, if it listens on every address."""
    address, _, port = listen.rpartition(":")
    bare = address.strip("[]")
    if bare in {"", "*", "0.0.0.0"}:  # noqa: S104 - what others may have bound to
        bare = "127.0.0.1"
    elif bare == "::":
        bare = "::1"
    return f"[{bare}]:{port}" if ":" in bare else f"{bare}:{port}"


def _token(path: Path | None) -> str | None:
    """The page's token. Raises ``ToolsError``."""
    from ..exceptions import ToolsError  # noqa: PLC0415

    try:
        return None if path is None else path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ToolsError(f"the page's token cannot be read: {error}") from error


# what is printed


def _facts(asked: _Asked, overview: Overview, gate: str | None) -> dict[str, Any]:
    facts: dict[str, Any] = {"version": VERSION, "now": asked.now, "sources": asked.sources}
    whole = overview.as_dict()
    return {**facts, "gate": {gate: whole["gate"][gate]}} if gate else {**facts, **whole}


def _text(asked: _Asked, overview: Overview, gate: str | None) -> str:
    from ..migration import report  # noqa: PLC0415

    lines = [
        f"{_CALLED[name]:<10} {'' if source['known'] else 'not known: '}{source['said']}"
        for name, source in asked.sources.items()
        if not (gate and source["known"])
    ]
    if gate:
        return "\n".join([*map(report.clean, lines), report.gates({gate: overview.gates[gate]})])
    return report.text(overview, lines)
