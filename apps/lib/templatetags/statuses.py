"""Every status word of the product: its class, its icon, its word. Built CSS has each class (tests/pages)."""

from dataclasses import dataclass

from django import template

register = template.Library()


@dataclass(frozen=True, slots=True)
class Look:
    css: str
    icon: str
    word: str


LOOKS = {
    # alerts
    "received": Look("status status-busy", "inbox", "received"),
    "queued": Look("status status-busy", "clock", "queued"),
    "executing": Look("status status-busy", "send", "sending"),
    "executed": Look("status status-good", "check", "executed"),
    "held": Look("status status-warn", "hand", "held"),
    "split": Look("status status-calm", "split", "split"),
    "ignored": Look("status status-calm", "circle-minus", "ignored"),
    "rejected": Look("status status-bad", "circle-x", "rejected"),
    "duplicate": Look("status status-calm", "copy", "duplicate"),
    "expired": Look("status status-warn", "hourglass", "too old"),
    "tested": Look("status status-good", "flask-conical", "test"),
    "failed": Look("status status-bad", "triangle-alert", "failed"),
    "gap": Look("status status-warn", "unlink", "gap"),
    "late": Look("status status-warn", "timer", "late"),
    # orders
    "planned": Look("status status-busy", "clock", "queued"),
    "submitting": Look("status status-busy", "send", "sending"),
    "unknown": Look("status status-warn", "circle-question-mark", "unknown: checking"),
    "accepted": Look("status status-busy", "send-horizontal", "sent"),
    "partial": Look("status status-busy", "circle-dashed", "partly filled"),
    "cancelling": Look("status status-warn", "loader", "cancelling"),
    "not_placed": Look("status status-calm", "circle-slash", "not placed"),
    "filled": Look("status status-good", "circle-check", "filled"),
    "canceled": Look("status status-calm", "ban", "cancelled"),
    "denied": Look("status status-bad", "shield-x", "denied"),
    # stop losses and take profits
    "guard_waiting": Look("status status-busy", "hourglass", "waiting for the entry"),
    "guard_submitting": Look("status status-busy", "send", "sending"),
    "guard_unknown": Look("status status-warn", "circle-question-mark", "unknown: checking"),
    "guard_live": Look("status status-good", "shield-check", "at the exchange"),
    "guard_cancelling": Look("status status-warn", "loader", "cancelling"),
    "guard_fired": Look("status status-good", "circle-check", "fired"),
    "guard_canceled": Look("status status-calm", "ban", "cancelled"),
    "guard_failed": Look("status status-bad", "shield-x", "not placed"),
    "guard_gone": Look("status status-calm", "circle-minus", "not needed"),
    # connectors, workspaces, subscriptions
    "paused": Look("status status-warn", "pause", "paused"),
    "never": Look("status status-calm", "circle-dashed", "not checked yet"),
    "running": Look("status status-busy", "loader", "checking"),
    "ok": Look("status status-good", "circle-check", "connected"),
    "active": Look("status status-good", "circle-check", "active"),
    "reduce_only": Look("status status-warn", "log-out", "exits only"),
    "halted": Look("status status-bad", "octagon-x", "halted"),
    "trial": Look("status status-busy", "hourglass", "trial"),
    "ended": Look("status status-warn", "hourglass", "ended"),
    "paper": Look("status status-paper", "scroll-text", "Paper"),
    "live": Look("status status-live", "radio", "Live"),
    # closing everything
    "closing": Look("status status-busy", "loader", "closing"),
    "closed": Look("status status-good", "circle-check", "closed"),
    # incidents
    "open": Look("status status-warn", "siren", "open"),
    "resolved": Look("status status-good", "circle-check", "resolved"),
    "long": Look("status status-calm", "trending-up", "long"),
    "short": Look("status status-calm", "trending-down", "short"),
    "flat": Look("status status-calm", "minus", "flat"),
    "buy": Look("status status-calm", "arrow-up-right", "buy"),
    "sell": Look("status status-calm", "arrow-down-right", "sell"),
}

NOTICE_ICONS = {
    "info": "info",
    "success": "circle-check",
    "warning": "triangle-alert",
    "error": "circle-x",
}


@register.simple_tag
def look_of(status: str) -> Look:
    """Return how a status word looks; one that only a later release knows is shown as it is written."""
    word = str(status)
    return LOOKS.get(word) or Look("status status-calm", "circle-dashed", word.replace("_", " "))


@register.filter
def notice_icon(level: str) -> str:
    return NOTICE_ICONS[level]


@register.filter
def notice_level(message_tags: str) -> str:
    """Return the notice level for the tags of a Django message; its "debug" is shown as info."""
    return next((level for level in NOTICE_ICONS if level in message_tags.split()), "info")
