# SPDX-License-Identifier: MIT
"""What the settings are: names, types, defaults, units. Where they are read from is in :mod:`.config`.

A default that depends on the machine (its name, the place for the state) is looked up when a struct is made.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

__all__ = [
    "AmqpToZmq",
    "Config",
    "Curve",
    "CurveServer",
    "Migration",
    "Monitoring",
    "Quarantine",
    "Repair",
    "Replay",
    "Signatures",
    "Signing",
    "Spool",
    "VerifyMissing",
    "ZmqToAmqp",
]

STATE = Path("/var/lib/fedmsg-migration-tools")
QUARANTINE = "zmq.quarantine"
FEDMSG_KEYS = Path("/etc/pki/fedmsg")  # where fedmsg's packages put them

#: AMQP 0.9.1, 4.2.5.3: a short string.
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
_Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
_Count = Annotated[int, msgspec.Meta(ge=1)]
_Seconds = Annotated[float, msgspec.Meta(ge=0)]
_Patience = Annotated[float, msgspec.Meta(gt=0)]
_Threads = Annotated[int, msgspec.Meta(ge=1, le=64)]
_Words = Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]


def state_file(name: str) -> Path:
    """Where a file of this name is kept.

    In systemd's ``$STATE_DIRECTORY`` (the first, systemd.exec(5)), else in ``/var/lib/fedmsg-migration-tools`` if we
    may write there, else with the user's own state (``$XDG_STATE_HOME``, or ``~/.local/state``).
    """
    given = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    if given:
        return Path(given) / name
    if os.access(STATE if STATE.exists() else STATE.parent, os.W_OK):
        return STATE / name
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "fedmsg-migration-tools" / name


class _Shape(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table in which each key is known."""


class Spool(_Shape, frozen=True):
    """Messages that wait on disk."""

    path: Path = msgspec.field(default_factory=lambda: state_file("zmq_to_amqp.sqlite"))
    max_bytes: _Count = 4 * 2**30


class Signatures(_Shape, frozen=True):
    """Whether, and how, the signatures of what comes over ZeroMQ are checked."""

    validate: bool = False
    ca: tuple[Path, ...] = (FEDMSG_KEYS / "ca.crt",)
    crl: Path | None = None
    routing_policy: dict[str, list[str]] = {}
    nitpicky: bool = False
    bridge_signers: tuple[str, ...] = ()
    when_expired: Literal["wait", "quarantine"] = "wait"
    threads: _Threads = 2


class Curve(_Shape, frozen=True):
    """The files of the CURVE keys of one who connects."""

    server_key: Path
    public_key: Path
    secret_key: Path


class CurveServer(_Shape, frozen=True):
    """The CURVE key of one who is connected to, and who may connect: anyone who knows it, or these public keys.

    It is demanded at ``endpoints``, beside the open ones; without any, everywhere.
    """

    secret_key: Path
    allowed: Path | None = None
    endpoints: tuple[str, ...] = ()


class Monitoring(_Shape, frozen=True):
    """Where ``/live``, ``/ready`` and ``/metrics`` are served; every interface for the address ``""``."""

    port: _Port
    address: str = ""


class ZmqToAmqp(_Shape, frozen=True):
    """The bridge from ZeroMQ to AMQP."""

    exchange: _Name = "zmq.topic"
    topics: _Words = ("",)
    zmq_endpoints: tuple[str, ...] = ()
    name: _Name = msgspec.field(default_factory=socket.gethostname)
    durable: bool = False
    max_unconfirmed: _Count = 4_000
    max_unconfirmed_bytes: _Count = 16 * 2**20
    receive_max_bytes: _Count = 256 * 2**20
    progress_timeout: _Patience = 60.0
    spool: Spool = msgspec.field(default_factory=Spool)
    signatures: Signatures = msgspec.field(default_factory=Signatures)
    curve: Curve | None = None
    monitoring: Monitoring | None = None


