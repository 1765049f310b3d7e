# SPDX-License-Identifier: MIT
"""fedmsg's configuration of the bus: each publisher binds its own endpoint, each subscriber connects to all of them."""

config = {
    "endpoints": {
        "anitya.example": ["tcp://127.0.0.1:3001"],
        "hotness.example": ["tcp://127.0.0.1:3002"],
        "amqp-bridge.example": ["tcp://127.0.0.1:9940"],
    },
}
