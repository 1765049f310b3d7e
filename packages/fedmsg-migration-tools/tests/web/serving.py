# SPDX-License-Identifier: MIT
"""A page on a real socket, on a loop in a thread of its own, so that tests may block."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import TYPE_CHECKING, Self, TypeVar

from fedmsg_migration_tools.web import Page, Server, serve

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from .bus import Bus


T = TypeVar("T")


class Serving:
    """Serves a bus's page; can be stopped, and started again on the same port."""

    def __init__(self, bus: Bus, token: str | None = None, host: str = "127.0.0.1") -> None:
        self._bus, self._token = bus, token
        self.host, self.port = host, 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.server: Server | None = None

    def start(self) -> Self:
        page = Page(self._bus.snapshot, self._bus.message, self._bus.verdicts, self._token)
        self.server = self.run(serve(page, f"{self.host}:{self.port}"))
        self.port = int(self.server.url.rsplit(":", 1)[1].rstrip("/"))
        return self

    def stop(self) -> None:
        if self.server is not None:
            self.run(self.server.close())
            self.server = None

    def close(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def run(self, work: Coroutine[None, None, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port))
        connection.settimeout(20)
        return connection
