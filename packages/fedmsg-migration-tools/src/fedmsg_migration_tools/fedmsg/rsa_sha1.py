# SPDX-License-Identifier: MIT
"""RSA over SHA-1 (PKCS#1 v1.5), the one algorithm of fedmsg's signatures, on as many cores as there are threads.

`cryptography` holds Python's interpreter lock while it computes: measured with 50.0, two threads sign no faster than
one. Called through ctypes, the system's libcrypto (the one that Python's own ssl and hashlib load) computes without
the lock, so it is used where it is there and allows SHA-1; `cryptography` does the work where not, and reads the keys
in any case. Only this module knows libcrypto. What is signed, and by whom, does not belong here.
"""

from __future__ import annotations

import base64
import ctypes
import hashlib
import weakref
from collections import deque
from ctypes import c_char_p, c_int, c_long, c_size_t, c_void_p
from functools import cache
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InternalError, InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PrivateKey", "PublicKey", "parallel", "sha1_problem"]

_NAMES = ("libcrypto.so.3", "libcrypto.so.4", "libcrypto.3.dylib")
_RSA_PKCS1_PADDING = 1  # openssl/rsa.h
_PADDING = padding.PKCS1v15()
_SHA1 = hashes.SHA1()  # noqa: S303 - fedmsg's wire format
_FORBIDDEN = (
    UnsupportedAlgorithm,
    InternalError,
    ValueError,
)  # how cryptography says that a policy forbids SHA-1

# A key and its signature of b"fedmsg", to see whether SHA-1 is allowed.
_PROBE_KEY = base64.b64decode(
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAroZcHGqiXGELeaAVv9QbDj3ChU1RfEp+z7d1halZoIOkP17DrNqAD76q"
    "IiaXt9alqdyWJKpcLSWz1khnZcWlBhRHnu0+C5yVKzKrEfZTV2YS+ItMYNj0kpIXF9Y7Nih+7b1hreOM3ugqXakUThdQCHVizYC5"
    "JrohpVyyb7xSHUmOsu7I1xVZ1NdNtwsLHTE9+mkgKklSDw7guRHfyKzi5YNV+WMdGSbuWUMDyIbn+bAUBeDPNoGY8aEihwOqDjhh"
    "FPlPRiB4UaBZMe0MCFYmIBUjccsqS9h30mzBGCBdQuLVicor1nst+qNUSbjEIA90saJVSv7dLB104uc645EhMwIDAQAB"
)
_PROBE_SIGNATURE = base64.b64decode(
    "W89nyp+1Ylnx9kqc8Xzz/UKmeCwVWHdp5sIq+81ZYdpLnmwUy0HlCspJA+wRcwJ/xPHGY9+ZkVQ4kvDQz9y9xlutlTQHuq4tCZ+b"
    "9AOJKER6Va8LGCdJBD8c5UF67HXxw+NldANKQoQwmMcZbY50pEgTbKI9q67UBANARy0Du7gb2P07oKdNQhvc0m/guYp9MhT7uflS"
    "HWIiwkFseCI+j9Wj6cdL02XbBOVs88XVk/suYqzbQSvfxdeKf6ALnQetaammjM9B6JyvofGd3Q+N0extb04MnFpw0rkbUNqBCaUV"
    "+/4l+Ox0oolhUeIehQBPgYXEpX8utDxMuf9yMzZx0w=="
)


class PublicKey:
    """Checks signatures. Threads may share it.

    Arguments:
        key: an RSA key.
    """

    __slots__ = ("__weakref__", "_contexts", "_key")

    def __init__(self, key: rsa.RSAPublicKey) -> None:
        self._key = key
        der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        library = _library()
        self._contexts = library and _Contexts.open(library, library.read_public(der), library.verify_init)

    def verify(self, signature: bytes, message: bytes) -> bool:
        """Whether ``signature`` is this key's, over the SHA-1 of ``message``."""
        if self._contexts is None:
            return _verify_slowly(self._key, signature, message)
        digest = hashlib.sha1(message, usedforsecurity=False).digest()
        return self._contexts.verify(signature, digest)


