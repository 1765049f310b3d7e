# SPDX-License-Identifier: MIT
"""The stream on which our verifier is compared with the older tools' one, shorter: what it says is what was done.

The comparison itself takes minutes, since the older one waits for 20 s: ``python -m benchmarks.verifiers``.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from benchmarks import verifiers
from benchmarks.faulty_stream import FAULTS, Fate, Plan

if TYPE_CHECKING:
    from pathlib import Path

    from fedora_messaging.private_node import PrivateNode

pytestmark = [pytest.mark.interop, pytest.mark.slow]

SHORT = Plan(clean=5.0, faulty=6.0, quiet=6.0, cut=1.0, part=0.05, late=4.5, window=3.0)


def test_ours_says_just_what_was_done(rabbitmq: PrivateNode, amqp_url: str, tmp_path: Path) -> None:
    outcome = asyncio.run(verifiers.compare(SHORT, amqp_url, rabbitmq.amqp_port, tmp_path, old=False))
    met = {one.fate for one in outcome.stream.sent.values() if not outcome.stream.blind(one)}
    assert met == {Fate.WELL, *FAULTS}
    assert outcome.wrong() == {}
    unseen = [plain for plain, one in outcome.stream.sent.items() if outcome.stream.blind(one)]
    assert any("unverifiable" in outcome.kinds[plain] for plain in unseen)
    false = [plain for plain in unseen if outcome.stream.sent[plain].fate is Fate.WELL]
    assert [outcome.kinds[plain] for plain in false if outcome.kinds[plain] - {"unverifiable"}] == []
    for leg in outcome.books.values():
        books = leg["books"]
        assert books.pop("in") == sum(books.values())
