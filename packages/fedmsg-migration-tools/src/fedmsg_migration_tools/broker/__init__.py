# SPDX-License-Identifier: MIT
"""The broker as one file: what it should be, what it is, and how it gets from here to there."""
