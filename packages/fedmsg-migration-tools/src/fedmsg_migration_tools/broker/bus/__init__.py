# SPDX-License-Identifier: MIT
"""The operator's file: what may stand in it, what it asks of a broker, and a broker written as such a file."""
