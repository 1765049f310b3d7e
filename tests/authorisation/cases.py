# SPDX-License-Identifier: MIT
"""Who is kept out: changes to the settings of the user bodhi, and how the library's line begins and ends."""

from __future__ import annotations

from typing import Any

WRONG = "a-wrong-secret"
CASES: dict[str, tuple[dict[str, Any], str, str]] = {
    "the client does not know the server's CA": (
        {"ca": "other"},
        "the certificate of {where} is not trusted: ",
        "check tls.ca_cert and the host name in amqp_url",
    ),
    "the server's certificate is for another name": (
        {"host": "127.0.0.1"},
        "the certificate of {where} is not trusted: IP address mismatch",
        "take the name in the broker's certificate for the host in amqp_url",
    ),
    "the server does not know the client's CA": (
        {"own": "foreign"},
        "{where} refused our certificate (unknown ca): ",
        "check the certificate in tls.certfile ({folder}/foreign.crt), and which CA the broker trusts",
    ),
    "the client's certificate has expired": (
        {"own": "expired"},
        "{where} refused our certificate (certificate expired): ",
        "renew the one in tls.certfile ({folder}/expired.crt)",
    ),
    "the client's certificate is revoked": (
        {"own": "revoked"},
        "{where} refused our certificate (certificate revoked): ",
        "have a new one issued for tls.certfile ({folder}/revoked.crt)",
    ),
    "the certificate's name is no user": (
        {"own": "nobody"},
        "{where} did not accept our certificate as a login (EXTERNAL): ",
        "must be a user there",
    ),
    "a wrong password": (
        {"own": "", "password": WRONG},
        "{where} refused the user 'bodhi': ",
        "check user name and password in amqp_url",
    ),
    "an unknown virtual host": (
        {"vhost": "/nowhere"},
        "{where} does not let us use the virtual host '/nowhere': ",
        "check the path in amqp_url and the user's permissions",
    ),
    "a virtual host in which the user may do nothing": (
        {"vhost": "/"},
        "{where} does not let us use the virtual host '/': ",
        "check the path in amqp_url and the user's permissions",
    ),
}
