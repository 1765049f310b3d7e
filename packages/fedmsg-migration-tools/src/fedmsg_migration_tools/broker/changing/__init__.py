# SPDX-License-Identifier: MIT
"""From what a broker is to what its file says: what differs, in which order it changes, and changing it."""
