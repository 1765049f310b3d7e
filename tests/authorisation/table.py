# SPDX-License-Identifier: MIT
"""The page docs/reference/permissions.md, from what a real broker answers: ``python -m tests.authorisation.table``."""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
from pathlib import Path

from fedora_messaging.exceptions import BaseException as LibraryError

from .actions import ACTIONS, SECONDS, Action
from .bus import Place
from .cases import CASES
from .expected import missing, users

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "permissions.md"
INTRODUCTION = """\
# Who may do what

```{{note}}
Generated: `python -m tests.authorisation.table` starts a RabbitMQ, makes it what `deploy/bus.toml` says, tries each
action as each user by the library, and writes this page. A test fails when the page is not what a RabbitMQ does, or
when an answer is another than the one that follows from the words of the file.
```

The file is the example of [the file of the broker](bus-file.md). Users with `certificate = true` log in by TLS with
their certificate, the others over TLS with their password.

## User by action

What is refused has the letter of the library's error:
{legend}.

{table}

## What the library says

An example of each kind of refusal. RabbitMQ 4.0 says of which kind the access is (`write access`); otherwise its words
are those of 3.10, which stand here.

{refusals}

## Who does not get in

All of these are `ConnectionException`, with `permanent` true: trying again with the same settings is no use.

{connections}
"""
MARKS = {
    "ConnectionException": "C",
    "BadDeclaration": "D",
    "PermissionException": "R",
    "PublishForbidden": "P",
}
Outcomes = dict[tuple[str, Action], LibraryError | None]


def tried(place: Place, user: str, action: Action) -> LibraryError | None:
    """What comes of an action: None, or the library's error."""

    async def work() -> LibraryError | None:
        try:
            await action.attempt(place, user)
        except LibraryError as error:
            return error
        return None

    return asyncio.run(asyncio.wait_for(work(), SECONDS + 10))


def outcomes(place: Place) -> Outcomes:
    """What came of each action of each user."""
    return {(user, action): tried(place, user, action) for action in ACTIONS for user in users()}


def page(place: Place, found: Outcomes) -> str:
    """The page, for what this broker does."""
    marks = [f"**{mark}** `{name}`" for name, mark in MARKS.items()]
    return INTRODUCTION.format(
        legend=", ".join(marks),
        table=_table(found),
        refusals="\n".join(_examples(place, found)).rstrip(),
        connections="\n".join(_connections(place)).rstrip(),
    )


def _table(found: Outcomes) -> str:
    head = ["virtual host", "action", *users()]
    rows = [
        [f"`{action.vhost}`", action.text, *(_cell(found[user, action]) for user in users())]
        for action in ACTIONS
    ]
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(error: LibraryError | None) -> str:
    return "yes" if error is None else f"**{MARKS[type(error).__name__]}**"


def _examples(place: Place, found: Outcomes) -> list[str]:
    lines, kinds = [], set()
    for action in ACTIONS:
        # Who has most of the rights that it takes has the most to tell.
        refused = [user for user in users() if missing(user, action)]
        user = min(refused, key=lambda user: len(missing(user, action)))
        error = found[user, action]
        kind = (type(error), re.sub(r"'[^']*'|\([^)]*'\)", "", str(error).partition(": ")[2]))
        if kind not in kinds:
            kinds.add(kind)
            what = f"{action.text}, in `{action.vhost}`, as `{user}`: `{type(error).__name__}`"
            lines += [f"- {what}", "", *_quoted(place, error), ""]
    return lines


def _connections(place: Place) -> list[str]:
    lines = []
    for case, (changes, _, _) in CASES.items():
        error = place.why(place.settings("bodhi", **changes))
        lines += [f"- {case}:", "", *_quoted(place, error), ""]
    return lines


def _quoted(place: Place, error: LibraryError | None) -> list[str]:
    return ["  ```text", f"  {told(place, error)}", "  ```"]


def told(place: Place, error: LibraryError | None) -> str:
    """The text, without what differs from one machine, or version of RabbitMQ, to the next."""
    text = str(error).replace(str(place.folder), "/etc/fedora-messaging")
    text = re.sub(r"(localhost|127\.0\.0\.1):\d+", r"\1:5671", text)
    return re.sub(r"ACCESS_REFUSED - (write|read|configure) access", "ACCESS_REFUSED - access", text)


def main() -> None:
    """Write the page."""
    with tempfile.TemporaryDirectory() as folder, Place(Path(folder)).started() as place:
        PAGE.write_text(page(place, outcomes(place)))
    sys.stdout.write(f"{PAGE.relative_to(ROOT)} is written\n")


if __name__ == "__main__":
    main()
