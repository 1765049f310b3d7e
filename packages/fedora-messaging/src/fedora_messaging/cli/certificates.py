# SPDX-License-Identifier: MIT
"""What the commands show of a certificate; it is read where the transports watch its end."""

from ..transports.certificates import Certificate, read

__all__ = ["Certificate", "read"]
