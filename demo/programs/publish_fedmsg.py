# SPDX-License-Identifier: MIT
"""``publish_fedmsg NAME``: publishes what it reads, a JSON object with topic and body a line, with fedmsg."""

import json
import sys

import fedmsg

fedmsg.init(name=sys.argv[1], topic_prefix="")  # the topics of the sample have theirs

for line in sys.stdin:
    message = json.loads(line)
    first, _, rest = message["topic"].partition(".")
    fedmsg.publish(modname=first, topic=rest, msg=message["body"])
    print("published", message["body"]["demo"], flush=True)

fedmsg.destroy()
