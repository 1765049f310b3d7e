# SPDX-License-Identifier: MIT
"""RSA over SHA-1: libcrypto and cryptography agree, threads compute at once, and a policy that forbids it is seen."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from hypothesis import given
from hypothesis import strategies as st

from fedmsg_migration_tools.fedmsg.rsa_sha1 import PrivateKey, PublicKey, parallel, sha1_problem
from tests import pki

if TYPE_CHECKING:
    from pathlib import Path

KEY = pki.rsa_key(0)
NO_SHA1 = """
openssl_conf = init
[init]
alg_section = algorithms
[algorithms]
default_properties = fips=yes
"""


def reference(message: bytes, key: rsa.RSAPrivateKey = KEY) -> bytes:
    return key.sign(message, padding.PKCS1v15(), hashes.SHA1())


@pytest.fixture(params=["libcrypto", "cryptography"])
def keys(request: pytest.FixtureRequest) -> tuple[PrivateKey, PublicKey]:
    private, public = PrivateKey(KEY), PublicKey(KEY.public_key())
    if request.param == "cryptography":
        private._contexts = public._contexts = None
    return private, public


@given(message=st.binary(max_size=3000))
def test_both_ways_sign_the_same(message: bytes) -> None:
    assert PrivateKey(KEY).sign(message) == reference(message)


def test_a_signature_holds_for_its_message_alone(keys: tuple[PrivateKey, PublicKey]) -> None:
    private, public = keys
    signature = private.sign(b"message")
    assert public.verify(signature, b"message")
    assert not public.verify(signature, b"massage")
    assert not public.verify(reference(b"message", pki.rsa_key("another")), b"message")


@pytest.mark.parametrize(
    "change", [bytes, lambda s: s[:-1], lambda s: s + b"\0", lambda s: s * 50, lambda s: b"\0" + s]
)
def test_a_signature_of_the_wrong_length_is_none(
    keys: tuple[PrivateKey, PublicKey], change: type[bytes]
) -> None:
    private, public = keys
    wrong = b"" if change is bytes else change(private.sign(b"message"))
    assert not public.verify(wrong, b"message")
    assert public.verify(private.sign(b"message"), b"message")


@pytest.mark.parametrize("bits", [1024, 2049, 4096])
def test_keys_of_other_sizes(bits: int) -> None:
    key = rsa.generate_private_key(65537, bits)
    signature = PrivateKey(key).sign(b"message")
    assert signature == reference(b"message", key)
    assert PublicKey(key.public_key()).verify(signature, b"message")


def test_threads_share_keys() -> None:
    private, public = PrivateKey(KEY), PublicKey(KEY.public_key())

    def one(number: int) -> bool:
        message = str(number).encode()
        signature = private.sign(message)
        return public.verify(signature, message) and not public.verify(signature, b"other")

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(one, range(400)))


def test_sha1_is_allowed_here_and_threads_compute_at_once() -> None:
    assert sha1_problem() is None
    assert parallel()


def test_a_crypto_policy_that_forbids_sha1_is_seen(tmp_path: Path) -> None:
    (tmp_path / "openssl.cnf").write_text(NO_SHA1)
    program = "from fedmsg_migration_tools.fedmsg.rsa_sha1 import sha1_problem; print(sha1_problem())"
    environment = {**os.environ, "OPENSSL_CONF": str(tmp_path / "openssl.cnf")}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == 1
    assert "forbids SHA-1" in done.stdout
    assert "update-crypto-policies --set DEFAULT:SHA1" in done.stdout
    assert "OPENSSL_CONF" in done.stdout
