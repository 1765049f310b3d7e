# SPDX-License-Identifier: MIT
"""What the shop promises of its messages."""

import jsonschema
import pytest
from shop_messages import OrderPaidV1

BODY = {"order": 42, "total": "19.90", "customer": "ada"}


def test_a_complete_order_is_valid() -> None:
    OrderPaidV1(body=BODY).validate()


@pytest.mark.parametrize("key", sorted(BODY))
def test_nothing_may_be_missing(key: str) -> None:
    message = OrderPaidV1(body={name: value for name, value in BODY.items() if name != key})
    with pytest.raises(jsonschema.ValidationError):
        message.validate()


def test_it_reads_well() -> None:
    message = OrderPaidV1(body=BODY)
    assert message.summary == "ada paid order 42"
    assert str(message) == "ada paid order 42: 19.90 EUR."
    assert message.usernames == ["ada"]
