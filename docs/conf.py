# SPDX-License-Identifier: MIT
"""How the documentation is built."""

from importlib.metadata import version as version_of

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
nitpicky = False
