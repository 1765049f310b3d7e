# SPDX-License-Identifier: MIT
"""What pika and the operating system raise, said in one sentence with the way out. The border for foreign errors.

No socket, no loop: an exception and the connection's parameters in, a sentence and "is it for good?" out. For good
is what the peer said in so many words about these settings. A connection that only ended may have met a broker that
was just starting, or a load balancer without one, so that another attempt is worth it.
"""

from __future__ import annotations

import re
import socket
import ssl
from typing import TYPE_CHECKING

from pika import exceptions
from pika.credentials import ExternalCredentials

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .parameters import Parameters

Explained = tuple[str, bool]

# Reply codes of AMQP 0.9.1, 1.1.
_ACCESS_REFUSED = 403
_NOT_ALLOWED = 530

_NO_SUCH_NAME = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}

# What TLS alerts (RFC 8446, 6.2) say about a client's certificate; a broker that speaks TLS 1.2 and wants one, and
# gets none, says no more than "handshake failure".
_OF_CERTIFICATES = ("certificate", "unknown ca", "access denied", "decrypt error", "handshake failure")
_OF_VERSIONS = ("protocol version", "unsupported protocol", "insufficient security", "no shared cipher")
_MENDING = {
    "expired": "renew the one in tls.certfile ({})",
    "revoked": "have a new one issued for tls.certfile ({})",
}
_OUT_OF_DATE, _OTHER_NAME = {9, 10}, {62, 64}
_TLS_ALERT = b"\x15\x03"  # the type of a record, and the first byte of its version: RFC 8446, 5.1


def hostname(parameters: Parameters) -> str:
    """``host:port``, as messages name a broker."""
    host = f"[{parameters.host}]" if ":" in parameters.host else parameters.host
    return f"{host}:{parameters.port}"


def explain(error: BaseException, parameters: Parameters) -> Explained:
    """Why there is no connection and what to do, and whether trying again with the same settings is useless."""
    where = hostname(parameters)
    for cause in _chain(error):
        if isinstance(cause, ssl.SSLError):
            return _of_tls(cause, where, parameters)
        if isinstance(cause, exceptions.ConnectionClosedByBroker):
            return _of_broker(cause, error, where, parameters)
    if isinstance(error, socket.gaierror | UnicodeError):
        return _of_name(error, where, parameters)
    if isinstance(error, OSError):
        return _of_socket(error, where, parameters)
    return _of_amqp(error, where, parameters)


def silence(seconds: float, parameters: Parameters) -> str:
    """The sentence for a peer that accepts a connection and then says nothing."""
    what = "a TLS port" if parameters.ssl_options else "an AMQP port without TLS"
    return (
        f"the broker at {hostname(parameters)} accepted the connection but did not answer in {seconds:g} s: "
        f"is it {what}, is the broker overloaded?"
    )


