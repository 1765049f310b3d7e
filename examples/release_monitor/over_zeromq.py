# SPDX-License-Identifier: MIT
"""Says on the bus when an upstream project has a new version. As it was: over ZeroMQ, with fedmsg.

It reads what it sees from its standard input, ``project version`` a line, in place of a thousand web pages.
"""

import sys

import fedmsg

fedmsg.init(name="anitya.example", topic_prefix="org.release-monitoring", environment="prod")

latest: dict[str, str] = {}
for line in sys.stdin:
    project, version = line.split()
    if version == latest.get(project):
        continue
    release = {"project": {"name": project}, "upstream_version": version, "old_version": latest.get(project)}
    fedmsg.publish(modname="anitya", topic="project.version.update", msg=release)
    latest[project] = version
    print("published", project, version, flush=True)

fedmsg.destroy()