class PrivateKey:
    """Makes signatures. Threads may share it.

    Arguments:
        key: an RSA key.

    Raises:
        ValueError: SHA-1 is forbidden by the system's crypto policy; see `sha1_problem`.
    """

    def __init__(self, key: rsa.RSAPrivateKey) -> None:
        self._key = key
        self._contexts = None
        form = serialization.PrivateFormat.PKCS8
        der = key.private_bytes(serialization.Encoding.DER, form, serialization.NoEncryption())
        if library := _library():
            self._contexts = _Contexts.open(library, library.read_private(der), library.sign_init)
        # A policy may allow checking and forbid signing (FIPS does).
        if self._contexts is not None and self._contexts.sign(b"\0" * 20, self._size) is None:
            self._contexts = None
        if self._contexts is None:
            self._sign_slowly(b"")

    @property
    def _size(self) -> int:
        return (self._key.key_size + 7) // 8

    def sign(self, message: bytes) -> bytes:
        """The signature over the SHA-1 of ``message``."""
        if self._contexts is not None:
            digest = hashlib.sha1(message, usedforsecurity=False).digest()
            signature = self._contexts.sign(digest, self._size)
            if signature is not None:
                return signature
        return self._sign_slowly(message)

    def _sign_slowly(self, message: bytes) -> bytes:
        try:
            return self._key.sign(message, _PADDING, _SHA1)
        except _FORBIDDEN as exc:
            raise ValueError(f"the key cannot sign with SHA-1: {exc}") from exc


def parallel() -> bool:
    """Whether threads check and sign at the same time, on several cores."""
    return _library() is not None


def sha1_problem() -> str | None:
    """One line when the system's crypto policy forbids SHA-1, with what to do; None when signatures can be checked."""
    key = _probe_key()
    try:
        if _library() is not None or _verify_slowly(key, _PROBE_SIGNATURE, b"fedmsg"):
            return None
    except _FORBIDDEN:
        pass
    return (
        "This system's crypto policy forbids SHA-1, with which fedmsg's messages are signed: allow it with "
        "`update-crypto-policies --set DEFAULT:SHA1`, or for this service alone with the environment variable "
        "OPENSSL_CONF naming an openssl.cnf that has `rh-allow-sha1-signatures = yes`."
    )


def _verify_slowly(key: rsa.RSAPublicKey, signature: bytes, message: bytes) -> bool:
    try:
        key.verify(signature, message, _PADDING, _SHA1)
    except InvalidSignature:
        return False
    return True


def _probe_key() -> rsa.RSAPublicKey:
    key = serialization.load_der_public_key(_PROBE_KEY)
    if not isinstance(key, rsa.RSAPublicKey):  # pragma: no cover - a constant
        raise TypeError("the probe's key is not RSA")
    return key


