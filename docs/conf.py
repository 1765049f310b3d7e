# SPDX-License-Identifier: MIT
"""How the documentation is built."""

from difflib import unified_diff
from importlib.metadata import version as version_of
from pathlib import Path
from typing import ClassVar

import click
from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

from fedmsg_migration_tools.cli import cli as tools_cli
from fedora_messaging.cli import cli

project = "fedora-messaging"
author = "the contributors"
project_copyright = "the contributors; MIT"
release = version = version_of("fedora-messaging")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = f"fedora-messaging {release}"
html_copy_source = False
exclude_patterns = ["_build"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True}
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
napoleon_custom_sections = [("Yields", "returns_style")]


class CommandHelp(Directive):  # type: ignore[misc] # docutils has no types
    """``command-help`` [PROGRAM] NAME...: what ``PROGRAM NAME... --help`` prints; ``fedora-messaging`` if none."""

    required_arguments = 1
    optional_arguments = 2
    programs: ClassVar[dict[str, click.Group]] = {
        "fedora-messaging": cli,
        "fedmsg-migration-tools": tools_cli,
    }

    def run(self) -> list[nodes.Node]:
        """A literal block."""
        program, names = "fedora-messaging", list(self.arguments)
        if names[0] in self.programs:
            program = names.pop(0)
        command: click.Command = self.programs[program]
        context = click.Context(command, info_name=program)
        for name in names:
            found = command.get_command(context, name) if isinstance(command, click.Group) else None
            if found is None:
                raise self.error(f"there is no command {name!r}")
            command, context = found, click.Context(found, context, info_name=name, terminal_width=88)
        text = command.get_help(context)
        return [nodes.literal_block(text, text, language="none")]


class Changes(Directive):  # type: ignore[misc] # docutils has no types
    """``changes`` BEFORE AFTER: what differs between two files; the paths are from the repository's root."""

    required_arguments = 2

    def run(self) -> list[nodes.Node]:
        """A literal block."""
        root = Path(__file__).parents[
            1
        ]  # what literalinclude has as :diff: shows where that is on this machine
        self.state.document.settings.record_dependencies.add(*(str(root / name) for name in self.arguments))
        before, after = self.arguments
        was, now = ((root / name).read_text().splitlines() for name in (before, after))
        text = "\n".join(unified_diff(was, now, before, after, lineterm=""))
        return [nodes.literal_block(text, text, language="diff")]


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.add_directive("changes", Changes)
    app.add_directive("command-help", CommandHelp)
