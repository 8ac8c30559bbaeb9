"""Points for the plots. Plots are drawn with floating point numbers; no figure is computed from them."""

from dataclasses import dataclass
from datetime import timedelta

from apps.accounts.models import Workspace
from apps.lib import world
from apps.trading import queries as trading


@dataclass(frozen=True, slots=True)
class Span:
    """A choice of how far back; `bucket` keeps a plot at a few hundred points."""

    key: str
    label: str
    length: timedelta
    bucket: timedelta


SPANS = (
    Span("1d", "24 hours", timedelta(days=1), timedelta(minutes=5)),
    Span("7d", "7 days", timedelta(days=7), timedelta(minutes=30)),
    Span("30d", "30 days", timedelta(days=30), timedelta(hours=2)),
    Span("90d", "90 days", timedelta(days=90), timedelta(hours=6)),
)


def span_of(key: str) -> Span:
    """Return the span of that name; 24 hours for any other."""
    return next((span for span in SPANS if span.key == key), SPANS[0])


def equity(workspace: Workspace, *, span: Span, environment: str) -> list[dict[str, float]]:
    """Return the equity plot's points, oldest first; empty when there are fewer than two."""
    since = world.now() - span.length
    series = trading.equity_series(workspace, since=since, bucket=span.bucket, environment=environment)
    if len(series) < 2:
        return []
    return [{"time": int(at.timestamp()), "value": float(value)} for at, value in series]
