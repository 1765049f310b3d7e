# SPDX-License-Identifier: MIT
"""How a difference reads: as a line, and as JSON. Pure. No secret is in either."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ..expressions import bindings_of, names_of, topics_of
from ..state import Key, Kind
from .changes import Action
from .plan import normal
from .requests import login

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ..state import Properties
    from .changes import Change, Plan

__all__ = ["SIGNS", "as_json", "line", "subject"]

VERSION = 1  # of the JSON

SIGNS = {
    Action.CREATE: "+",
    Action.CHANGE: "~",
    Action.DELETE: "-",
    Action.REPLACE: "!",
    Action.IMPOSSIBLE: "!",
}
#: Arguments of queues and exchanges that a policy can set in place: the policy's name for each.
_BY_POLICY = {
    "alternate-exchange",
    "dead-letter-exchange",
    "dead-letter-routing-key",
    "delivery-limit",
    "expires",
    "max-age",
    "max-length",
    "max-length-bytes",
    "message-ttl",
    "overflow",
}
_SECRET = ("uri", "password")


def line(change: Change) -> str:
    """One line: a sign, what, where, how it was and shall be, and what the operator has to know."""
    text = f"{SIGNS[change.action]} {subject(change.key)}"
    said = [part for part in (*_what(change), change.why) if part]
    return f"{text}: {'; '.join(said)}" if said else text


def subject(key: Key) -> str:
    """What it is, and where."""
    name = _shown(key.name)
    match key.kind:
        case Kind.VHOST | Kind.USER:
            return f"{key.kind} {name}"
        case Kind.BINDING:
            to = "" if key.more[1] == "queue" else "exchange "
            given = "" if key.more[3] == "{}" else f" {key.more[3]}"
            topic = _shown(key.more[2]) or '""'
            return f"binding {_shown(key.more[0])} → {to}{name} in {_shown(key.vhost)} for {topic}{given}"
        case Kind.PERMISSION:
            return f"permission of {name} in {_shown(key.vhost)}"
        case Kind.PARAMETER if key.more[0] == "vhost-limits":
            return f"limits of virtual host {_shown(key.vhost)}"
        case Kind.PARAMETER:
            return f"{_shown(key.more[0])} {name} in {_shown(key.vhost)}"
        case _:
            return f"{key.kind} {name} in {_shown(key.vhost)}"


def as_json(plan: Plan) -> dict[str, Any]:
    """The plan as one JSON object."""
    return {
        "version": VERSION,
        "equal": not plan.changes,
        "changes": [
            {
                "action": str(one.action),
                "kind": str(one.key.kind),
                "vhost": one.key.vhost,
                "name": one.key.name,
                "more": list(one.key.more),
                "before": _hidden(one.before),
                "after": _hidden(one.after),
                "why": one.why,
                "held": one.held,
                "line": line(one),
            }
            for one in plan.changes
        ],
    }


def _hidden(value: Any) -> Any:
    """Without secrets."""
    if hasattr(value, "items"):
        return {str(name): "***" if one and _is_secret(name) else _hidden(one) for name, one in value.items()}
    return [_hidden(one) for one in value] if isinstance(value, (list, tuple)) else value


def _is_secret(name: Any) -> bool:
    text = str(name)
    return text.startswith("password") or text == "uri" or text.endswith("-uri")


# what is said of a change


def _what(change: Change) -> Iterator[str]:
    before, after = change.before, change.after
    if before is None or after is None:
        facts = _FACTS[change.key.kind]
        if after is not None:
            yield ", ".join(facts(after))
        else:
            yield from _gone(change)
        return
    if change.action is Action.IMPOSSIBLE:
        return
    yield ", ".join(_differences(change.key, before, after))
    if change.action is Action.REPLACE:
        yield _replaced(change)


def _gone(change: Change) -> Iterator[str]:
    bindings = sum(part.kind is Kind.BINDING for part in change.parts)
    queues = sum(part.kind is Kind.QUEUE for part in change.parts)
    places = sorted({_shown(part.vhost) for part in change.parts if part.kind is Kind.PERMISSION})
    if change.key.kind is Kind.VHOST:
        yield f"with its {_count(queues, 'queue')}" if queues else ""
    elif change.key.kind is Kind.USER:
        yield f"with its permissions in {', '.join(places)}" if places else ""
    else:
        yield f"with its {_count(bindings, 'binding')}" if bindings else ""
    if change.held and change.action is Action.DELETE:
        yield _held(change)


def _held(change: Change) -> str:
    it = "it " if change.key.kind is Kind.QUEUE else ""
    return f"{it}{change.held}, so it stays unless --allow-delete {_shown(change.key.name)} is given"


def _replaced(change: Change) -> str:
    """What to do about what cannot be changed in place."""
    lost = "what is published in between is lost"
    arguments = sorted(
        name.removeprefix("x-")
        for name in _changed(
            (change.before or {}).get("arguments", {}), (change.after or {}).get("arguments", {})
        )
    )
    said = "cannot be changed in place"
    if arguments and set(arguments) <= _BY_POLICY and not _beside_arguments(change):
        said += f" (a policy can set {', '.join(arguments)})"
    if not change.held:
        return f"{said}: it is not used, so it is deleted and declared again; {lost}"
    queue = change.key.kind is Kind.QUEUE
    it, holding = ("it ", " with what it holds") if queue else ("", "")
    return (
        f"{said}: {it}{change.held}; --allow-delete {_shown(change.key.name)} deletes it{holding} "
        f"and declares it again; {lost}"
    )


def _beside_arguments(change: Change) -> bool:
    before, after = change.before or {}, change.after or {}
    return any(name != "arguments" for name in _changed(before, after))


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    return [name for name in {**before, **after} if normal(before.get(name)) != normal(after.get(name))]


def _differences(key: Key, before: Properties, after: Properties) -> Iterator[str]:
    if key.kind is Kind.USER:
        yield from _of_users(before, after)
    elif key.kind is Kind.PERMISSION:
        yield from _of_permissions(before, after)
    else:
        yield from _of_values(before, after)


def _of_values(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(_changed(before, after)):
        one, other = before.get(name), after.get(name)
        if _is_secret(name):
            yield f"{name} changes"
        elif isinstance(one, dict) and isinstance(other, dict):
            yield from _of_values(one, other)
        else:
            yield f"{name.removeprefix('x-')} {_value(one)} → {_value(other)}"


def _of_users(before: Properties, after: Properties) -> Iterator[str]:
    made = login(before, after)
    if "password" in made:
        yield "password changes" if before.get("password_hash") else "gets a password"
    elif made["password_hash"] != before.get("password_hash", ""):
        yield "password changes" if made["password_hash"] else "no password any more"
    elif made["password_hash"] and made["hashing_algorithm"] != before.get("hashing_algorithm"):
        yield "password's algorithm changes"
    if normal(before.get("tags") or []) != normal(after.get("tags") or []):
        yield f"tags {_list(before.get('tags'))} → {_list(after.get('tags'))}"
    yield from _of_values(before.get("limits") or {}, after.get("limits") or {})


def _of_permissions(before: Properties, after: Properties) -> Iterator[str]:
    for name in ("configure", "write", "read"):
        if before.get(name) != after.get(name):
            yield f"{name} {_names(before.get(name))} → {_names(after.get(name))}"
    old, new = before.get("topics", {}), after.get("topics", {})
    for exchange in sorted({*old, *new}):
        for what, way_back in (("write", topics_of), ("read", bindings_of)):
            one, other = (side.get(exchange, {}).get(what) for side in (old, new))
            if one != other:
                yield f"{what} topics of {_shown(exchange)} {_topics(one, other, way_back)}"


def _topics(before: str | None, after: str | None, way_back: Callable[[str], tuple[str, ...] | None]) -> str:
    """As a list of what comes and goes, where both are lists."""
    old, new = (None if one is None else way_back(one) for one in (before, after))
    if before is None or after is None or old is None or new is None:
        return f"{_expression(before, way_back, 'all')} → {_expression(after, way_back, 'all')}"
    come, go = [one for one in new if one not in old], [one for one in old if one not in new]
    return (
        " ".join([*(f"+{_shown(one)}" for one in come), *(f"-{_shown(one)}" for one in go)])
        or "in another order"
    )


def _names(expression: str | None) -> str:
    return _expression(expression, names_of, "nothing")


def _expression(
    expression: str | None, way_back: Callable[[str], tuple[str, ...] | None], missing: str
) -> str:
    """In the words of the file where it was made of them."""
    if expression is None:
        return missing
    found = way_back(expression)
    return _shown(expression) or '""' if found is None else _list(found)


# what is said of what comes


def _of_vhost(after: Properties) -> Iterator[str]:
    if after.get("description"):
        yield _shown(after["description"])
    if after.get("default_queue_type", "classic") != "classic":
        yield f"default queue type {after['default_queue_type']}"


def _of_user(after: Properties) -> Iterator[str]:
    yield (
        "with a password"
        if after.get("password") or after.get("password_hash")
        else "with a certificate only"
    )
    if after.get("tags"):
        yield f"tags {_list(after['tags'])}"
    yield from _pairs(after.get("limits") or {})


def _of_declared(after: Properties) -> Iterator[str]:
    yield str(after.get("type", "classic"))
    if not after.get("durable", True):
        yield "not durable"
    for name in ("auto_delete", "internal"):
        if after.get(name):
            yield name.replace("_", "-")
    yield from _pairs(after.get("arguments") or {})


def _of_permission(after: Properties) -> Iterator[str]:
    for name in ("configure", "write", "read"):
        if name in after:
            yield f"{name} {_names(after[name])}"
    for exchange, row in sorted(after.get("topics", {}).items()):
        yield f"write topics of {_shown(exchange)} {_expression(row.get('write'), topics_of, 'all')}"
        yield f"read topics of {_shown(exchange)} {_expression(row.get('read'), bindings_of, 'all')}"


def _of_policy(after: Properties) -> Iterator[str]:
    yield f"for {after.get('apply-to', 'all')} {_shown(after.get('pattern', ''))}"
    yield from _pairs(after.get("definition") or {})
    if after.get("priority"):
        yield f"priority {after['priority']}"


def _of_parameter(after: Properties) -> Iterator[str]:
    value = after.get("value")
    if isinstance(value, dict):
        yield from _pairs({name: one for name, one in value.items() if not _is_secret(name)})
    else:
        yield _value(value)


_FACTS: dict[Kind, Callable[[Properties], Iterable[str]]] = {
    Kind.VHOST: _of_vhost,
    Kind.USER: _of_user,
    Kind.EXCHANGE: _of_declared,
    Kind.QUEUE: _of_declared,
    Kind.BINDING: lambda _: (),
    Kind.PERMISSION: _of_permission,
    Kind.POLICY: _of_policy,
    Kind.OPERATOR_POLICY: _of_policy,
    Kind.PARAMETER: _of_parameter,
}


# words


def _pairs(values: Mapping[str, Any]) -> Iterator[str]:
    for name, value in sorted(values.items()):
        yield f"{name.removeprefix('x-')} {_value(value)}"


def _value(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, str):
        return _shown(value) or '""'
    return json.dumps(_hidden(value), ensure_ascii=False, sort_keys=True, default=str)


def _list(values: Iterable[str] | None) -> str:
    return " ".join(map(_shown, values or ())) or "none"


def _shown(text: str) -> str:
    """On one line, and without what a terminal would obey."""
    return text if text.isprintable() else json.dumps(text)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
