"""What a worker writes back of an alert, and what it leaves as it arrived."""

from typing import Any

import pytest
from django.utils import timezone

from apps.alerts.models import Alert
from tests.factories import AlertFactory, OrderFactory

pytestmark = pytest.mark.django_db

ARRIVED = {
    *("id", "workspace_id", "connector_id", "pointer_id", "received_at", "body", "content_type", "source_ip", "sender"),
    *("parent_id", "part"),
}


def test_every_column_is_kept_or_named_as_what_arrived() -> None:
    first = AlertFactory()
    order, other = OrderFactory(connector=first.connector), AlertFactory(pointer=first.pointer)
    at = timezone.now()
    written: dict[str, Any] = {
        "status": "executed", "reason_code": "CODE", "reason": "A sentence", "facts": {"a": "1"},
        "understood": {"b": "2"}, "repairs": ["c"], "notes": [{"code": "D", "facts": {}}], "symbol": "BTCUSDT",
        "is_exit": True, "fingerprint": b"\x00\xff", "external_id": "e", "duplicate_of_id": other.pk,
        "order_id": order.pk, "released_at": at, "attempts": 3, "next_at": at, "read_at": at, "claimed_at": at,
        "planned_at": at, "finished_at": at,
    }  # fmt: skip
    # A new column belongs into one of the two: left out of `keep` it would be lost without a word.
    assert set(written) | ARRIVED == {field.attname for field in Alert._meta.concrete_fields}
    assert not set(written) & ARRIVED
    for name, value in written.items():
        assert getattr(first, name) != value, name
        setattr(first, name, value)
    before = {name: getattr(first, name) for name in ARRIVED}
    first.body, first.sender, first.part = b"another", "another", 7

    first.keep()

    kept = Alert.unscoped.get(pk=first.pk)
    for name, value in (written | before).items():
        found = getattr(kept, name)
        assert (bytes(found) if isinstance(found, memoryview) else found) == value, name
