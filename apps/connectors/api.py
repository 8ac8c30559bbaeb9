from typing import Any

from django.db.models import CharField, OuterRef, QuerySet, Subquery
from django_filters import rest_framework as filters
from rest_framework import serializers

from apps.accounts.api import RowSerializer, WordField, WordsFilter, WorkspaceViewSet
from apps.accounts.trading_state import TradingState
from apps.connectors.models import MARKETS, CheckStatus, Connector, Environment, Pointer


class ConnectorSerializer(RowSerializer):
    state = WordField(source="trading_state", help_text="ACTIVE, REDUCE_ONLY (exits only) or HALTED")
    check_status = WordField(help_text=", ".join(status.name for status in CheckStatus))
    pointer_last4 = serializers.CharField(allow_null=True, help_text="of the current pointer")
    margin_mode = WordField(help_text="ISOLATED or CROSS")
    direction = WordField(help_text="BOTH, LONG or SHORT: what may be opened")
    adds = WordField(help_text="ALLOW, UP_TO or BLOCK: entries on the side that is held")
    low_balance = WordField(help_text="REFUSE or REDUCE an entry that costs more than the balance")
    allowed_symbols = serializers.ListField(child=serializers.CharField(), help_text="empty: all")

    class Meta:
        model = Connector
        fields = (
            "id", "label", "market", "environment", "state", "check_status", "checked_at", "paused_at", "deleted_at",
            "pointer_last4", "max_order_notional", "max_open_notional", "max_orders_per_minute", "max_open_positions",
            "max_daily_loss", "max_price_deviation_pct", "allowed_symbols", "direction", "adds", "max_adds",
            "low_balance", "leverage", "margin_mode", "most_leverage", "created_at",
        )  # fmt: skip


class ConnectorFilter(filters.FilterSet):
    market = filters.ChoiceFilter(choices=MARKETS)
    environment = filters.ChoiceFilter(choices=Environment.choices)
    state = WordsFilter(field_name="trading_state", choices=TradingState)
    created_after = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gte")
    created_before = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="lt")


class ConnectorViewSet(WorkspaceViewSet):
    """Deleted connectors leave the list; their page stays, for the orders that name them."""

    model = Connector
    time_field = "created_at"
    serializer_class = ConnectorSerializer
    filterset_class = ConnectorFilter

    def get_queryset(self) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset()
        if getattr(self, "swagger_fake_view", False):
            return rows
        current = Pointer.objects.for_workspace(self.workspace).filter(revoked_at=None, expires_at=None)
        last4 = current.filter(connector=OuterRef("pk")).order_by("-created_at").values("last4")[:1]
        rows = rows.annotate(pointer_last4=Subquery(last4, output_field=CharField()))
        return rows.filter(deleted_at=None) if self.action == "list" else rows
