# SPDX-License-Identifier: MIT
"""The two bridges. Importing this costs nothing; each is a module of its own."""
