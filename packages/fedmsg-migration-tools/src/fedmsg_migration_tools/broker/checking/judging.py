# SPDX-License-Identifier: MIT
"""Nodes, versions, plugins, users: is the broker, as the management API tells of it, what the file says? Pure.

Queues, exchanges and bindings are judged in :mod:`.queues`, TLS in :mod:`.encryption`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from .findings import Finding, fail, ok, warn
from .questions import names_match

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ..bus.shape import Bus
    from .facts import Facts

__all__ = ["judge", "number"]

EXTERNAL_PLUGIN = "rabbitmq_auth_mechanism_ssl"
FEDERATION_PLUGIN = "rabbitmq_federation"
GUEST = "guest"  # whom a fresh RabbitMQ has, with a password that everybody knows


def judge(bus: Bus, facts: Facts) -> Iterator[Finding]:
    """All of it, in the order in which one would mend it."""
    for check in _CHECKS:
        yield from check(bus, facts)


def number(version: str) -> tuple[int, ...]:
    """``4.0.5-rc.1`` as (4, 0, 5)."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


# the nodes


def _version(bus: Bus, facts: Facts) -> Iterator[Finding]:
    wanted = bus.broker.minimum_version
    versions = {node["name"]: _version_of(node) or facts.version for node in _running(facts)}
    old = [f"{name} ({version})" for name, version in versions.items() if number(version) < number(wanted)]
    told = ", ".join(sorted(set(versions.values()) or {facts.version}))
    if old:
        yield fail("version", f"RabbitMQ on {', '.join(old)} is older than {wanted}", "upgrade it")
    else:
        yield ok("version", f"RabbitMQ {told}; the file wants {wanted} at least")
    if len(set(versions.values())) > 1:
        yield warn("version", f"the nodes have different versions: {told}", "upgrade them all")


def _version_of(node: Mapping[str, Any]) -> str:
    listed = node.get("applications") or ()
    return next((str(one["version"]) for one in listed if one.get("name") == "rabbit"), "")


def _nodes(bus: Bus, facts: Facts) -> Iterator[Finding]:
    there = {node["name"]: node for node in facts.nodes}
    for name in bus.broker.nodes:
        if name not in there:
            yield fail("nodes", f"{name} is not in the cluster", "let it join (rabbitmqctl join_cluster)")
    stopped = [name for name, node in there.items() if not node.get("running")]
    for name in stopped:
        yield fail("nodes", f"{name} does not run", "start it, or let the cluster forget it")
    for name in there:
        if bus.broker.nodes and name not in bus.broker.nodes:
            yield warn("nodes", f"{name} is in the cluster, and not in the file", "add it to broker.nodes")
    if not stopped and set(bus.broker.nodes) <= set(there):
        yield ok("nodes", f"{', '.join(sorted(there))}: running")


def _partitions(_bus: Bus, facts: Facts) -> Iterator[Finding]:
    for node in _running(facts):
        if node.get("partitions"):
            others = ", ".join(node["partitions"])
            advice = "see that they reach each other, then restart the smaller part"
            yield fail("partitions", f"{node['name']} is cut off from {others}", advice)


def _alarms(_bus: Bus, facts: Facts) -> Iterator[Finding]:
    kinds = {
        "mem_alarm": ("memory", "let consumers catch up, or give it more"),
        "disk_free_alarm": ("disk", "free it"),
    }
    found = False
    for node in _running(facts):
        for key, (what, advice) in kinds.items():
            if node.get(key):
                found = True
                yield fail("alarms", f"{node['name']} is low on {what} and accepts no messages", advice)
    if facts.alarmed and not found:
        yield fail(
            "alarms", "a node is low on memory or disk: no messages are accepted", "see the broker's log"
        )
    elif not found:
        yield ok("alarms", "none: messages are accepted")


def _plugins(bus: Bus, facts: Facts) -> Iterator[Finding]:
    wanted = dict.fromkeys(bus.broker.plugins, "the file names it")
    if any(user.certificate for user in bus.users.values()):
        wanted.setdefault(EXTERNAL_PLUGIN, "users log in by certificate")
    if any(vhost.upstreams for vhost in bus.vhosts.values()):
        wanted.setdefault(FEDERATION_PLUGIN, "there are upstreams")
    known = {node["name"]: node["enabled_plugins"] for node in _running(facts) if node.get("enabled_plugins")}
    missing = [(name, node) for node, enabled in known.items() for name in wanted if name not in enabled]
    for name, node in missing:
        text = f"{name} is not enabled on {node}, and {wanted[name]}"
        yield fail("plugins", text, f"rabbitmq-plugins enable {name}")
    if wanted and not known:
        yield warn("plugins", "the broker does not tell yet which are enabled", "ask again in a few seconds")
    elif wanted and not missing:
        yield ok("plugins", f"enabled: {', '.join(wanted)}")


