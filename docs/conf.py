# SPDX-License-Identifier: MIT
"""How the documentation is built."""

from importlib.metadata import version as version_of

import click
from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

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
    """``command-help`` NAME: what ``fedora-messaging NAME --help`` prints."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """A literal block."""
        name = self.arguments[0]
        parent = click.Context(cli, info_name="fedora-messaging")
        command = cli.get_command(parent, name)
        if command is None:
            raise self.error(f"there is no command {name!r}")
        text = command.get_help(click.Context(command, parent, info_name=name, terminal_width=88))
        return [nodes.literal_block(text, text, language="none")]


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.add_directive("command-help", CommandHelp)
