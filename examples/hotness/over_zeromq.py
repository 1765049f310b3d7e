# SPDX-License-Identifier: MIT
"""Starts a (pretended) build of each new upstream version. As it was: over ZeroMQ, with fedmsg.

``over_zeromq.py FOLDER``: a build is a file in that folder. Ctrl-C ends it.
"""

import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import fedmsg

RELEASES = "org.release-monitoring.prod.anitya.project.version.update"
BUILDS = Path(sys.argv[1])


def react(message: dict[str, Any]) -> None:
    """Start a build, and say so; but one build of a release is enough, however often its message comes."""
    release = f"{message['msg']['project']['name']} {message['msg']['upstream_version']}"
    build = BUILDS / quote(release, safe="")
    try:
        build.touch(exist_ok=False)
    except FileExistsError:
        print("known", release, flush=True)
        return
    fedmsg.publish(modname="hotness", topic="build.started", msg={"release": release})
    print("started", release, flush=True)


fedmsg.init(name="hotness.example", topic_prefix="org.fedoraproject", environment="prod")
try:
    for _name, _endpoint, _topic, message in fedmsg.tail_messages(topic=RELEASES):
        react(message)
except KeyboardInterrupt:
    fedmsg.destroy()
