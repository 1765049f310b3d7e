# SPDX-License-Identifier: MIT
"""Messages: what they are, what packages override, and how they are read from a broker or a file.

A message is a JSON object (the body) with a topic, AMQP properties, and a class that knows its schema.
Which class has which name is :mod:`.registry`'s matter; how a message is encoded for a broker is :mod:`.wire`'s.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from functools import lru_cache
from time import time
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias
from uuid import uuid4

from . import jsontext, registry, schemas
from .config import conf
from .exceptions import ValidationError
from .schema_utils import user_avatar_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pika import BasicProperties

#: Of interest to developers only.
DEBUG = 10
#: Something happened, as it should; the default.
INFO = 20
#: Something that people ought to look at.
WARNING = 30
#: Something failed, and people have to look at it.
ERROR = 40
#: All severities.
SEVERITIES = (DEBUG, INFO, WARNING, ERROR)
#: What a message looks like in a file, one a line.
SERIALIZED_MESSAGE_SCHEMA = schemas.SERIALIZED_MESSAGE

HeaderType: TypeAlias = dict[str, Any]

_log = logging.getLogger(__name__)
_BASE_NAME = "base.message"

# Applications' tests put classes of their own here.
_schema_name_to_class = registry.schema_name_to_class
_class_to_schema_name = registry.class_to_schema_name
_schema_name_to_package = registry.schema_name_to_package

# The properties that become headers, and the headers' prefixes.
_ABOUT = (
    ("usernames", "fedora_messaging_user_"),
    ("groups", "fedora_messaging_group_"),
    ("packages", "fedora_messaging_rpm_"),
    ("containers", "fedora_messaging_container_"),
    ("modules", "fedora_messaging_module_"),
    ("flatpaks", "fedora_messaging_flatpak_"),
)


@lru_cache(maxsize=8)
def _text_of(second: int) -> str:
    """A time in seconds since the epoch as ISO 8601, in UTC: thousands of messages share one."""
    return datetime.fromtimestamp(second, UTC).isoformat()


class Message:
    """A message, to be published or as it was received. Packages derive their own classes from this one.

    Arguments:
        body: a JSON object, as Python's ``dict``.
        headers: AMQP headers beside those that every message has.
        topic: dotted words; the class's own when empty.
        properties: complete AMQP properties; with them, ``headers`` is not looked at.
        severity: one of :data:`SEVERITIES`; the class's own when empty.

    Two messages are equal when class, topic, body and headers (but for ``sent-at``) are.
    """

    topic: str = ""
    severity: int = INFO
    #: Set to true in a class that has a successor: receiving such a message logs a warning.
    deprecated: bool = False
    headers_schema: ClassVar[dict[str, Any]] = schemas.HEADERS
    body_schema: ClassVar[dict[str, Any]] = schemas.BODY

    def __init__(
        self,
        body: Mapping[str, Any] | None = None,
        headers: HeaderType | None = None,
        topic: str | None = None,
        properties: BasicProperties | None = None,
        severity: int | None = None,
    ) -> None:
        self.body: Any = body or {}
        if topic:
            self.topic = topic
        if severity:
            self.severity = severity
        self._properties: Any = properties or self._build_properties(headers)
        #: The queue that the message was received from; None for one that was not received.
        self.queue: str | None = None

    def _build_properties(self, headers: HeaderType | None) -> BasicProperties:
        own = dict(headers) if headers else {}
        name = get_name(type(self))
        own["fedora_messaging_schema"] = name
        if package := registry.find_package(name):
            own["fedora_messaging_schema_package"] = package
        own.setdefault("sent-at", _text_of(int(time())))
        own["fedora_messaging_severity"] = self.severity
        priority = conf["publish_priority"] or None
        own["priority"] = priority or 0
        own.update(self._filter_headers())
        return _properties_class()(
            content_type="application/json",
            content_encoding="utf-8",
            delivery_mode=2,
            message_id=str(uuid4()),
            headers=own,
            priority=priority,
        )

    def _filter_headers(self) -> HeaderType:
        """One header for each object that the message is about, so that consumers can bind to them."""
        headers: HeaderType = {}
        for name, prefix in _ABOUT:
            if getattr(type(self), name, None) is getattr(Message, name):
                continue
            try:
                about = getattr(self, name)
            except Exception:  # noqa: BLE001 - a body that lacks a key says so when it is validated
                _log.warning("The %s of a %s cannot be told from its body.", name, type(self).__name__)
                continue
            headers.update({f"{prefix}{one}": True for one in about or ()})
        return headers

    @property
    def _headers(self) -> HeaderType:
        headers: HeaderType | None = self._properties.headers
        return {} if headers is None else headers

    @_headers.setter
    def _headers(self, headers: HeaderType) -> None:
        self._properties.headers = headers

    @property
    def _encoded_routing_key(self) -> str:
        prefix = conf["topic_prefix"]
        return f"{prefix}.{self.topic}" if prefix else self.topic

    @property
    def _encoded_body(self) -> bytes:
        return jsontext.encode(self.body)

    @property
    def id(self) -> str:
        """The message's own id, a UUID; a duplicate bears the same."""
        return self._properties.message_id  # type: ignore[no-any-return]

    @id.setter  # noqa: A003 - this is the property of that name
    def id(self, value: str) -> None:
        self._properties.message_id = value

    @property
    def priority(self) -> int:
        """The priority that the broker orders by, where a queue has priorities; 0 if none."""
        return self._properties.priority or 0

    @priority.setter
    def priority(self, value: int | None) -> None:
        self._properties.priority = value or 0
        self._headers["priority"] = value or 0

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, self.__class__):
            return False
        return (
            self.topic == other.topic
            and self.body == other.body
            and _without_time(self._headers) == _without_time(other._headers)
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}(id={self.id!r}, topic={self.topic!r}, body={self.body!r})"

    def __str__(self) -> str:
        """For people: all of the message. Packages override it."""
        headers = json.dumps(self._headers, indent=4, sort_keys=True, separators=(",", ": "))
        body = json.dumps(self.body, indent=4, sort_keys=True, separators=(",", ": "))
        return f"Id: {self.id}\nTopic: {self.topic}\nHeaders: {headers}\nBody: {body}"

    def validate(self) -> None:
        """Check headers and body against the schemas of the class, and of every message.

        Raises:
            jsonschema.ValidationError: the message breaks a schema.
            jsonschema.SchemaError: a schema of the class is none.
        """
        headers, body = self._headers, self.body
        schemas.validate(headers, self.headers_schema)
        if self.headers_schema is not Message.headers_schema:
            schemas.validate(headers, Message.headers_schema)
        body_schema = self.body_schema  # may be a property that reads the body
        schemas.validate(body, body_schema)
        if body_schema is not Message.body_schema:
            schemas.validate(body, Message.body_schema)

    @property
    def summary(self) -> str:
        """One line for people; the topic, unless a package knows better."""
        return self.topic

    @property
    def url(self) -> str | None:
        """Where to read on."""
        return None

    @property
    def app_name(self) -> str | None:
        """The application that sent the message."""
        return None

    @property
    def app_icon(self) -> str | None:
        """The URL of the application's icon."""
        return None

    @property
    def agent_name(self) -> str | None:
        """The user whose action caused the message."""
        return None

    @property
    def agent_avatar(self) -> str | None:
        """The URL of that user's avatar."""
        return user_avatar_url(self.agent_name) if self.agent_name is not None else None

    @property
    def usernames(self) -> list[str]:
        """The users that the message is about."""
        return []

    @property
    def groups(self) -> list[str]:
        """The groups that the message is about."""
        return []

    @property
    def packages(self) -> list[str]:
        """The (RPM) packages that the message is about."""
        return []

    @property
    def containers(self) -> list[str]:
        """The containers that the message is about."""
        return []

    @property
    def modules(self) -> list[str]:
        """The modules that the message is about."""
        return []

    @property
    def flatpaks(self) -> list[str]:
        """The flatpaks that the message is about."""
        return []


