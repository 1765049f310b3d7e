# SPDX-License-Identifier: MIT
"""Fixtures for the tests of any application that talks to RabbitMQ; pytest finds them by itself.

``rabbitmq`` is a private broker for the whole run, ``amqp_url`` a virtual host of its own for each test. A
broker is started only when a test asks for one. This module is loaded in every run of pytest where the library is
installed, so it imports nothing but pytest, which is there already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .private_node import PrivateNode


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[PrivateNode]:
    """A private RabbitMQ node with the management plugin, started once (3 to 5 s), gone at the end of the run.

    A :class:`fedora_messaging.private_node.PrivateNode`: a test may kill, freeze and restart it. Each worker of
    pytest-xdist has its own. To have other plugins or settings, define a fixture of this name in ``conftest.py``::

        @pytest.fixture(scope="session")
        def rabbitmq():
            with PrivateNode(plugins=["rabbitmq_stomp"]) as node:
                yield node

    Needs RabbitMQ installed, not running, and no root; where it is missing, the tests fail and say what to install.
    """
    from .exceptions import NodeError  # noqa: PLC0415 - see the module's docstring
    from .private_node import PrivateNode  # noqa: PLC0415

    node = PrivateNode()
    try:
        node.start()
    except NodeError as error:
        pytest.fail(str(error), pytrace=False)
    try:
        yield node
    finally:
        node.close()


@pytest.fixture
def amqp_url(rabbitmq: PrivateNode) -> Iterator[str]:
    """The AMQP URL of a fresh virtual host on ``rabbitmq``, in which one may do everything; deleted after the test.

    A node that an earlier test left down or frozen is brought back first.
    """
    import secrets  # noqa: PLC0415 - see the module's docstring

    rabbitmq.thaw()
    if not rabbitmq.running:
        rabbitmq.start()
    vhost = f"test-{secrets.token_hex(4)}"
    yield rabbitmq.add_vhost(vhost)
    rabbitmq.thaw()
    if rabbitmq.running:
        rabbitmq.delete_vhost(vhost)
