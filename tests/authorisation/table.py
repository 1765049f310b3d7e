# SPDX-License-Identifier: MIT
"""The page docs/reference/permissions.md, from what a real broker answers: ``python -m tests.authorisation.table``."""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from fedora_messaging.exceptions import BaseException as LibraryError

from .actions import ACTIONS, SECONDS
from .bus import Place
from .cases import CASES
from .expected import missing, users

if TYPE_CHECKING:
    from .actions import Action

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "permissions.md"
INTRODUCTION = """\
# Who may do what

```{{note}}
Generated: `python -m tests.authorisation.table` starts a RabbitMQ, makes it what the file below says, tries each
action as each user by the library, and writes this page. A test fails when the page is not what a RabbitMQ does, or
when an answer is another than the one that follows from the words of the file.
```

The broker is one with TLS, where users log in by certificate (`archive` by password). This is its file:

```{{literalinclude}} ../../tests/authorisation/bus.toml
:language: toml
```

## User by action

What is refused names the class of the library's error.

{table}

## What the library says

An example of each kind of refusal. RabbitMQ 4.0 says of which kind the access is (`write access`);
otherwise its words are those of 3.10, which stand here.

{refusals}

## Who does not get in

All of these are `ConnectionException`, with `permanent` true: trying again with the same settings is no use.

{connections}
"""


def tried(place: Place, user: str, action: Action) -> LibraryError | None:
    """What comes of an action: None, or the library's error."""

    async def work() -> LibraryError | None:
        try:
            await action.attempt(place, user)
        except LibraryError as error:
            return error
        return None

    return asyncio.run(asyncio.wait_for(work(), SECONDS + 10))


Outcomes = dict[tuple[str, str], LibraryError | None]


def outcomes(place: Place) -> Outcomes:
    """(user, text of the action) → what came of it."""
    return {(user, action.text): tried(place, user, action) for action in ACTIONS for user in users()}


def page(place: Place, found: Outcomes) -> str:
    """The page, for what this broker does."""
    return INTRODUCTION.format(
        table=_table(found),
        refusals="\n".join(_examples(place, found)),
        connections="\n".join(_connections(place)),
    )


def _table(found: Outcomes) -> str:
    head = ["action", *users()]
    rows = [[action.text, *(_cell(found[user, action.text]) for user in users())] for action in ACTIONS]
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(error: LibraryError | None) -> str:
    return "allowed" if error is None else f"`{type(error).__name__}`"


def _examples(place: Place, found: Outcomes) -> list[str]:
    lines, kinds = [], set()
    for action in ACTIONS:
        # Who has most of the rights that it takes has the most to tell.
        refused = [user for user in users() if missing(user, action)]
        user = min(refused, key=lambda user: len(missing(user, action)))
        error = found[user, action.text]
        kind = (type(error), re.sub(r"'[^']*'|\([^)]*'\)", "", str(error).partition(": ")[2]))
        if kind not in kinds:
            kinds.add(kind)
            lines += [
                f"- {action.text}, as `{user}`: `{type(error).__name__}`",
                "",
                *_quoted(place, error),
                "",
            ]
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
