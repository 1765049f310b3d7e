# SPDX-License-Identifier: MIT
"""The page that shows the migration: read-only, in a browser.

:class:`Page` decides what is answered, from callables that know what goes on; :func:`serve` puts it on a socket.
``static/`` is the page itself: plain HTML, CSS and JavaScript, with uPlot 1.6.32 (MIT, its licence beside it) as
``uplot.js`` and ``uplot.css``; nothing is built, and nothing is loaded from elsewhere.
"""

from .page import Filters, Page
from .server import Server, serve

__all__ = ["Filters", "Page", "Server", "serve"]
