# SPDX-License-Identifier: MIT
"""What fedmsg's messages are, and how they become AMQP's and back. Pure: no socket, no file, no clock of its own."""
