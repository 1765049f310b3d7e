# SPDX-License-Identifier: MIT
"""``broker check``: is the broker what the file says, seen from the outside? Probing and judging are kept apart.

``questions`` (pure) says what to ask as each user and which answer is right; ``asking`` asks, ``rights`` (pure) answers
from the broker's tables for users who cannot be impersonated; ``facts`` reads the management API, ``handshakes`` looks
at the TLS ports, ``judging`` and ``queues`` (pure) say what it means. ``running`` is the order of all that.
"""
