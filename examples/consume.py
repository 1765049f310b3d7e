# SPDX-License-Identifier: MIT
"""Prints what happens in the shop, until Ctrl-C."""

from fedora_messaging import api


def show(message: api.Message) -> None:
    """Called with one message after the other. Returning means: done, forget it."""
    print(message.topic, message.body)


api.consume(show)
