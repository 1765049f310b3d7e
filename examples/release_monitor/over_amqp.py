# SPDX-License-Identifier: MIT
"""Says on the bus when an upstream project has a new version. As it is: over AMQP, with fedora-messaging.

It reads what it sees from its standard input, ``project version`` a line, in place of a thousand web pages.
"""

import sys

from fedora_messaging import api, exceptions

TOPIC = "org.release-monitoring.prod.anitya.project.version.update"

latest: dict[str, str] = {}
for line in sys.stdin:
    project, version = line.split()
    if version == latest.get(project):
        continue
    release = {"project": {"name": project}, "upstream_version": version, "old_version": latest.get(project)}
    try:
        api.publish(api.Message(topic=TOPIC, body=release))
    except exceptions.PublishException as error:
        print("not published:", project, version, error, flush=True)
        continue  # it is not noted as known: the next look finds it again
    latest[project] = version
    print("published", project, version, flush=True)
