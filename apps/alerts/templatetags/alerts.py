"""What pages of the rooms to the right show of alerts, without importing this one."""

from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.alerts import building, previewing, queries
from apps.alerts.evidence import facts_of
from apps.alerts.models import Alert, Preview
from apps.alerts.notes import sentence_of
from apps.connectors.models import Connector, Pointer
from apps.lib.decimals import normalize_text
from apps.lib.templatetags.figures import iso, utc
from apps.trading.legs import Note
from apps.trading.models import Order, OrderEvent
from apps.trading.protecting import Guard, ProtectionKind

register = template.Library()


@register.simple_tag
def last_alerts(connector: Connector, count: int) -> list[queries.AlertRow]:
    alerts = queries.listing(connector.workspace).filter(connector=connector).order_by("-received_at", "-id")[:count]
    return queries.rows_of(connector.workspace, alerts)


@register.simple_tag
def cause_of(order: Order) -> Alert | None:
    return queries.cause_of(order)


@register.simple_tag(takes_context=True)
def clock(context: dict[str, Any], at: datetime) -> SafeString:
    """Write the time of day to the millisecond, in the reader's zone (`zone` of the context)."""
    shown = at.astimezone(ZoneInfo(str(context.get("zone") or "UTC")))
    text = f"{shown:%H:%M:%S}.{shown.microsecond // 1000:03d}"
    return format_html('<time class="figure" datetime="{}" title="{}">{}</time>', iso(at), utc(at), text)


@register.filter
def answer_of(preview: Preview) -> previewing.Answer | None:
    return previewing.answer_in(preview)


@register.simple_tag
def preview_named(connector: Connector, name: str) -> Preview | None:
    """Return the connector's preview with that id; None for anything else."""
    try:
        wanted = UUID(name)
    except ValueError:
        return None
    rows = Preview.objects.for_workspace(connector.workspace_id)
    return rows.filter(connector=connector, pk=wanted).first()


@register.simple_tag
def message_to_try(connector: Connector, last4: str, preview: Preview | None) -> str:
    return preview.text if preview is not None else previewing.example_message(connector, last4)


@register.inclusion_tag("alerts/_builder.html", takes_context=True)
def message_builder(
    context: dict[str, Any], connector: Connector, pointer: Pointer, pointer_text: str
) -> dict[str, Any]:
    """The builder and, once something was chosen, its message. A GET form: nothing is stored, no script is needed."""
    asked = context["request"].GET
    if "m-kind" not in asked:
        return {"form": building.BuilderForm(connector=connector, initial=building.first_choice(pointer))}
    form = building.BuilderForm(asked, connector=connector)
    built = building.build(form.cleaned_data, pointer_text) if form.is_valid() else None
    return {"form": form, "built": built, "fields": queries.fields_of(built.read.fields) if built else []}


@register.filter
def guard_words(guard: Guard) -> str:
    """Return "stop loss at", "take profit, 50 % of it, at" and so on; the price follows."""
    kind = guard.kind.words
    if guard.kind is ProtectionKind.TRAILING_STOP and guard.rate is not None:
        return f"{kind}, {normalize_text(guard.rate * 100)} % behind, from"
    return f"{kind} at" if guard.weight == 1 else f"{kind}, {normalize_text(guard.weight * 100)} % of it, at"


@register.filter
def note_sentence(note: dict[str, Any] | Note) -> str:
    """Return the sentence of a stored note or of one that was just made."""
    return sentence_of({"code": note.code.value, "facts": dict(note.facts)} if isinstance(note, Note) else note)


@register.filter
def event_facts(event: OrderEvent) -> tuple[tuple[str, str], ...]:
    return facts_of(event)
