# SPDX-License-Identifier: MIT
"""``make demo``: a bus moves from ZeroMQ to AMQP, application by application, and every message is counted.

``child`` and ``processes`` start programs and end them, ``cast`` says which there are, ``publishers`` feeds those that
publish, ``play`` lets them move one after the other, ``sample`` has the messages. ``ledger`` is the arithmetic and
``view`` what one sees of it. The programs themselves are in ``programs`` and, the two applications that one may read
as an example of a move, in the folder ``examples``. ``standin`` takes the place of fedmsg where that does not install.
"""
