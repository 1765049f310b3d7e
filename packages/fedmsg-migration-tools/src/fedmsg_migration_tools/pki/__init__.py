# SPDX-License-Identifier: MIT
"""A small certificate authority for those who have none: for the broker and its clients, with revocation."""
