# SPDX-License-Identifier: MIT
"""What pika and the operating system raise, said in one sentence with the way out. The border for foreign errors.

No socket, no loop: an exception and the connection's parameters in, a sentence and "is it for good?" out.
"""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

from pika import exceptions
from pika.credentials import ExternalCredentials

if TYPE_CHECKING:
    from pika import URLParameters


def hostname(parameters: URLParameters) -> str:
    """``host:port``, as messages name a broker."""
    return f"{parameters.host}:{parameters.port}"


def explain(error: BaseException, parameters: URLParameters) -> tuple[str, bool]:
    """Why there is no connection and what to do, and whether trying again with the same settings is useless."""
    where = hostname(parameters)
    for cause in _chain(error):
        if (found := _of_tls(cause, where)) is not None:
            return found
    if isinstance(error, OSError):
        return _of_socket(error, where, parameters)
    return _of_amqp(error, where, parameters)


def _chain(error: BaseException) -> list[BaseException]:
    chain = [error]
    while (cause := chain[-1].__cause__) is not None:
        chain.append(cause)
    return chain


def _of_tls(error: BaseException, where: str) -> tuple[str, bool] | None:
    if isinstance(error, ssl.SSLCertVerificationError):
        why = f"the certificate of {where} is not trusted: {error.verify_message}"
        return f"{why}; check tls.ca_cert and the host name in amqp_url", True
    if not isinstance(error, ssl.SSLError):
        return None
    reason = (error.reason or str(error)).replace("_", " ").lower()
    if "wrong version number" in reason or "record layer failure" in reason:
        return f"{where} does not speak TLS: use amqp:// or the broker's TLS port (5671) in amqp_url", True
    if "alert" in reason or "certificate" in reason:
        check = "check tls.certfile and tls.keyfile, and which CA the broker trusts"
        return f"{where} refused our certificate ({reason}): {check}", True
    return f"TLS with {where} failed: {reason}", False


def _of_socket(error: OSError, where: str, parameters: URLParameters) -> tuple[str, bool]:
    if isinstance(error, socket.gaierror):
        for_good = error.errno == socket.EAI_NONAME
        return f"the host name {parameters.host!r} does not resolve: check amqp_url and the DNS", for_good
    if isinstance(error, ConnectionRefusedError):
        return f"nothing listens on {where}: is the broker running, is the port in amqp_url right?", False
    if isinstance(error, ConnectionResetError) and parameters.ssl_options is not None:
        return f"{where} cut the connection during the TLS handshake: is it the broker's TLS port?", False
    return f"no connection to {where}: {error.strerror or error}", False


def _of_amqp(error: BaseException, where: str, parameters: URLParameters) -> tuple[str, bool]:
    text = str(error.args[-1]) if error.args else type(error).__name__
    if isinstance(error, exceptions.ProbableAuthenticationError | exceptions.AuthenticationError):
        return _of_login(where, parameters), True
    if isinstance(error, exceptions.ProbableAccessDeniedError) or (
        isinstance(error, exceptions.ConnectionClosedByBroker) and error.reply_code == 530  # NOT_ALLOWED
    ):
        why = f"{where} does not let us use the virtual host {parameters.virtual_host!r}: {_words(error)}"
        return f"{why}; check the path in amqp_url and the user's permissions", True
    if isinstance(error, exceptions.IncompatibleProtocolError):
        hint = (
            "the broker's TLS port needs amqps://"
            if parameters.ssl_options is None
            else "check the certificate"
        )
        if "alert" in text.lower() or "CERTIFICATE" in text:
            return f"{where} refused our certificate: check tls.certfile and tls.keyfile ({text})", True
        return (
            f"{where} ended the handshake: is it an AMQP 0.9.1 port? ({hint})",
            parameters.ssl_options is None,
        )
    if isinstance(error, exceptions.AMQPHeartbeatTimeout):
        return f"{where} has been silent for too long (heartbeat)", False
    if isinstance(error, exceptions.ConnectionClosedByBroker):
        text = f"the broker closed it: {error.reply_text} ({error.reply_code})"
    return f"the connection to {where} broke: {text}", False


def _of_handshake(text: str, where: str, *, secure: bool) -> tuple[str, bool]:
    # TLS 1.3 refuses a client's certificate only after the handshake, so that it looks like a protocol error.
    if secure and ("alert" in text.lower() or "CERTIFICATE" in text):
        return f"{where} refused our certificate: check tls.certfile and tls.keyfile ({text})", True
    if secure:
        return f"{where} ended the handshake: is it a TLS port for AMQP 0.9.1?", False
    return f"{where} ended the handshake: is it an AMQP 0.9.1 port? (a TLS port needs amqps://)", True


def _of_login(where: str, parameters: URLParameters) -> str:
    if isinstance(parameters.credentials, ExternalCredentials):
        return (
            f"{where} did not accept our certificate as a login (EXTERNAL): "
            "its CN must be a user there, and the plugin rabbitmq_auth_mechanism_ssl enabled"
        )
    user = parameters.credentials.username
    return f"{where} refused the user {user!r}: check user name and password in amqp_url"


def _words(error: BaseException) -> str:
    if isinstance(error, exceptions.ConnectionClosed):
        return str(error.reply_text)
    return str(error.args[0]) if error.args else "access refused"
