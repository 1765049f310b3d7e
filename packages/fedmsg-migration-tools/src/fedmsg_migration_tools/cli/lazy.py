# SPDX-License-Identifier: MIT
"""A group of commands, each of which is imported when it runs. So ``--help`` costs little more than importing click."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LazyGroup"]


class LazyGroup(click.Group):
    """Commands that are imported when they run, in either spelling.

    Arguments:
        package: where a module is, named as its command, that has the command under that name.
        about: command → its line in the list: the first sentence of the command's own help.
    """

    def __init__(self, *args: Any, package: str, about: Mapping[str, str], **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._package = package
        self._about = dict(about)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Their names."""
        return sorted(self._about)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command itself."""
        name = cmd_name.replace("-", "_")
        if name not in self._about:
            return None
        command: click.Command = getattr(import_module(f".{name}", self._package), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list in the help, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(sorted(self._about.items()))