def is_unexplained(error: BaseException) -> bool:
    """Whether the peer ended the connection before its first word in AMQP, and did not say why."""
    return isinstance(error, exceptions.IncompatibleProtocolError) and isinstance(
        error.__cause__, exceptions.StreamLostError
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


def _of_tls(error: ssl.SSLError, where: str, parameters: Parameters) -> Explained:
    if isinstance(error, ssl.SSLCertVerificationError):
        why = f"the certificate of {where} is not trusted: {error.verify_message}"
        return f"{why}; {_about_server(error.verify_code)}", True
    reason = (error.reason or str(error)).replace("_", " ").lower()
    if "wrong version number" in reason or "record layer failure" in reason:
        return f"{where} does not speak TLS: use amqp:// or the broker's TLS port (5671) in amqp_url", True
    if any(words in reason for words in _OF_VERSIONS):
        why = f"{where} and this host have no version or cipher of TLS in common ({reason})"
        return f"{why}: let the broker offer TLS 1.2 or newer", True
    if isinstance(error, ssl.SSLEOFError) or "unexpected eof" in reason:
        return _cut_in_tls(where), False
    return _of_alert(reason, where, parameters)


def _about_server(code: int) -> str:
    """What to do about a certificate that does not hold. The codes are those of openssl-verify(1)."""
    if code in _OUT_OF_DATE:
        return "have the broker's renewed, and look at this host's clock"
    if code in _OTHER_NAME:
        return "take the name in the broker's certificate for the host in amqp_url"
    return "check tls.ca_cert and the host name in amqp_url"


def _of_alert(reason: str, where: str, parameters: Parameters) -> Explained:
    alert = reason.rpartition("alert ")[2] if "alert " in reason else ""
    if not any(words in alert for words in _OF_CERTIFICATES):
        return f"TLS with {where} failed: {reason}; see the broker's log", False
    if parameters.certificate is None:
        return f"{where} wants a client's certificate ({alert}): set tls.certfile and tls.keyfile", True
    check = (
        f"check the certificate in tls.certfile ({parameters.certificate}), and which CA the broker trusts"
    )
    advice = next((text for word, text in _MENDING.items() if word in alert), check)
    return f"{where} refused our certificate ({alert}): {advice.format(parameters.certificate)}", True


def _of_name(error: socket.gaierror | UnicodeError, where: str, parameters: Parameters) -> Explained:
    for_good = not isinstance(error, socket.gaierror) or error.errno in _NO_SUCH_NAME
    why = f"the host name {parameters.host!r} does not resolve"
    return f"no connection to {where}: {why}; check amqp_url and the DNS", for_good


def _of_socket(error: OSError, where: str, parameters: Parameters) -> Explained:
    if isinstance(error, ConnectionRefusedError):
        return f"nothing listens on {where}: is the broker running, is the port in amqp_url right?", False
    if isinstance(error, ConnectionResetError) and parameters.ssl_options is not None:
        return _cut_in_tls(where), False
    why = error.strerror or str(error)
    return f"no connection to {where}: {why}; check amqp_url, and the network in between", False


def _cut_in_tls(where: str) -> str:
    return f"{where} cut the connection during the TLS handshake: is it the broker's TLS port, is the broker running?"


def _of_broker(
    closed: exceptions.ConnectionClosedByBroker, error: BaseException, where: str, parameters: Parameters
) -> Explained:
    """What the broker gave as its reason. Pika turned it into ``error``, by how far the login had come."""
    if closed.reply_code == _ACCESS_REFUSED and isinstance(error, exceptions.ProbableAuthenticationError):
        return _of_login(where, parameters), True
    if closed.reply_code == _NOT_ALLOWED and isinstance(error, exceptions.ProbableAccessDeniedError):
        if re.search(r"limit.* is reached", closed.reply_text):
            return (
                f"{where} takes no more connections: {closed.reply_text}; close some, or raise the limit",
                False,
            )
        why = f"{where} does not let us use the virtual host {parameters.virtual_host!r}: {closed.reply_text}"
        return f"{why}; check the path in amqp_url and the user's permissions", True
    said = " ".join(str(closed.reply_text).split())
    return (
        f"{where} closed the connection: {said} ({closed.reply_code}); see the broker's log",
        False,
    )


def _of_login(where: str, parameters: Parameters) -> str:
    if isinstance(parameters.credentials, ExternalCredentials):
        return (
            f"{where} did not accept our certificate as a login (EXTERNAL): the name in "
            f"{parameters.certificate} (its CN, or what ssl_cert_login_from says) must be a user there"
        )
    user = parameters.credentials.username
    return f"{where} refused the user {user!r}: check user name and password in amqp_url"


def _of_amqp(error: BaseException, where: str, parameters: Parameters) -> Explained:
    if isinstance(error, exceptions.AuthenticationError):
        return _of_mechanism(where, parameters), True
    if isinstance(error, exceptions.IncompatibleProtocolError):
        return _of_first_word(error, where, parameters)
    if isinstance(error, exceptions.ProbableAuthenticationError | exceptions.ProbableAccessDeniedError):
        return f"{where} ended the connection during the login, without a word: see the broker's log", False
    if isinstance(error, exceptions.AMQPHeartbeatTimeout):
        return f"{where} has been silent for too long (heartbeat)", False
    text = str(error.args[-1]) if error.args else type(error).__name__
    return f"the connection to {where} broke: {text}", False


def _of_mechanism(where: str, parameters: Parameters) -> str:
    if isinstance(parameters.credentials, ExternalCredentials):
        return (
            f"{where} did not accept our certificate as a login: it does not offer EXTERNAL; enable the plugin "
            "rabbitmq_auth_mechanism_ssl and the mechanism there, or put user and password in amqp_url"
        )
    return (
        f"{where} does not offer a login by user and password ({parameters.credentials.TYPE}): "
        "set tls.certfile and tls.keyfile, with no user in amqp_url, or have the broker offer it (auth_mechanisms)"
    )


def _of_first_word(
    error: exceptions.IncompatibleProtocolError, where: str, parameters: Parameters
) -> Explained:
    said = error.args[0] if error.args else ""
    if not isinstance(said, bytes):
        if parameters.ssl_options is not None:
            why = f"{where} ended the connection after the TLS handshake, without a word"
            return f"{why}: is it an AMQP 0.9.1 port, does the broker accept our certificate?", False
        check = "is it the port for AMQP 0.9.1 (5672; 15672 is the management's)?"
        return f"{where} ended the connection without a word: {check}", False
    if said.startswith(_TLS_ALERT):
        return f"{where} speaks TLS: it needs amqps:// in amqp_url", True
    if said.startswith(b"AMQP"):
        version = ".".join(str(byte) for byte in said[5:8])
        return f"{where} speaks another version of AMQP ({version}): 0.9.1 is needed", True
    begin = said[:16].decode("ascii", "replace").splitlines()[0]
    return (
        f"{where} does not speak AMQP (it said {begin!r}): check the port in amqp_url (5672 is AMQP's)",
        True,
    )
