# SPDX-License-Identifier: MIT
"""How messages reach a broker: one module a kind of broker, behind the seam in :mod:`.base`."""
