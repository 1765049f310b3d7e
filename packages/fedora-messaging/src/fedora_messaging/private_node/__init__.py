# SPDX-License-Identifier: MIT
"""A RabbitMQ of one's own: a throw-away broker, one node or a cluster, for tests, trials and demonstrations.

Nothing here is loaded unless asked for, and nothing here needs the rest of the library: only the standard
library, and RabbitMQ with its Erlang, installed from the distribution.

====================  ==================================================================
``layout``            pure: the files, the environment and the commands that a node needs
``diagnosis``         pure: why a node did not start, from its exit status and its log
``installation``      where RabbitMQ and Erlang are on this machine
``ports``             free ports, held for as long as the node may want them
``guard``             a small process of its own: ends the node when its owner is gone
``guard_client``      what the owner says to the guard, and hears from it
``login``             the administrator's name and random password
``control``           talking to a running node: ``erl_call``, ``rabbitmqctl``, HTTP
``asking``            what can be asked of a running node, by means of that
``node``              :class:`PrivateNode`, which puts it all together
``member``            a node of a cluster, and how it joins
``cluster``           :class:`PrivateCluster`: several of them that are one broker
====================  ==================================================================
"""

from ..exceptions import NodeError
from .cluster import PrivateCluster
from .node import PrivateNode

__all__ = ["NodeError", "PrivateCluster", "PrivateNode"]
