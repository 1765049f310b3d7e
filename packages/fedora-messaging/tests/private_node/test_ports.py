# SPDX-License-Identifier: MIT
"""Choosing and holding ports."""

import socket

import pytest

from fedora_messaging.exceptions import NodeError
from fedora_messaging.private_node.ports import HOST, RANGE, Ports, free_port


def listen(port: int, host: str = HOST) -> socket.socket:
    """As RabbitMQ does."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen()
    return listener


def test_free_ports_are_different_and_below_the_ephemeral_ones() -> None:
    names = [str(number) for number in range(50)]
    ports = Ports(names, {})
    try:
        assert len(set(ports.numbers.values())) == 50
        assert all(number in RANGE for number in ports.numbers.values())
        assert not ports.given
    finally:
        ports.release()


def test_a_held_port_can_be_listened_on_but_not_be_chosen() -> None:
    ports = Ports(["a"], {"a": 0})
    number = ports.numbers["a"]
    try:
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind((HOST, number))
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((HOST, number))
        with listen(number):
            socket.create_connection((HOST, number)).close()
    finally:
        ports.release()


def test_a_released_port_is_free() -> None:
    ports = Ports(["a"], {})
    ports.release()
    with socket.socket() as other:
        other.bind((HOST, ports.numbers["a"]))


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_given_port_that_is_taken_is_refused(host: str) -> None:
    with listen(0, host) as listener:
        number = listener.getsockname()[1]
        with pytest.raises(
            NodeError, match=f"Port {number} on 127.0.0.1 cannot be used for management: it is taken"
        ):
            Ports(["amqp", "management"], {"management": number})


def test_a_given_port_that_was_just_in_use_is_taken_again() -> None:
    with listen(0) as listener:
        number = listener.getsockname()[1]
        client = socket.create_connection((HOST, number))
        server, _ = listener.accept()
        server.close()  # the end that closes first is left in TIME_WAIT
        client.close()
    ports = Ports(["amqp"], {"amqp": number})
    assert ports.numbers == {"amqp": number}
    assert ports.given
    ports.release()


def test_a_number_that_is_no_port() -> None:
    with pytest.raises(NodeError, match=r"Port 70000 on 127.0.0.1 cannot be used for amqp"):
        Ports(["amqp"], {"amqp": 70000})


def test_a_port_of_a_process_is_nobody_elses_and_can_be_listened_on() -> None:
    number = free_port()
    assert number in RANGE
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind((HOST, number))
    for _ in range(2):  # also by one that starts again
        with listen(number):
            socket.create_connection((HOST, number)).close()
