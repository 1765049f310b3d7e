# SPDX-License-Identifier: MIT
"""``consume_fedmsg``: a consumer that has not moved. fedmsg connects it to every endpoint in ``fedmsg.d``."""

import contextlib

import fedmsg

from . import seen

with contextlib.suppress(KeyboardInterrupt):
    fedmsg.init(mute=True)
    for _name, _endpoint, topic, message in fedmsg.tail_messages():
        way = "bridge" if message["username"] == "amqp-bridge" else "straight"
        print(seen.line(topic, message["msg"], way), flush=True)
