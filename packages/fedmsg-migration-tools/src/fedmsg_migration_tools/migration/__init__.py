# SPDX-License-Identifier: MIT
"""How far the migration is: who publishes where, whose bindings are right, what may be turned off."""
