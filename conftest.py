# SPDX-License-Identifier: MIT
"""For all tests of the repository; fixtures belong beside the tests that use them."""

import signal

# A shell without job control lets what it starts in the background ignore SIGINT, and so do the children of that;
# tests send it to programs that should end with it.
signal.signal(signal.SIGINT, signal.default_int_handler)