registry.register(_BASE_NAME, Message, "fedora_messaging")


def get_class(schema_name: str) -> type[Message]:
    """The message class called ``schema_name``; :class:`Message`, and a warning, when none is installed."""
    return _class_for(schema_name, None)


def get_name(cls: type[Message]) -> str:
    """The name under which ``cls`` is declared in the entry points ``fedora.messages``.

    Raises:
        TypeError: it is not declared there.
    """
    name = registry.find_name(cls)
    if name is None:
        raise TypeError(
            f"{cls} has no name: no installed package declares it among its entry points in the group "
            f'"{registry.GROUP}". Declare it there, and install the package again.'
        )
    return name


def load_message_classes() -> None:
    """Import every installed message class; one that does not import leaves a warning."""
    registry.load_all()


def get_message(routing_key: str, properties: BasicProperties, body: bytes) -> Message:
    """The message that these bytes are, of the class that its headers name, validated.

    Headers, schema, severity and content encoding may be missing: no headers, the base class, info and
    UTF-8 are assumed, and entered in ``properties``.

    Raises:
        ValidationError: they are no message, or one that breaks its schema.
    """
    try:
        return _decode(routing_key, properties, body)
    except ValidationError:
        raise
    except Exception as exc:
        # Deliberately all: foreign bytes meet foreign code here (codecs, packages' own ``validate``).
        raise ValidationError(exc) from exc


