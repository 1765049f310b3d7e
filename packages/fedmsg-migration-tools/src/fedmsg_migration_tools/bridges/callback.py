# SPDX-License-Identifier: MIT
"""The bridge from AMQP to ZeroMQ as a callback: ``fedora-messaging consume --callback
fedmsg_migration_tools.bridges:AmqpToZmq``, as operators have it in their units.

The library consumes, one message at a time; the command ``fedmsg-migration-tools amqp_to_zmq`` carries many at a time.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
from typing import TYPE_CHECKING

from fedora_messaging import config as library_config
from fedora_messaging.exceptions import Drop

from .. import config
from ..exceptions import Unbridgeable
from ..fedmsg import canonical
from ..fedmsg.marks import headers_bear_mark
from .outlet import Outlet

if TYPE_CHECKING:
    from fedora_messaging.message import Message

__all__ = ["AmqpToZmq"]

_log = logging.getLogger(__name__)

_POLL = 0.05  # seconds between two looks for a peer


class AmqpToZmq:
    """A consumer of the library that sends each message over ZeroMQ.

    Its settings are in ``consumer_config`` of the library's file, with the keys of ``[amqp_to_zmq]``
    (``publish_endpoint``, ``remote_publish`` and the others), over those of the tools' own file.

    Raises ``ConfigurationException`` or ``ToolsError`` when that is not to be used.
    """

    def __init__(self) -> None:
        self._settings = config.for_callback(library_config.conf["consumer_config"])
        self._outlet = Outlet(self._settings)
        self._attached = False
        atexit.register(self._outlet.close)
        _log.info("Bridging to ZeroMQ at %s", self._outlet.describe())

    async def __call__(self, message: Message) -> None:
        """Send it.

        Raises ``Drop`` for a message that ZeroMQ's side cannot hold.
        """
        await self._begin()
        headers = message._headers  # noqa: SLF001 - applications touch it by this name, so it is as good as public
        if headers_bear_mark(headers):
            return
        body = canonical.dumps(message.body)
        try:
            envelope = self._outlet.envelope(message.topic, message.id, headers, body)
            if self._outlet.signs:
                frames = await asyncio.to_thread(self._outlet.frames, envelope)
            else:
                frames = self._outlet.frames(envelope)
        except Unbridgeable as fault:
            _log.error("Dropped %s, %s: %s", message.id, message.topic, fault)
            raise Drop(str(fault)) from fault
        self._outlet.send([(envelope, frames)])

    async def _begin(self) -> None:
        """Before the first message: let those who listened before a restart find their way back."""
        if not self._attached:
            self._attached = True
            self._outlet.attach()
            await asyncio.sleep(self._settings.subscriber_grace)
        late = False
        while self._settings.remote_publish and not self._outlet.peers:
            late = True
            await asyncio.sleep(_POLL)
        if late:
            await asyncio.sleep(self._settings.subscriber_grace)  # until the relay has subscribed
