# SPDX-License-Identifier: MIT
"""``child.py OWNER COMMAND …``: becomes the command, which the kernel kills when the owner dies, by whatever death.

Run as a script of its own with ``python -I -S``, so that it takes no time.
"""

import contextlib
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Tie this process to its parent, and become the command."""
    owner, command = int(sys.argv[1]), sys.argv[2:]
    with contextlib.suppress(ImportError, OSError, AttributeError):  # Linux has it
        import ctypes  # noqa: PLC0415 - not everywhere to be had

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != owner:  # it died before
        sys.exit(1)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


if __name__ == "__main__":
    main()
