# SPDX-License-Identifier: MIT
"""The page that shows the migration: read-only, in a browser."""
