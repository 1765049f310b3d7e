# SPDX-License-Identifier: MIT
"""``make demo``: real messages from one process to another, through a RabbitMQ of its own, counted one by one.

``sample`` reads the messages, ``listen`` is the process that consumes, ``report`` the arithmetic, ``__main__`` the run.
"""
