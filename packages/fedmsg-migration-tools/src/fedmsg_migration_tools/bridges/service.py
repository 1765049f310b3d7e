# SPDX-License-Identifier: MIT
"""What both bridges have in common as services: signals, a tick a second, the watchdog, a summary a minute.

What a bridge carries, and how, is not known here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from typing import TYPE_CHECKING, Any, Protocol

from fedora_messaging import config as library_config
from fedora_messaging.aio import Session

from .. import monitoring
from ..notify import Notifier
from .memory import Spare, collect_seldom

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..config import Monitoring
    from ..figures import Figures
    from ..progress import Progress

__all__ = ["PAUSE", "Bridge", "run", "settings_of_library"]

_log = logging.getLogger(__name__)

TICK = 1.0  # seconds
SUMMARY = 60.0  # seconds
PAUSE = 5.0  # seconds between two attempts to reach the broker, at most


class Bridge(Protocol):
    """What the service needs of a bridge. All is called on the event loop."""

    @property
    def title(self) -> str:
        """What it is called in the log."""

    @property
    def progress(self) -> Progress:
        """Whether anything moves."""

    @property
    def figures(self) -> Figures:
        """What monitoring shows."""

    async def work(self) -> None:
        """Carry messages until :meth:`stop`; raises what ends it."""

    async def stop(self) -> None:
        """Carry no more, and leave nothing in memory that is not settled."""

    def tick(self, now: float) -> None:
        """A second has passed, by the clock that never goes back."""

    def reload(self) -> None:
        """SIGHUP: read again what may have changed."""

    def summary(self) -> str:
        """What was done since the last summary, in a line."""


def settings_of_library(amqp_url: str | None, app: str, prefetch: int | None = None) -> dict[str, Any]:
    """The library's configuration, for the session of a bridge.

    Arguments:
        amqp_url: instead of the broker's address there.
        app: what the connection is called on the broker's pages, unless the configuration says.
        prefetch: unsettled deliveries, instead of the configuration's.
    """
    conf: dict[str, Any] = dict(library_config.conf.copy())
    properties = conf["client_properties"]
    if properties.get("app") == library_config.DEFAULTS["client_properties"]["app"]:
        conf["client_properties"] = {**properties, "app": app}
    if amqp_url is not None:
        conf.update(amqp_url=amqp_url, amqp_urls=[])
    if prefetch is not None:
        conf["qos"] = {**conf["qos"], "prefetch_count": prefetch}
    return conf


def run(conf: Mapping[str, Any], make: Callable[[Session], Bridge], pages: Monitoring | None) -> None:
    """Run a bridge until SIGTERM or SIGINT; raises what ends it otherwise.

    Arguments:
        conf: the settings of its session.
        make: makes the bridge, on the event loop.
        pages: where to serve ``/live``, ``/ready`` and ``/metrics``, if at all.
    """
    asyncio.run(_serve(conf, make, pages))


async def _serve(
    conf: Mapping[str, Any], make: Callable[[Session], Bridge], pages: Monitoring | None
) -> None:
    session = Session(conf, longest_pause=PAUSE)
    bridge = make(session)
    server = monitoring.start(pages.address, pages.port, bridge.figures) if pages is not None else None
    notifier = Notifier()
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    loop.add_signal_handler(signal.SIGHUP, _reload, bridge, notifier)
    work = loop.create_task(bridge.work(), name=bridge.title)
    ticking = loop.create_task(_tick(bridge, notifier), name="tick")
    ending = loop.create_task(ended.wait())
    collect_seldom()
    try:
        notifier.ready(bridge.title)
        await asyncio.wait([work, ticking, ending], return_when=asyncio.FIRST_COMPLETED)
        _log.info("%s: stopping", bridge.title)
        notifier.stopping()
        for task in (work, ticking):
            if task.done():
                task.result()
    finally:
        ticking.cancel()
        ending.cancel()
        try:
            await bridge.stop()
        finally:
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await work
            await session.close()
            if server is not None:
                server.stop()
            notifier.close()
    _log.info("%s: stopped. %s", bridge.title, bridge.summary())


def _reload(bridge: Bridge, notifier: Notifier) -> None:
    _log.info("%s: reading again what may have changed", bridge.title)
    notifier.reloading()
    try:
        bridge.reload()
    except Exception as error:  # noqa: BLE001 - a mistake in a file must not end what runs well
        _log.error("%s: kept what was configured before: %s", bridge.title, error)
    notifier.ready(bridge.title)


async def _tick(bridge: Bridge, notifier: Notifier) -> None:
    """Once a second, and the summary once a minute. The watchdog is fed only while messages move, or none wait."""
    said = time.monotonic()
    stalled = False
    spare = Spare()
    while True:
        await asyncio.sleep(TICK)
        now = time.monotonic()
        bridge.tick(now)
        if not bridge.progress.waiting:
            spare.give_back()
        idle = bridge.progress.stalled(now)
        if idle is None:
            notifier.alive()
            stalled = False
        elif not stalled:
            stalled = True
            _log.error(
                "%s: %d messages wait, and nothing has moved for %.0f s",
                bridge.title,
                bridge.progress.waiting,
                idle,
            )
        if now - said >= SUMMARY:
            said = now
            summary = bridge.summary()
            _log.info("%s: %s", bridge.title, summary)
            notifier.status(summary)
