# SPDX-License-Identifier: MIT
"""The migration as a whole, for the page: the map, the findings and the gates, drawn anew every half minute.

It reads the store's file and asks the management API, each of which may take a while: in a thread.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from fedora_messaging.exceptions import ConfigurationException

from ..exceptions import ToolsError
from ..management.client import Management
from ..management.server import servers, vhost
from ..migration import asking, audit
from ..migration.overview import draw

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..config import Config
    from ..management.client import Snapshot
    from .store import Store

__all__ = ["Overlook"]


class Overlook:
    """Draws the picture.

    Arguments:
        config: all settings.
        conf: the library's, which name the broker.
        store: of the findings.
    """

    def __init__(self, config: Config, conf: Mapping[str, Any], store: Store) -> None:
        self._config = config
        self._conf = dict(conf)
        self._store = store
        self.unknown: dict[str, str] = {}  # source → why it could not be asked

    def draw(self, seeing: Mapping[str, bool]) -> dict[str, Any]:
        """The page's ``audit``, ``map``, ``findings`` and ``gate``. Not on the event loop."""
        settings = self._config.migration
        now = time.time()
        told = audit.tell(self._store, now, settings.quiet_days, seeing)
        seen, audited = audit.understand(told, now)
        overview = draw(
            now,
            seen=seen,
            audit=audited,
            broker=self._broker(),
            bridge=self._bridge(),
            ours=(self._config.amqp_to_zmq.queue,),
            quarantine=self._config.quarantine.queue,
            quiet_days=settings.quiet_days,
            max_blind=settings.max_blind,
            exchanges=(self._config.verify_missing.zmq_exchange, self._config.verify_missing.amqp_exchange),
            topics=self._config.verify_missing.topics,
        )
        return {"audit": told, "unknown": dict(self.unknown), **overview.as_dict()}

    def _broker(self) -> Snapshot | None:
        settings = self._config.migration
        try:
            places = servers(self._conf, settings.management_url)
            with Management(places, timeout=settings.timeout) as management:
                snapshot = management.snapshot(vhost(self._conf))
        except (ToolsError, ConfigurationException) as error:
            self.unknown["broker"] = str(error)
            return None
        self.unknown.pop("broker", None)
        return snapshot

    def _bridge(self) -> tuple[int, dict[str, int]] | None:
        settings, pages = self._config.migration, self._config.amqp_to_zmq.monitoring
        url = settings.bridge_url
        if url is None and (pages is None or not pages.port):
            self.unknown["bridge"] = "where its monitoring page is: name it by bridge_url in [migration]"
            return None
        if url is None and pages is not None:
            url = f"http://{pages.address or '127.0.0.1'}:{pages.port}"
        try:
            found = asking.subscribers(url or "", settings.timeout)
        except ToolsError as error:
            self.unknown["bridge"] = str(error)
            return None
        self.unknown.pop("bridge", None)
        return found
