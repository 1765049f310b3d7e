# SPDX-License-Identifier: MIT
"""Settings: a TOML file, read at first use into one dict, ``conf``.

What a value may be is in :mod:`.settings`; what a setting *means* belongs to the module that uses it.
"""

from __future__ import annotations

import copy
import logging
import os
import threading
from typing import TYPE_CHECKING, Any

from .exceptions import ConfigurationException

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Self

    DEFAULTS: dict[str, Any]

ENVIRONMENT = "FEDORA_MESSAGING_CONF"
DEFAULT_PATH = "/etc/fedora-messaging/config.toml"

_log = logging.getLogger(__name__)

_DEFAULTS: dict[str, Any] = {
    "amqp_url": "amqp://?connection_attempts=3&retry_delay=5",
    "amqp_urls": [],
    "client_properties": {"app": "Unknown"},
    "publish_exchange": "amq.topic",
    "topic_prefix": "",
    "publish_priority": None,
    "passive_declares": False,
    "exchanges": {
        "amq.topic": {"type": "topic", "durable": True, "auto_delete": False, "arguments": {}},
    },
    "queues": {
        "": {"durable": False, "auto_delete": True, "exclusive": True, "arguments": {}},
    },
    "bindings": [{"queue": "", "exchange": "amq.topic", "routing_keys": ["#"]}],
    "qos": {"prefetch_size": 0, "prefetch_count": 10},
    "callback": None,
    "monitoring": {},
    "consumer_config": {},
    "tls": {"ca_cert": None, "certfile": None, "keyfile": None},
    "log_config": {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"simple": {"format": "[%(name)s %(levelname)s] %(message)s"}},
        "handlers": {
            "console": {
                "class": "logging.StreamHandler",
                "formatter": "simple",
                "stream": "ext://sys.stdout",
            }
        },
        "loggers": {
            "fedora_messaging": {"level": "INFO", "propagate": False, "handlers": ["console"]},
        },
        "root": {"level": "WARNING", "handlers": ["console"]},
    },
}

# Sections of which a file may give a part: the rest keeps its default.
_FILLED = ("client_properties", "qos", "tls")
_FILLED_ENTRIES = ("exchanges",)


def __getattr__(name: str) -> Any:
    # DEFAULTS names the versions in use; to look them up costs more than importing this module does.
    if name == "DEFAULTS":
        return globals().setdefault("DEFAULTS", _defaults())
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _defaults() -> dict[str, Any]:
    defaults = copy.deepcopy(_DEFAULTS)
    defaults["client_properties"].update(_reserved())
    return defaults


def _reserved() -> dict[str, str]:
    from importlib.metadata import version  # noqa: PLC0415 - 15 ms

    return {
        "product": "Fedora Messaging with Pika",
        "information": "https://fedora-messaging.readthedocs.io/en/stable/",
        "version": f"fedora_messaging-{version('fedora-messaging')} with pika-{version('pika')}",
    }


