# SPDX-License-Identifier: MIT
"""When a node is left though the connection to it stands."""

from fedora_messaging.failover import ELECTION, LONGEST, SILENCE, Doubt


def test_a_refusal_soon_after_connecting_is_not_believed() -> None:
    doubt = Doubt(several=True)
    assert not doubt.of_refusal(0.0)  # not connected yet
    doubt.connected(100.0)
    assert doubt.of_refusal(100.0)
    assert doubt.of_refusal(100.0 + ELECTION - 0.1)
    assert not doubt.of_refusal(100.0 + ELECTION)


def test_a_queue_that_refuses_everywhere_is_believed_in_the_end() -> None:
    doubt = Doubt(several=True)
    doubt.connected(100.0)
    for second in range(int(ELECTION)):
        assert doubt.of_refusal(100.0 + second)
        doubt.left(silent=False)
        doubt.connected(100.5 + second)  # does not begin the time anew
    assert not doubt.of_refusal(100.0 + ELECTION)
    doubt.connected(200.0)  # but another outage does
    assert doubt.of_refusal(200.0 + ELECTION - 0.1)


def test_silence_is_borne_twice_as_long_after_each_node_that_was_left_in_vain() -> None:
    doubt = Doubt(several=True)
    now, patience = 0.0, SILENCE
    for _ in range(8):
        doubt.connected(now)
        assert not doubt.of_silence(now + patience - 0.1)
        assert doubt.of_silence(now + patience)
        doubt.left(silent=True)
        now, patience = now + patience, min(2 * patience, LONGEST)
    doubt.connected(now)
    doubt.confirmed(now)
    assert not doubt.of_silence(now + SILENCE - 0.1)
    assert doubt.of_silence(now + SILENCE)


def test_a_time_of_rest_is_no_silence() -> None:
    doubt = Doubt(several=True)
    doubt.connected(0.0)
    doubt.busy(1000.0)
    assert not doubt.of_silence(1000.0 + SILENCE - 0.1)


def test_the_only_node_is_never_left() -> None:
    doubt = Doubt(several=False)
    doubt.connected(0.0)
    assert not doubt.of_refusal(0.0)
    assert not doubt.of_silence(1000.0)
