# SPDX-License-Identifier: MIT
"""``broker check`` agrees that the broker is what deploy/bus.toml says, as each of its users."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from fedmsg_migration_tools.broker.checking.findings import Finding, Status
from fedmsg_migration_tools.broker.checking.running import Setting, check
from fedmsg_migration_tools.management.client import Management, Server

from .bus import PASSWORD, bus

if TYPE_CHECKING:
    from .bus import Place


def test_as_each_user(strict: Place) -> None:
    file, node = bus(), strict.node
    url = f"amqps://localhost:{node.ports['amqps']}"
    broker = msgspec.structs.replace(file.broker, amqp_urls=(url,), ca_cert=strict.folder / "ca.crt")
    leave = msgspec.structs.replace(file.leave, users=(node.user,))
    file = msgspec.structs.replace(file, broker=broker, leave=leave)
    for name, user in file.users.items():
        if not user.certificate:
            (strict.folder / f"{name}.password").write_text(PASSWORD)

    async def collect() -> list[Finding]:
        with Management(
            [Server("127.0.0.1", node.ports["management"], node.user, node.password)]
        ) as management:
            return [one async for one in check(file, Setting(management, "", folder=strict.folder))]

    found = asyncio.run(asyncio.wait_for(collect(), 100))
    # Here users with a password have no certificate to show, without which nobody is let in.
    kept_out = {f"{name} in" for name, user in file.users.items() if not user.certificate}
    wrong = [one for one in found if one.status is Status.FAIL]
    assert [one for one in wrong if not one.text.startswith(tuple(kept_out))] == []
    for name, user in file.users.items():
        if user.certificate:
            assert [one for one in found if one.status is Status.OK and one.text.startswith(f"{name} in")]