class LazyConfig(dict[str, Any]):
    """The settings, loaded at first use. Keys cannot be popped.

    ``loaded`` says whether a file was read; an application that fills in everything by itself sets it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.loaded = False

    def _load_once(self) -> None:
        if not self.loaded:
            with _lock:
                if not self.loaded:
                    self.load_config()

    def __getitem__(self, key: str) -> Any:
        if not self.loaded:
            self._load_once()
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        """The value of ``key``, or ``default``."""
        self._load_once()
        return super().get(key, default)

    def __iter__(self) -> Iterator[str]:
        self._load_once()
        return super().__iter__()

    def __len__(self) -> int:
        self._load_once()
        return super().__len__()

    def __contains__(self, key: object) -> bool:
        self._load_once()
        return super().__contains__(key)

    def keys(self) -> Any:
        """All keys."""
        self._load_once()
        return super().keys()

    def values(self) -> Any:
        """All values."""
        self._load_once()
        return super().values()

    def items(self) -> Any:
        """All keys with their values."""
        self._load_once()
        return super().items()

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The value of ``key``; when it has none, ``default``, which it has from then on."""
        self._load_once()
        return super().setdefault(key, default)

    def pop(self, *args: Any) -> Any:  # noqa: ARG002 - the signature of dict
        """Not possible.

        Raises:
            ConfigurationException: always.
        """
        raise ConfigurationException("Configuration keys cannot be removed!")

    def copy(self) -> dict[str, Any]:
        """A plain, shallow copy."""
        self._load_once()
        return dict(super().items())

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Set several keys."""
        self._load_once()
        super().update(*args, **kwargs)

    def load_config(self, config_path: str | os.PathLike[str] | None = None) -> Self:
        """Read the settings again.

        Arguments:
            config_path: the file; when None, the one that ``$FEDORA_MESSAGING_CONF`` names, or
                ``/etc/fedora-messaging/config.toml``. A missing file gives the defaults.

        Raises:
            ConfigurationException: the file cannot be read, or a setting in it is wrong.
        """
        with _lock:
            settings = _read(os.fspath(config_path or os.environ.get(ENVIRONMENT, DEFAULT_PATH)))
            super().update(settings)
            self.loaded = True
        return self

    def setup_logging(self) -> None:
        """Configure ``logging`` as the setting ``log_config`` says. Only programs call this, never a library.

        Raises:
            ConfigurationException: ``logging`` refuses it.
        """
        from logging.config import dictConfig  # noqa: PLC0415 - 10 ms, and only programs need it

        try:
            dictConfig(self["log_config"])
        except (ValueError, TypeError, AttributeError, ImportError) as exc:
            cause = f" ({exc.__cause__})" if exc.__cause__ else ""
            raise ConfigurationException(f"log_config: {exc}{cause}") from exc


def validate_bindings(bindings: Sequence[Mapping[str, Any]]) -> None:
    """Check what ``bindings`` may be given.

    Raises:
        ConfigurationException: it is no list of dicts with ``exchange``, ``routing_keys`` and perhaps ``queue``.
    """
    from .settings import check  # noqa: PLC0415 - brings msgspec along

    check("bindings", bindings)


def validate_queues(queues: Mapping[str, Mapping[str, Any]]) -> None:
    """Check what ``queues`` may be given.

    Raises:
        ConfigurationException: it is no dict of dicts with ``durable``, ``auto_delete``, ``exclusive`` and
            ``arguments``.
    """
    from .settings import check  # noqa: PLC0415

    check("queues", queues)


def validate_client_properties(props: Mapping[str, Any]) -> None:
    """Check what ``client_properties`` may be given.

    Raises:
        ConfigurationException: it sets one of the keys that this library sets itself.
    """
    from .settings import check  # noqa: PLC0415

    check("client_properties", props)


def _read(path: str) -> dict[str, Any]:
    settings = copy.deepcopy(_defaults())
    given = parse(path)
    if given:
        from .settings import check_all  # noqa: PLC0415

        check_all(given)
    for key, value in given.items():
        settings[key] = _filled(key, value, settings[key])
    return settings


def _filled(key: str, value: Any, default: Any) -> Any:
    if key in _FILLED:
        return {**default, **value}
    if key in _FILLED_ENTRIES:
        return {name: {**_DEFAULTS[key]["amq.topic"], **entry} for name, entry in value.items()}
    if key == "monitoring" and value:
        return {"address": "", **value}
    return value


def parse(path: str) -> dict[str, Any]:
    """The tables of a TOML file, as they are; empty when there is no such file.

    Raises:
        ConfigurationException: it cannot be read, or is no TOML; says where.
    """
    import tomllib  # noqa: PLC0415 - 5 ms, and many run without a file

    try:
        with open(path, "rb") as file:  # noqa: PTH123 - pathlib costs more than all else here
            content = file.read()
    except FileNotFoundError:
        _log.info("The configuration file, %s, does not exist.", path)
        return {}
    except OSError as exc:
        raise ConfigurationException(f"{path} cannot be read: {exc.strerror}") from exc
    _log.info("Loading configuration from %s", path)
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1
        raise ConfigurationException(f"{path} is not UTF-8: byte {exc.start}, line {line}") from exc
    except tomllib.TOMLDecodeError as exc:
        raise ConfigurationException(f"Failed to parse {path}: {_with_line(str(exc), content)}") from exc
    except RecursionError as exc:
        raise ConfigurationException(f"Failed to parse {path}: nested too deeply") from exc


def _with_line(complaint: str, content: bytes) -> str:
    lines = content.decode().splitlines() or [""]
    return complaint.replace(
        "(at end of document)", f"(at line {len(lines)}, column {len(lines[-1]) + 1}, the end)"
    )


_lock = threading.RLock()


def _new_lock() -> None:
    # Another thread of the parent may have held it; nobody in the child ever lets it go.
    global _lock  # noqa: PLW0603
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_new_lock)

#: The settings of this process.
conf = LazyConfig()
