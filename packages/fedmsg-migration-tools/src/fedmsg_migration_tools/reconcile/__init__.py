# SPDX-License-Identifier: MIT
"""What was seen where, and what follows from it. Pure: observations with times in, verdicts out."""
