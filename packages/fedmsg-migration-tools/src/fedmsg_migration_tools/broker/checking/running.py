# SPDX-License-Identifier: MIT
"""The whole check, in order: what the management API tells, the ports, each user. What it means is judged elsewhere."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from fedora_messaging.address import addresses

from ...exceptions import ToolsError
from . import answers, credentials, encryption, facts, handshakes, judging, queues
from .asking import Answer, ask
from .findings import Finding, fail, ok, warn
from .questions import Action, Question, questions, types
from .rights import Rights

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
    from pathlib import Path

    from ...management.client import Management
    from ..bus.shape import Bus
    from .credentials import Login
    from .facts import Facts

__all__ = ["Setting", "check"]

AMQPS, AMQP = 5671, 5672
BY_TABLES = ", by the broker's own tables"


@dataclass(frozen=True, slots=True)
class Setting:
    """What a check needs beside the file.

    Attributes:
        management: of the broker.
        amqp_url: of the broker, where the file names none; its user is of no interest.
        ca_cert: whom to trust, where the file does not say.
        folder: with files for users, see :mod:`.credentials`.
        days: that certificates have to be valid still.
    """

    management: Management
    amqp_url: str
    ca_cert: Path | None = None
    folder: Path | None = None
    days: int = 30


async def check(bus: Bus, setting: Setting) -> AsyncIterator[Finding]:
    """The findings, as they come.

    Raises:
        ToolsError: the management API cannot be asked, or a file of the credentials cannot be used.
    """
    logins = {name: credentials.login(name, user, setting.folder) for name, user in bus.users.items()}
    told = facts.read(setting.management)
    for finding in (*judging.judge(bus, told), *queues.judge(bus, told)):
        yield finding
    url = _url(bus, setting)
    ca = bus.broker.ca_cert or setting.ca_cert
    for finding in _encryption(bus, setting, told, logins, ca):
        yield finding
    async for finding in _guest(bus, url, ca):
        yield finding
    async for finding in _users(bus, told, logins, url, ca):
        yield finding


def _url(bus: Bus, setting: Setting) -> str:
    """The first broker that answers."""
    urls = _urls(bus, setting)
    for url in urls:
        if handshakes.is_open(*_place(url)):
            return url
    where = ", ".join(f"{host}:{port}" for host, port in map(_place, urls))
    raise ToolsError(f"No broker listens at {where}: name it by broker.amqp_urls or --amqp-url, or start it")


def _urls(bus: Bus, setting: Setting) -> list[str]:
    listed = list(bus.broker.amqp_urls) or [setting.amqp_url]
    return [one.url for one in addresses({"amqp_urls": listed, "tls": {}, "client_properties": {}})]


def _place(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "localhost", parts.port or (AMQPS if parts.scheme == "amqps" else AMQP)


# TLS


def _encryption(
    bus: Bus, setting: Setting, told: Facts, logins: Mapping[str, Login | None], ca: Path | None
) -> Iterator[Finding]:
    now = datetime.now(UTC)
    listeners = handshakes.described(told.overview.get("listeners") or [])
    places = {_place(url): urlsplit(url).scheme for url in _urls(bus, setting)}
    wanted = {"EXTERNAL"} if any(user.certificate for user in bus.users.values()) else set()
    ours = next((one for one in logins.values() if one is not None and one.certificate), None)
    trust = handshakes.Trust(ca, ours.certificate if ours else None, ours.key if ours else None)
    for (host, port), scheme in places.items():
        if scheme == "amqps":
            yield from encryption.judge(_look(host, port, trust), wanted, now, setting.days)
        elif bus.broker.tls:
            yield fail("TLS", f"{host}:{port}: broker.tls is set, and this URL is without", "write amqps://")
    if bus.broker.tls:
        plain = {port for protocol, _, port in listeners if protocol == "amqp"} or {AMQP}
        for host, port in sorted({(host, port) for host, _ in places for port in plain}):
            yield encryption.of_plain_port(host, port, is_open=handshakes.is_open(host, port))
        yield from encryption.of_listeners(listeners)
    if ca is not None:
        yield encryption.of_certificate(f"the CA in {ca}", _der(ca), now, setting.days)
    for name, login in logins.items():
        if login is not None and login.certificate is not None:
            whose = f"the certificate {login.certificate}"
            yield encryption.of_certificate(whose, _der(login.certificate), now, setting.days, name)


def _look(host: str, port: int, trust: handshakes.Trust) -> handshakes.Seen:
    try:
        return handshakes.look(host, port, trust)
    except OSError as error:
        files = ", ".join(str(path) for path in (trust.ca, trust.certificate, trust.key) if path)
        why = getattr(error, "reason", None) or error.strerror or str(error)
        raise ToolsError(f"One of {files} cannot be used for TLS ({why}): put PEM files there") from error


def _der(path: Path) -> bytes:
    """The first certificate of a file; empty when there is none."""
    try:
        text = path.read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise ToolsError(f"The certificate {path} cannot be read: {error.strerror}") from error
    begin, end = text.find("-----BEGIN CERTIFICATE-----"), text.find("-----END CERTIFICATE-----")
    try:
        return ssl.PEM_cert_to_DER_cert(text[begin : end + 25]) if 0 <= begin < end else b""
    except ValueError:
        return b""


# users


async def _guest(bus: Bus, url: str, ca: Path | None) -> AsyncIterator[Finding]:
    """Whom everybody tries first, with the password that everybody knows."""
    who = credentials.Login(judging.GUEST, judging.GUEST)
    vhost = next(iter(bus.vhosts), "/")
    async for asked, answer in ask(
        credentials.address(url, who, vhost, ca), [Question(who.user, vhost, Action.LOGIN)]
    ):
        if answer.allowed is not None:
            advice = "delete the user, or give it another password"
            yield fail("login", f"{asked.user}: logs in with the password that everybody knows", advice)
        else:
            yield ok("login", "guest: does not log in with the password that everybody knows")


async def _users(
    bus: Bus, told: Facts, logins: Mapping[str, Login | None], url: str, ca: Path | None
) -> AsyncIterator[Finding]:
    without = [name for name, login in logins.items() if login is None]
    asked = (one for one in questions(bus) if not (told.alarmed and one.action is Action.PUBLISH))
    if told.alarmed:
        yield warn(
            "publish", "what may be published is not tried while messages are not accepted", "mend the alarm"
        )
    for user, group in groupby(asked, lambda one: one.user):
        login = logins[user]
        for vhost, some in groupby(group, lambda one: one.vhost):
            if login is None and told.restricted:
                continue
            if login is None:
                findings = answers.judge(_by_tables(bus, told, list(some)), BY_TABLES)
            else:
                place = credentials.address(url, login, vhost, ca)
                findings = answers.judge([pair async for pair in ask(place, list(some))])
            for finding in findings:
                yield finding
            await asyncio.sleep(0)
    if without:
        text = (
            f"not tried from the outside, but looked up in the broker's tables: {', '.join(sorted(without))}"
        )
        yield warn("credentials", text, "give certificates or passwords by --credentials")


def _by_tables(bus: Bus, told: Facts, some: Iterable[Question]) -> Iterator[tuple[Question, Answer]]:
    rights = told.rights()
    there = {one["name"] for one in told.users}
    for asked in some:
        row = rights.get((asked.user, asked.vhost))
        if asked.action is Action.LOGIN:
            yield asked, Answer(row is not None and asked.user in there)
            continue
        kinds = types(bus.vhosts[asked.vhost])
        kinds |= {one["name"]: one["type"] for one in told.exchanges if one["vhost"] == asked.vhost}
        answer = (row or Rights()).allows(asked, kinds)
        yield asked, Answer(answer, "" if answer is not None else "the expression is none for Python")
