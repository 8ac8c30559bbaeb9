"""Pointers: 160 random bits a sender puts into an alert message. Kept as a keyed digest and a copy for display."""

import base64
import hmac
import os
import secrets
from datetime import timedelta
from functools import lru_cache
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.db import transaction
from django.db.models import Q

from apps.connectors.models import Connector, Pointer
from apps.lib import world

PREFIX = "sf_"
OVERLAPS = {0: timedelta(0), 1: timedelta(hours=1), 24: timedelta(hours=24)}


def issue(connector: Connector, *, source: str) -> Pointer:
    """Create a pointer. Its text is read back with `reveal`."""
    text = PREFIX + base64.b32encode(secrets.token_bytes(20)).decode().lower()
    pointer = Pointer(
        workspace_id=connector.workspace_id, connector=connector, source=source, lookup=lookup_of(text), last4=text[-4:]
    )
    pointer.sealed_display = _seal(text, pointer.pk)
    pointer.save(force_insert=True)
    return pointer


def lookup_of(text: str) -> bytes:
    """Return the 32-byte index key of a pointer; letter case does not matter."""
    return hmac.digest(_bytes_of(settings.POINTER_KEY), text.lower().encode(), "sha256")


def reveal(pointer: Pointer) -> str:
    raw = base64.urlsafe_b64decode(pointer.sealed_display)
    return AESGCM(base64.b64decode(settings.DISPLAY_KEY)).decrypt(raw[:12], raw[12:], pointer.pk.bytes).decode()


def current(connector: Connector) -> Pointer | None:
    """Return the newest pointer that is neither revoked nor on its way out."""
    return connector.pointers.filter(revoked_at=None, expires_at=None).order_by("-created_at").first()


def rotate(connector: Connector, *, overlap_hours: int) -> Pointer:
    """Issue a new pointer; the old ones work for `overlap_hours` (0, 1 or 24) more. KeyError for another number."""
    ends_at = world.now() + OVERLAPS[overlap_hours]
    with transaction.atomic():
        Connector.unscoped.select_for_update().get(pk=connector.pk)
        old = current(connector)
        live = connector.pointers.filter(revoked_at=None).filter(Q(expires_at=None) | Q(expires_at__gt=ends_at))
        live.update(expires_at=ends_at)
        return issue(connector, source=old.source if old else Pointer.Source.TRADINGVIEW)


def revoke_all(connector: Connector) -> None:
    connector.pointers.filter(revoked_at=None).update(revoked_at=world.now())


def _seal(text: str, row_id: UUID) -> str:
    nonce = os.urandom(12)
    ciphertext = AESGCM(base64.b64decode(settings.DISPLAY_KEY)).encrypt(nonce, text.encode(), row_id.bytes)
    return base64.urlsafe_b64encode(nonce + ciphertext).decode()


@lru_cache(maxsize=4)
def _bytes_of(key: str) -> bytes:
    return base64.b64decode(key)
