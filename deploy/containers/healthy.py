# SPDX-License-Identifier: MIT  # noqa: INP001 - a program of its own
"""Whether the service in this container is well: ``python3 healthy.py live`` or ``ready``; exit code 0 if it is.

It asks the monitoring page, on the port that compose.yaml and the quadlets give it.
"""

import sys
import urllib.request

urllib.request.urlopen(f"http://127.0.0.1:8080/{sys.argv[1]}", timeout=4).close()