class _Library:
    """The functions of libcrypto that are needed, with their types (openssl/evp.h, openssl/x509.h).

    Raises:
        OSError, AttributeError: it is not there, or lacks one.
    """

    def __init__(self, name: str) -> None:
        self._dll = ctypes.CDLL(name)
        self._d2i_public = self._function("d2i_PUBKEY", c_void_p, c_void_p, c_void_p, c_long)
        self._d2i_private = self._function("d2i_AutoPrivateKey", c_void_p, c_void_p, c_void_p, c_long)
        self.free_key = self._function("EVP_PKEY_free", None, c_void_p)
        self._new_context = self._function("EVP_PKEY_CTX_new", c_void_p, c_void_p, c_void_p)
        self.free_context = self._function("EVP_PKEY_CTX_free", None, c_void_p)
        self.sign_init = self._function("EVP_PKEY_sign_init", c_int, c_void_p)
        self.verify_init = self._function("EVP_PKEY_verify_init", c_int, c_void_p)
        self._set_padding = self._function("EVP_PKEY_CTX_set_rsa_padding", c_int, c_void_p, c_int)
        self._set_digest = self._function("EVP_PKEY_CTX_set_signature_md", c_int, c_void_p, c_void_p)
        self._sha1 = self._function("EVP_sha1", c_void_p)()
        self.clear_errors = self._function("ERR_clear_error", None)
        self.verify = self._function(
            "EVP_PKEY_verify", c_int, c_void_p, c_char_p, c_size_t, c_char_p, c_size_t
        )
        self.sign = self._function("EVP_PKEY_sign", c_int, c_void_p, c_char_p, c_void_p, c_char_p, c_size_t)

    def _function(self, name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
        function = getattr(self._dll, name)
        function.restype, function.argtypes = result, arguments
        return function  # type: ignore[no-any-return]

    def read_public(self, der: bytes) -> int | None:
        return self._read(self._d2i_public, der)

    def read_private(self, der: bytes) -> int | None:
        return self._read(self._d2i_private, der)

    def _read(self, function: Callable[..., Any], der: bytes) -> int | None:
        start = c_char_p(der)  # the function moves this pointer on
        key: int | None = function(None, ctypes.byref(start), len(der))
        self.clear_errors()
        return key

    def context(self, key: int, init: Callable[..., Any]) -> int | None:
        """A context for PKCS#1 v1.5 over SHA-1; None where it is refused."""
        found: int | None = self._new_context(key, None)
        if found is None:
            return None
        ready = (
            init(found) == 1
            and self._set_padding(found, _RSA_PKCS1_PADDING) == 1
            and self._set_digest(found, self._sha1) == 1
        )
        if ready:
            return found
        self.free_context(found)
        self.clear_errors()
        return None


class _Contexts:
    """A key in libcrypto, and the contexts that threads take, use alone, and put back."""

    __slots__ = ("__weakref__", "_init", "_key", "_library", "_pool")

    def __init__(self, library: _Library, key: int, init: Callable[..., Any], first: int) -> None:
        self._library = library
        self._key = key
        self._init = init
        self._pool: deque[int] = deque([first])
        weakref.finalize(self, _free, library, key, self._pool).atexit = False

    @classmethod
    def open(cls, library: _Library, key: int | None, init: Callable[..., Any]) -> _Contexts | None:
        """None where libcrypto refuses the key or SHA-1."""
        if key is None:
            return None
        first = library.context(key, init)
        if first is None:
            library.free_key(key)
            return None
        return cls(library, key, init, first)

    def _take(self) -> int:
        try:
            return self._pool.pop()  # atomic
        except IndexError:
            context = self._library.context(self._key, self._init)
        if context is None:
            raise MemoryError("libcrypto gives no further context")
        return context

    def verify(self, signature: bytes, digest: bytes) -> bool:
        context = self._take()
        try:
            if self._library.verify(context, signature, len(signature), digest, len(digest)) == 1:
                return True
            self._library.clear_errors()
            return False
        finally:
            self._pool.append(context)

    def sign(self, digest: bytes, size: int) -> bytes | None:
        """None where it is refused."""
        context = self._take()
        buffer, length = ctypes.create_string_buffer(size), c_size_t(size)
        try:
            if self._library.sign(context, buffer, ctypes.byref(length), digest, len(digest)) == 1:
                return buffer.raw[: length.value]
            self._library.clear_errors()
            return None
        finally:
            self._pool.append(context)


def _free(library: _Library, key: int, pool: deque[int]) -> None:
    while pool:
        library.free_context(pool.pop())
    library.free_key(key)


@cache
def _library() -> _Library | None:
    for name in _NAMES:
        try:
            library = _Library(name)
        except (OSError, AttributeError):
            continue
        digest = hashlib.sha1(b"fedmsg", usedforsecurity=False).digest()
        probe = _Contexts.open(library, library.read_public(_PROBE_KEY), library.verify_init)
        if probe is not None and probe.verify(_PROBE_SIGNATURE, digest):
            return library
    return None