def load_message(message_dict: Mapping[str, Any]) -> Message:
    """A message from what :func:`dumps` writes for it, as a ``dict``.

    Raises:
        ValidationError: it does not have that form.
    """
    try:
        schemas.validate(message_dict, SERIALIZED_MESSAGE_SCHEMA)
    except Exception as exc:
        raise ValidationError(exc) from exc
    headers = message_dict.get("headers") or {}
    name = headers.get("fedora_messaging_schema", _BASE_NAME)
    cls = _class_for(name, headers.get("fedora_messaging_schema_package"))
    message = cls(
        body=message_dict["body"],
        headers=headers,
        topic=message_dict["topic"],
        severity=headers.get("fedora_messaging_severity"),
    )
    if cls is Message and name != _BASE_NAME:
        _keep_name(message, headers)
    if "id" in message_dict:
        message.id = message_dict["id"]
    message.queue = message_dict.get("queue")
    message.priority = message_dict.get("priority")
    return message


def dumps(messages: Message | Iterable[Message]) -> str:
    """One line of JSON for each message, after validating it.

    Raises:
        ValidationError: a message is not valid.
    """
    if isinstance(messages, Message):
        messages = [messages]
    return "\n".join(map(_dump, messages)) + "\n"


def loads(serialized_messages: str | bytes) -> list[Message]:
    """The messages that :func:`dumps` wrote. Empty lines count for nothing.

    Raises:
        ValidationError: a line is not JSON, or not a message.
    """
    text = serialized_messages.decode() if isinstance(serialized_messages, bytes) else serialized_messages
    try:
        objects = [json.loads(line) for line in text.split("\n") if line.strip()]
    except (ValueError, RecursionError) as exc:
        raise ValidationError(exc) from exc
    return [load_message(one) for one in objects]


def _decode(topic: str, properties: Any, body: bytes) -> Message:
    _fill_in(topic, properties)
    headers = properties.headers
    parsed = jsontext.decode(body, properties.content_encoding)
    if not isinstance(parsed, dict):
        raise ValidationError(f"The body is not a JSON object, but {type(parsed).__name__}")
    cls = Message
    if (name := headers.get("fedora_messaging_schema")) is not None:
        cls = _class_for(name, headers.get("fedora_messaging_schema_package"))
    message = cls(
        body=parsed,
        topic=topic,
        properties=properties,
        severity=headers.get("fedora_messaging_severity", INFO),
    )
    message.validate()
    if cls.deprecated:
        _log.warning(
            "A message of the deprecated class %s.%s was received on topic %r: see whether its "
            "publisher has a newer one.", cls.__module__, cls.__qualname__, topic,
        )  # fmt: skip
    return message


def _fill_in(topic: str, properties: Any) -> None:
    """Assume what a careless publisher left out, and say so in one line."""
    missing = []
    if properties.headers is None:
        properties.headers = {}
        missing.append("headers")
    elif not isinstance(properties.headers, dict):
        raise ValidationError(f"The headers are no table, but {type(properties.headers).__name__}")
    if "fedora_messaging_schema" not in properties.headers:
        missing.append("schema")
    if "fedora_messaging_severity" not in properties.headers:
        missing.append("severity")
    if properties.content_encoding is None:
        properties.content_encoding = "utf-8"
        missing.append("content encoding")
    if missing:
        _log.warning(
            "The message %s on topic %r has no %s: defaults are assumed, and its publisher should be told.",
            properties.message_id, topic, ", ".join(missing),
        )  # fmt: skip


def _class_for(name: Any, package: object) -> type[Message]:
    cls = registry.find_class(name)
    if cls is not None and issubclass(cls, Message):
        return cls
    where = f"the package {package!r}" if package else "the package that has it"
    _log.warning("The schema %r is not known here; install %s. The base class is taken.", name, where)
    return Message


def _keep_name(message: Message, headers: Mapping[str, Any]) -> None:
    """A message whose class is not installed here keeps its schema's name, for those who have it."""
    own = message._headers  # noqa: SLF001
    for key in ("fedora_messaging_schema", "fedora_messaging_schema_package"):
        own.pop(key, None)
        if key in headers:
            own[key] = headers[key]


def _dump(message: Message) -> str:
    try:
        message.validate()
        return json.dumps(
            {
                "topic": message.topic,
                "headers": message._headers,  # noqa: SLF001
                "id": message.id,
                "body": message.body,
                "queue": message.queue,
                "priority": message.priority,
            },
            sort_keys=True,
        )
    except Exception as exc:
        raise ValidationError(exc) from exc


def _without_time(headers: HeaderType) -> HeaderType:
    return {key: value for key, value in headers.items() if key != "sent-at"}


def _properties_class() -> type[BasicProperties]:
    import pika  # noqa: PLC0415 - it costs 0.15 s, and many importers never publish

    properties: type[BasicProperties] = pika.BasicProperties
    return properties
