# SPDX-License-Identifier: MIT
"""The verification service: it watches both worlds, and says what was lost, late, changed or doubled."""
