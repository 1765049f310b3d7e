# SPDX-License-Identifier: MIT
"""How fast the library is: against the broker's own limit, and against fedora-messaging 3.9.1.

``python -m benchmarks`` starts one private RabbitMQ, runs every contestant in a process of its own, in turns,
and prints a table, a plot and a JSON file. What runs inside a contestant's process (``contestants``, ``frames``,
``limit``, ``meter``, ``payload``) uses the standard library alone, since the peer has an environment of its own.
"""
