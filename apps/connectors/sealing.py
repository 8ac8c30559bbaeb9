"""Seal exchange credentials to a public key: who seals cannot open.

A sealed value is `1.<key id>.<base64url of ephemeral public key (32) | nonce (12) | AES-256-GCM ciphertext>`. The AES
key is HKDF-SHA256 over the X25519 secret, salted with both public keys. The additional data binds the value to its row
and field, so that a value moved to another row does not open.
"""

import base64
import hashlib
import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NoReturn
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

FORMAT = "1"
_EPHEMERAL, _NONCE = 32, 12


class SealError(Exception):
    """A value that does not open: unknown key id, another row's value, or damage. Carries no part of the value."""


class Secret:
    """A string that shows itself only on `reveal()`: not in repr, str, format, JSON or pickle."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret does not leave its process")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sealed value belongs."""

    workspace_id: UUID
    row_id: UUID
    field: str

    def additional_data(self, key_id: str) -> bytes:
        return "|".join((FORMAT, str(self.workspace_id), str(self.row_id), self.field, key_id)).encode()


def seal(value: str, place: Place) -> str:
    key_id, encoded = settings.CREDENTIALS_PUBLIC_KEY.split(":", 1)
    public = X25519PublicKey.from_public_bytes(base64.b64decode(encoded))
    ephemeral = X25519PrivateKey.generate()
    ephemeral_public = ephemeral.public_key().public_bytes_raw()
    key = _derive(ephemeral.exchange(public), ephemeral_public + public.public_bytes_raw())
    nonce = os.urandom(_NONCE)
    ciphertext = AESGCM(key).encrypt(nonce, value.encode(), place.additional_data(key_id))
    packed = base64.urlsafe_b64encode(ephemeral_public + nonce + ciphertext).decode()
    return f"{FORMAT}.{key_id}.{packed}"


def unseal(sealed: str, place: Place) -> Secret:
    """Open a sealed value. SealError when this process holds no fitting key or the value is not this place's."""
    try:
        version, key_id, packed = sealed.split(".", 2)
        raw = base64.urlsafe_b64decode(packed)
    except ValueError:
        raise SealError("not a sealed value") from None
    private = _private_keys(tuple(settings.CREDENTIALS_PRIVATE_KEYS)).get(key_id)
    if version != FORMAT or private is None:
        raise SealError(f"no private key {key_id!r} in this process")
    ephemeral_public, rest = raw[:_EPHEMERAL], raw[_EPHEMERAL:]
    try:
        shared = private.exchange(X25519PublicKey.from_public_bytes(ephemeral_public))
        key = _derive(shared, ephemeral_public + private.public_key().public_bytes_raw())
        opened = AESGCM(key).decrypt(rest[:_NONCE], rest[_NONCE:], place.additional_data(key_id))
    except (InvalidTag, ValueError):
        raise SealError("the value does not belong to this row, or is damaged") from None
    return Secret(opened.decode())


def key_id_of(sealed: str) -> str:
    return sealed.split(".", 2)[1]


def fingerprint(access_key: str) -> str:
    """Return a keyed digest that tells two connectors of one key without telling the key."""
    return hmac.new(
        base64.b64decode(settings.DISPLAY_KEY), b"access-key|" + access_key.encode(), hashlib.sha256
    ).hexdigest()


def _derive(shared: bytes, salt: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=b"sferica credentials").derive(shared)


@lru_cache(maxsize=4)
def _private_keys(entries: tuple[str, ...]) -> Mapping[str, X25519PrivateKey]:
    pairs = (entry.split(":", 1) for entry in entries)
    return {key_id: X25519PrivateKey.from_private_bytes(base64.b64decode(encoded)) for key_id, encoded in pairs}
