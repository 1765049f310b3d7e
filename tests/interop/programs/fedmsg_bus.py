# SPDX-License-Identifier: MIT
"""fedmsg 1.1.7, driven by lines: each line of standard input is JSON, and so is each of standard output.

``fedmsg_bus.py COMMAND``, in a folder with a ``fedmsg.d``.

- ``publish``: takes ``{"topic", "msg"}``, answers the envelope as sent. The topic is whole: the prefix is to be empty.
- ``tail``: prints ``[name, topic, envelope]`` for each message that ``fedmsg.tail_messages`` yields.
- ``follow``: the same, and all that fedmsg fetches when ``seq_id`` jumps.
- ``replay``: takes ``{"name", "query"}``, answers ``{"messages"}`` or ``{"error"}``.
- ``canonical``: takes a value, answers it as fedmsg encodes it.
- ``sign``: takes an envelope, answers it signed.
- ``validate``: takes an envelope, answers whether its signature holds, for fedmsg's consumers.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import fedmsg
import fedmsg.config
import fedmsg.crypto
import fedmsg.crypto.utils
import fedmsg.encoding
import fedmsg.replay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def say(value: Any) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def given() -> Iterator[Any]:
    for line in sys.stdin:
        yield json.loads(line)


def publish(_config: dict[str, Any]) -> None:
    context = fedmsg.init()
    say("ready")
    for wanted in given():
        modname, _, topic = wanted["topic"].partition(".")
        sent: list[dict[str, Any]] = []
        context.publish(topic=topic, modname=modname, msg=wanted["msg"], pre_fire_hook=sent.append)
        say(sent[0])
    fedmsg.destroy()


def tail(_config: dict[str, Any]) -> None:
    fedmsg.init(mute=True)
    say("ready")
    for name, _endpoint, topic, message in fedmsg.tail_messages():
        say([name, topic, message])


def follow(config: dict[str, Any]) -> None:
    # tail_messages, and FedmsgConsumer likewise, returns only the first of the messages that fedmsg has fetched.
    replays = config.pop("replay_endpoints")
    last = dict.fromkeys(replays, -1)
    context = fedmsg.init(mute=True)
    say("ready")
    for name, _endpoint, _topic, message in fedmsg.tail_messages():
        with_replays = {**context.c, "replay_endpoints": replays}
        for one in fedmsg.replay.check_for_replay(name, last, message, with_replays, context.context):
            if not config.get("validate_signatures") or fedmsg.crypto.validate(one, **context.c):
                say([name, one["topic"], one])


def replay(config: dict[str, Any]) -> None:
    say("ready")
    for wanted in given():
        try:
            say({"messages": list(fedmsg.replay.get_replay(wanted["name"], wanted["query"], config))})
        except ValueError as error:
            say({"error": str(error)})


def canonical(_config: dict[str, Any]) -> None:
    say("ready")
    for value in given():
        say(fedmsg.encoding.dumps(value))


def sign(config: dict[str, Any]) -> None:
    say("ready")
    for envelope in given():
        say(fedmsg.crypto.sign(envelope, **config))


def validate(config: dict[str, Any]) -> None:
    say("ready")
    for envelope in given():
        try:
            say(fedmsg.crypto.validate(fedmsg.crypto.utils.fix_datagrepper_message(envelope), **config))
        except Exception as error:  # noqa: BLE001 - so does FedmsgConsumer: it takes none that it cannot validate
            sys.stderr.write(f"{error!r}\n")
            say(False)


COMMANDS: dict[str, Callable[[dict[str, Any]], None]] = {
    each.__name__: each for each in (publish, tail, follow, replay, canonical, sign, validate)
}

if __name__ == "__main__":
    COMMANDS[sys.argv[1]](fedmsg.config.load_config([], None))