def _vhosts(bus: Bus, facts: Facts) -> Iterator[Finding]:
    there = {one["name"]: one for one in facts.vhosts}
    for name in bus.vhosts:
        if name not in there:
            yield fail("vhosts", f"there is no virtual host {name}", "apply the file")
            continue
        for node, state in (there[name].get("cluster_state") or {}).items():
            if state != "running":
                advice = "rabbitmqctl restart_vhost, and see the broker's log"
                yield fail("vhosts", f"the virtual host {name} is {state} on {node}", advice)


def _running(facts: Facts) -> list[dict[str, Any]]:
    return [node for node in facts.nodes if node.get("running")]


# what will go


def _deprecated(bus: Bus, facts: Facts) -> Iterator[Finding]:
    used = {str(one.get("name")) for one in facts.deprecated or ()}
    told = {str(one.get("name")): str(one.get("deprecation_phase", "")) for one in facts.deprecated or ()}
    for name in sorted(used):
        yield warn(
            "deprecated",
            f"{name} is in use ({told[name]})",
            "it goes with a later version: change what uses it",
        )
    transient = [
        f"{name} in {vhost}"
        for vhost, one in bus.vhosts.items()
        for name, queue in one.queues.items()
        if not queue.durable
    ]
    if transient:
        advice = "set durable = true; with auto_delete or expires it still goes with its users"
        text = f"the file has queues that are not durable ({_some(transient)}), which newer versions refuse"
        yield warn("deprecated", text, advice)
    yield from _mirrored(bus, facts)
    if facts.deprecated is not None and not used:
        yield ok("deprecated", "no feature is in use that will go")


def _mirrored(bus: Bus, facts: Facts) -> Iterator[Finding]:
    here = {
        (row["vhost"], row["name"]): row.get("definition") or {}
        for row in facts.policies
        if not names_match(bus.leave.vhosts, row["vhost"])
        and not names_match(bus.leave.policies, row["name"])
    }
    in_file = {
        (vhost, name): policy.definition
        for vhost, one in bus.vhosts.items()
        for name, policy in {**one.policies, **one.operator_policies}.items()
    }
    for vhost, name in sorted({**here, **in_file}):
        definition = {**here.get((vhost, name), {}), **in_file.get((vhost, name), {})}
        if any(key.startswith("ha-") for key in definition):
            text = f"the policy {name} in {vhost} mirrors classic queues (ha-*), which RabbitMQ 4 cannot"
            verdict = fail if number(facts.version) >= (4,) else warn
            yield verdict("deprecated", text, 'make them quorum queues (type = "quorum")')


# users


def _users(bus: Bus, facts: Facts) -> Iterator[Finding]:
    if facts.restricted:
        yield warn("users", "users and permissions are only shown to administrators", "ask as one of them")
        return
    there = {one["name"]: one for one in facts.users if not names_match(bus.leave.users, one["name"])}
    for name in bus.users:
        if name not in {one["name"] for one in facts.users}:
            yield fail("users", f"there is no user {name}", "apply the file")
    if GUEST in there and GUEST not in bus.users:
        yield fail("users", "the default user guest is there", "delete it (rabbitmqctl delete_user guest)")
    elif GUEST in bus.users:
        yield warn(
            "users", "the file has a user guest", "take another name: this one is the first to be tried"
        )
    for name, user in there.items():
        yield from _tags(bus, name, user)
    unknown = sorted(set(there) - set(bus.users) - {GUEST})
    if unknown:
        advice = "add them to the file, name them in leave.users, or delete them"
        yield warn("users", f"the file does not know {_some(unknown)}", advice)


def _tags(bus: Bus, name: str, user: Mapping[str, Any]) -> Iterator[Finding]:
    given = bus.users[name].tags if name in bus.users else ()
    more = sorted(set(user.get("tags") or ()) - set(given))
    if more and name != GUEST:
        verdict = fail if "administrator" in more else warn
        yield verdict(
            "users", f"{name} has the tags {', '.join(more)}, which the file does not give", "take them away"
        )


def _permissions(bus: Bus, facts: Facts) -> Iterator[Finding]:
    found = False
    for row in facts.permissions:
        user, vhost = row["user"], row["vhost"]
        left = names_match(bus.leave.users, user) or names_match(bus.leave.vhosts, vhost)
        listed = vhost in bus.vhosts and user in bus.vhosts[vhost].users
        if left or listed or not any(row[key] for key in ("configure", "write", "read")):
            continue
        found = True
        text = f"{user} has permissions in {vhost}, which the file does not give"
        yield fail("permissions", text, f"rabbitmqctl clear_permissions -p {vhost} {user}")
    if not found and not facts.restricted:
        yield ok("permissions", "nobody has any in a virtual host where the file gives none")


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - 5} more" if len(listed) > 5 else ""
    return ", ".join(listed[:5]) + more


_CHECKS: tuple[Callable[[Bus, Facts], Iterator[Finding]], ...] = (
    _version,
    _nodes,
    _partitions,
    _alarms,
    _plugins,
    _vhosts,
    _deprecated,
    _users,
    _permissions,
)