class Signing(_Shape, frozen=True):
    """Whether, and with what, messages that go out over ZeroMQ are signed."""

    sign_messages: bool = False
    certificate: Path | None = None
    key: Path | None = None
    ssldir: Path = FEDMSG_KEYS
    certname: str | None = None
    threads: _Threads = 2

    def files(self) -> tuple[Path, Path] | None:
        """The certificate and its key: those named by path, else fedmsg's ``ssldir/certname.crt`` and ``.key``.

        None when there is too little to tell.
        """
        if self.certificate is not None and self.key is not None:
            return self.certificate, self.key
        if self.certname:
            return self.ssldir / f"{self.certname}.crt", self.ssldir / f"{self.certname}.key"
        return None


class Replay(_Shape, frozen=True):
    """What is kept for subscribers that missed something; without an endpoint nothing is."""

    endpoint: str | None = None
    path: Path = msgspec.field(default_factory=lambda: state_file("amqp_to_zmq.sqlite"))
    max_messages: _Count = 100_000
    max_age_hours: _Seconds = 24.0

    @property
    def max_age(self) -> float | None:
        """Seconds, or None: however old."""
        return self.max_age_hours * 3600 or None


class AmqpToZmq(_Shape, frozen=True):
    """The bridge from AMQP to ZeroMQ."""

    publish_endpoint: _Words = ("tcp://*:9940",)
    remote_publish: bool = False
    queue: _Name = "amqp_to_zmq"
    exchange: _Name = "amq.topic"
    topics: _Words = ("#",)
    name: _Name = msgspec.field(default_factory=socket.gethostname)
    high_water_mark: _Count = 100_000
    linger: _Seconds = 5.0
    subscriber_grace: _Seconds = 1.0
    prefetch: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 1000
    progress_timeout: _Patience = 60.0
    signing: Signing = msgspec.field(default_factory=Signing)
    replay: Replay = msgspec.field(default_factory=Replay)
    curve: CurveServer | None = None
    monitoring: Monitoring | None = None


class Quarantine(_Shape, frozen=True):
    """Where messages wait that cannot be bridged."""

    queue: _Name = QUARANTINE


class Repair(_Shape, frozen=True):
    """Whether messages that were lost are sent again, and where they are looked for."""

    enabled: bool = False
    dry_run: bool = False
    delay: _Seconds = 0.0
    replay_endpoints: tuple[str, ...] = ()
    datagrepper_url: str | None = None


class VerifyMissing(_Shape, frozen=True):
    """The verification service."""

    zmq_endpoints: tuple[str, ...] = ()
    bridge_endpoints: tuple[str, ...] = ("tcp://127.0.0.1:9940",)
    topics: _Words = ("",)
    zmq_exchange: _Name = "zmq.topic"
    amqp_exchange: _Name = "amq.topic"
    bridge_queue: _Name = "amqp_to_zmq"
    shortest_window: _Patience = 2.0
    longest_window: _Patience = 60.0
    max_in_flight: _Count = 1_000_000
    content_max_bytes: _Count = 64 * 2**20
    store: Path = msgspec.field(default_factory=lambda: state_file("verify_missing.sqlite"))
    keep_days: _Count = 90
    listen: str | None = None
    token_file: Path | None = None
    repair: Repair = msgspec.field(default_factory=Repair)
    monitoring: Monitoring | None = None


class Migration(_Shape, frozen=True):
    """Where ``status`` asks, and when a bridge may be turned off."""

    management_url: str | None = None
    verifier_url: str | None = None
    bridge_url: str | None = None
    quiet_days: _Patience = 7.0
    max_blind: _Seconds = 600.0
    timeout: _Patience = 10.0


class Config(_Shape, frozen=True):
    """The whole file."""

    zmq_to_amqp: ZmqToAmqp = msgspec.field(default_factory=ZmqToAmqp)
    amqp_to_zmq: AmqpToZmq = msgspec.field(default_factory=AmqpToZmq)
    quarantine: Quarantine = msgspec.field(default_factory=Quarantine)
    verify_missing: VerifyMissing = msgspec.field(default_factory=VerifyMissing)
    migration: Migration = msgspec.field(default_factory=Migration)
    amqp_url: str | None = None
    log_config: dict[str, Any] | None = None
