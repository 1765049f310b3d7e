# SPDX-License-Identifier: MIT
"""Starts a (pretended) build of each new upstream version. As it is: over AMQP, with fedora-messaging.

``over_amqp.py FOLDER``: a build is a file in that folder. Ctrl-C ends it.
"""

import sys
from pathlib import Path
from urllib.parse import quote

from fedora_messaging import api, exceptions

STARTED = "org.fedoraproject.prod.hotness.build.started"
BUILDS = Path(sys.argv[1])


def react(message: api.Message) -> None:
    """Start a build, and say so; but one build of a release is enough, however often its message comes."""
    release = f"{message.body['project']['name']} {message.body['upstream_version']}"
    build = BUILDS / quote(release, safe="")
    try:
        build.touch(exist_ok=False)
    except FileExistsError:
        print("known", release, flush=True)
        return
    try:
        api.publish(api.Message(topic=STARTED, body={"release": release}))
    except exceptions.PublishException as error:
        build.unlink()
        raise exceptions.Nack from error  # back to the queue: it comes again, when it can be told
    print("started", release, flush=True)


api.consume(react)
