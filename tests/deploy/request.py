# SPDX-License-Identifier: MIT
"""One HTTP request, described as JSON on standard input; prints the status and what was answered, or 0 and why not.

A program of its own, since it runs on another machine (see ``machines.py``): a process cannot go there and come back.
"""

from __future__ import annotations

import base64
import json
import ssl
import sys
import urllib.error
import urllib.request


def main() -> None:
    asked = json.load(sys.stdin)
    context = ssl.create_default_context(cafile=asked.get("ca"))
    if "tls" in asked:
        context.load_cert_chain(f"{asked['tls']}/cert.pem", f"{asked['tls']}/key.pem")
    headers = {"Content-Type": "application/json"}
    if "user" in asked:
        token = base64.b64encode(f"{asked['user']}:{asked['password']}".encode()).decode()
        headers["Authorization"] = f"Basic {token}"
    body = json.dumps(asked["body"]).encode() if "body" in asked else None
    request = urllib.request.Request(asked["url"], body, headers, method=asked["method"])
    try:
        with urllib.request.urlopen(request, context=context, timeout=30) as answer:
            told = [answer.status, answer.read().decode()]
    except urllib.error.HTTPError as error:
        told = [error.code, error.read().decode()]
    except OSError as error:
        told = [0, str(error)]
    sys.stdout.write(json.dumps(told))


main()
