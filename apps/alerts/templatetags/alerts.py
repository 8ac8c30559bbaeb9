"""What pages of the rooms to the right show of alerts, without importing this one."""

from typing import Any

from django import template

from apps.alerts import queries
from apps.alerts.models import Alert
from apps.alerts.notes import sentence_of
from apps.connectors.models import Connector
from apps.trading.models import Order

register = template.Library()


@register.simple_tag
def last_alerts(connector: Connector, count: int) -> list[queries.AlertRow]:
    alerts = queries.listing(connector.workspace).filter(connector=connector).order_by("-received_at", "-id")[:count]
    return queries.rows_of(connector.workspace, alerts)


@register.simple_tag
def cause_of(order: Order) -> Alert | None:
    return queries.cause_of(order)


@register.filter
def note_sentence(note: dict[str, Any]) -> str:
    return sentence_of(note)
