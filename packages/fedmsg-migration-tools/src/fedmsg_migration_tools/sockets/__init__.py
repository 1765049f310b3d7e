# SPDX-License-Identifier: MIT
"""ZeroMQ sockets on an asyncio loop: what the bridges need of them, and the only place that knows pyzmq.

A :class:`Subscriber` listens to many publishers, a :class:`Broadcaster` is listened to by many subscribers, a
:class:`Replier` answers requests, a :class:`Requester` makes them. Each is used on one event loop and by its thread
only, and can neither be pickled nor taken along through ``fork``. What the frames mean is known in ``fedmsg/``, not
here.
"""

from __future__ import annotations

from .broadcaster import Broadcaster
from .curve import Curve, CurveServer
from .monitor import EndpointState
from .replier import Replier
from .requester import Requester
from .subscriber import Subscriber

__all__ = ["Broadcaster", "Curve", "CurveServer", "EndpointState", "Replier", "Requester", "Subscriber"]
