# SPDX-License-Identifier: MIT
"""``python -m fedmsg_migration_tools``."""

from .cli import main

if __name__ == "__main__":
    main()
