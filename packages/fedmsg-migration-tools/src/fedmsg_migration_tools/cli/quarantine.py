# SPDX-License-Identifier: MIT
"""``fedmsg-migration-tools quarantine``: list, show, replay and drop messages that could not be bridged."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any, TypeVar

import click

from fedora_messaging.cli.failures import Failure, count

from .running import OTHER, amqp_url_option, load, reported

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from ..config import Config
    from ..quarantine import Held, Outcome, Quarantine, Selection

T = TypeVar("T")
F = TypeVar("F", bound="Callable[..., Any]")

LIST = 100  # messages that are listed unless --limit says otherwise
LONGEST = 300  # characters in a line of the list

_ids = click.argument("ids", metavar="[ID]...", nargs=-1)
_reason = click.option("--reason", metavar="REASON", help="Only those set aside for this reason.")
_everything = click.option("--all", "everything", is_flag=True, help="All messages, instead of ids.")
_json = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")


@click.group("quarantine")
def quarantine() -> None:
    """Look at the messages that could not be bridged, replay or drop them.

    They wait, with their raw frames and the reason, in the durable queue zmq.quarantine on the broker. While one
    looks, the messages are not to be seen by another.
    """


@quarantine.command("list")
@_reason
@click.option(
    "--limit", metavar="N", default=LIST, show_default=True, type=click.IntRange(min=1), help="At most N."
)
@_json
@amqp_url_option
@click.pass_obj
def list_(conf_path: str | None, reason: str | None, limit: int, as_json: bool, amqp_url: str | None) -> None:
    """List them, the oldest first: id, time, reason, topic, and what is wrong."""
    with reported():
        config = load(conf_path, logging=False)
        from ..quarantine import Selection  # noqa: PLC0415 - only when the command runs

        found = _run(config, amqp_url, lambda one: one.look(Selection(reason=reason), limit))
        for held in found:
            click.echo(json.dumps(_facts(held)) if as_json else _line(held))
        if len(found) == limit:
            click.echo(f"There may be more: these are {limit}, as many as --limit allows.", err=True)


@quarantine.command("show")
@click.argument("id")
@_json
@amqp_url_option
@click.pass_obj
def show(conf_path: str | None, id: str, as_json: bool, amqp_url: str | None) -> None:  # noqa: A002
    """Show one message, with its frames as they came."""
    with reported():
        config = load(conf_path, logging=False)
        from ..quarantine import Selection  # noqa: PLC0415

        found = _run(config, amqp_url, lambda one: one.look(Selection(ids=(id,)), 1))
        if not found:
            raise Failure(f"there is no message {id} in quarantine", OTHER)
        click.echo(json.dumps(_whole(found[0])) if as_json else _page(found[0]))


@quarantine.command("replay")
@_ids
@_everything
@_reason
@click.option(
    "--unchecked",
    is_flag=True,
    help="Believe them without checking signatures, where the configuration says to check.",
)
@amqp_url_option
@click.pass_obj
def replay(
    conf_path: str | None,
    ids: tuple[str, ...],
    everything: bool,
    reason: str | None,
    unchecked: bool,
    amqp_url: str | None,
) -> None:
    """Bridge them after all.

    A message from ZeroMQ is translated again and published as the bridge does; one from AMQP returns to the bridge's
    own queue. A message leaves quarantine when the broker has confirmed it; what cannot cross now either stays, and
    is named. Exit code 1: some stayed.
    """
    with reported():
        config = load(conf_path, logging=False)
        selection = _selection(ids, everything, reason)
        from .replaying import Way  # noqa: PLC0415

        async def work(one: Quarantine) -> Outcome:
            return await one.replay(selection, Way(config, one.session, unchecked=unchecked))

        _tell(_run(config, amqp_url, work), ids, "replayed")


@quarantine.command("drop")
@_ids
@_everything
@_reason
@click.option("--yes", is_flag=True, help="Do not ask.")
@amqp_url_option
@click.pass_obj
def drop(
    conf_path: str | None,
    ids: tuple[str, ...],
    everything: bool,
    reason: str | None,
    yes: bool,
    amqp_url: str | None,
) -> None:
    """Remove them for good.

    Asks first, and then removes those that it has asked about.
    """
    with reported():
        config = load(conf_path, logging=False)
        selection = _selection(ids, everything, reason)
        if not yes:
            from ..quarantine import MOST, Selection  # noqa: PLC0415

            found = _run(config, amqp_url, lambda one: one.look(selection, MOST))
            if found:
                click.confirm(f"Drop {count(len(found), 'message')} for good?", abort=True)
                selection = Selection(ids=frozenset(held.id for held in found))
            else:
                _tell_missing(ids)
                click.echo("There is nothing to drop.")
                return
        _tell(_run(config, amqp_url, lambda one: one.drop(selection)), ids, "dropped")


def _selection(ids: tuple[str, ...], everything: bool, reason: str | None) -> Selection:
    from ..quarantine import Selection  # noqa: PLC0415

    if ids and everything:
        raise click.UsageError("give ids, or --all, not both")
    if not (ids or everything or reason):
        raise click.UsageError("say which: by ids (see quarantine list), by --reason, or --all")
    return Selection(frozenset(ids), reason)


def _run(config: Config, amqp_url: str | None, work: Callable[[Quarantine], Coroutine[Any, Any, T]]) -> T:
    """Do it with the queue."""
    import asyncio  # noqa: PLC0415 - only when a command runs

    from fedora_messaging.config import conf  # noqa: PLC0415

    from ..quarantine import Quarantine  # noqa: PLC0415

    settings = conf.copy()
    url = amqp_url or config.amqp_url
    if url is not None:
        settings.update(amqp_url=url, amqp_urls=[])

    async def whole() -> T:
        async with Quarantine(settings, config.quarantine.queue) as one:
            return await work(one)

    return asyncio.run(whole())


def _tell(outcome: Outcome, ids: tuple[str, ...], what: str) -> None:
    """What was done, and one line for each message that stayed. Raises ``Failure`` when something was not done."""
    click.echo(f"{count(len(outcome.done), 'message')} {what}.")
    for one, why in outcome.left.items():
        click.echo(f"{one} stays: {_clean(why)}", err=True)
    missing = outcome.missing(ids)
    if outcome.left:
        also = f"; not in quarantine: {', '.join(missing)}" if missing else ""
        raise Failure(f"{count(len(outcome.left), 'message')} stayed in quarantine{also}", OTHER)
    _tell_missing(missing)


def _tell_missing(ids: Sequence[str]) -> None:
    if ids:
        raise Failure(f"not in quarantine: {', '.join(ids)}", OTHER)


def _facts(held: Held) -> dict[str, Any]:
    """What a list says of it."""
    letter = held.letter
    facts: dict[str, Any] = {"id": held.id, "reason": held.reason, "topic": held.topic}
    if letter is not None:
        facts |= {
            "detail": letter.detail,
            "received_at": _time(letter.received_at),
            "bridge": letter.bridge,
            "direction": letter.direction,
            "bytes": sum(map(len, letter.frames)),
        }
    return facts


def _whole(held: Held) -> dict[str, Any]:
    """All there is, its frames in base64 as they are in the queue."""
    if held.letter is None:
        return {**_facts(held), "body": held.body.decode(errors="backslashreplace")}
    return {**json.loads(held.body), **_facts(held)}


def _line(held: Held) -> str:
    letter = held.letter
    when = _time(letter.received_at)[:19] if letter else "-"
    detail = letter.detail if letter else "no bridge put it there"
    return _clean(f"{held.id}  {when:19}  {held.reason:11}  {held.topic or '-'}  {detail}")[:LONGEST]


def _page(held: Held) -> str:
    """For people: the facts, then the frames as text."""
    lines = [f"{name}: {_clean(str(value))}" for name, value in _facts(held).items()]
    if held.letter is None:
        return "\n".join([*lines, "", _text(held.body)])
    lines += [f"{name}: {_clean(str(value))}" for name, value in held.letter.properties.items()]
    for number, frame in enumerate(held.letter.frames, 1):
        lines += ["", f"frame {number}, {count(len(frame), 'byte')}:", _text(frame)]
    return "\n".join(lines)


def _time(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat()


def _text(data: bytes) -> str:
    return _clean(data.decode(errors="backslashreplace"))


def _clean(text: str) -> str:
    """What came from outside must not steer the terminal."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)
