# SPDX-License-Identifier: MIT
"""The programs of the demo. Some run with fedmsg in an environment of its own: what they share imports nothing.

Those that publish read what from their standard input, and write ``published …`` when it is done. Those that consume
write a line of :mod:`.seen` for each message.
"""
