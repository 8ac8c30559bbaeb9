from decimal import Decimal
from typing import Any

from django.db.models import Q, QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.accounts.api import RowSerializer, WordField, WordsFilter, WorkspaceViewSet
from apps.connectors.models import MarketPrice
from apps.lib.decimals import normalize_text
from apps.trading.accounting import unrealized_pnl
from apps.trading.incident_kinds import IncidentKind
from apps.trading.models import EquityPoint, Fill, Incident, Order, OrderState, Position
from apps.trading.recording import state_of


class OrderSerializer(RowSerializer):
    alert = serializers.UUIDField(source="origin_id", help_text="the alert that caused it")
    state = WordField(help_text=", ".join(state.name for state in OrderState))
    fees = serializers.SerializerMethodField(help_text="by currency")

    @extend_schema_field({"type": "object", "additionalProperties": {"type": "string", "format": "decimal"}})
    def get_fees(self, order: Order) -> dict[str, str]:
        return {currency: normalize_text(Decimal(amount)) for currency, amount in order.fees.items()}

    class Meta:
        model = Order
        fields = (
            "id", "alert", "parent", "connector", "symbol", "leg", "intent", "side", "order_type", "time_in_force",
            "book", "quantity", "notional", "price", "reduce_only", "leverage", "margin_mode", "state", "reason_code",
            "reason", "client_order_id", "exchange_order_id", "filled_quantity", "avg_fill_price", "fees",
            "created_at", "expires_at", "signed_at", "acknowledged_at", "first_fill_at", "last_fill_at", "finished_at",
        )  # fmt: skip


class OrderFilter(filters.FilterSet):
    connector = filters.UUIDFilter(field_name="connector_id")
    alert = filters.UUIDFilter(field_name="origin_id")
    symbol = filters.CharFilter()
    state = WordsFilter(field_name="state", choices=OrderState)
    created_after = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gte")
    created_before = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="lt")


class OrderViewSet(WorkspaceViewSet):
    model = Order
    time_field = "created_at"
    serializer_class = OrderSerializer
    filterset_class = OrderFilter


class FillSerializer(RowSerializer):
    class Meta:
        model = Fill
        fields = (
            "id", "trade_id", "order", "connector", "symbol", "book", "side", "price", "quantity", "fee",
            "fee_currency", "role", "realized_pnl", "filled_at", "recorded_at",
        )  # fmt: skip


class FillFilter(filters.FilterSet):
    connector = filters.UUIDFilter(field_name="connector_id")
    order = filters.UUIDFilter(field_name="order_id")
    alert = filters.UUIDFilter(field_name="order__origin_id")
    symbol = filters.CharFilter()
    created_after = filters.IsoDateTimeFilter(field_name="filled_at", lookup_expr="gte")
    created_before = filters.IsoDateTimeFilter(field_name="filled_at", lookup_expr="lt")


class FillViewSet(WorkspaceViewSet):
    model = Fill
    time_field = "filled_at"
    serializer_class = FillSerializer
    filterset_class = FillFilter


class PositionSerializer(RowSerializer):
    side = serializers.CharField(help_text="long, short or flat")
    mark_price = serializers.SerializerMethodField(
        help_text="null while no price was read, and once the connector is deleted"
    )
    mark_at = serializers.SerializerMethodField()
    unrealized_pnl = serializers.SerializerMethodField(
        help_text="at mark_price, in quote currency, before closing fees"
    )

    class Meta:
        model = Position
        fields = (
            "id", "connector", "symbol", "book", "side", "signed_quantity", "avg_entry_price", "mark_price", "mark_at",
            "unrealized_pnl", "realized_pnl", "fees", "funding", "opened_at", "last_fill_at", "exchange_quantity",
            "reconciled_at", "updated_at",
        )  # fmt: skip

    @extend_schema_field(serializers.DecimalField(max_digits=38, decimal_places=18, allow_null=True))
    def get_mark_price(self, position: Position) -> str | None:
        price = price_of(position)
        return None if price is None else normalize_text(price.mark)

    @extend_schema_field({"type": "string", "format": "date-time", "nullable": True})
    def get_mark_at(self, position: Position) -> str | None:
        price = price_of(position)
        return None if price is None else serializers.DateTimeField().to_representation(price.at)

    @extend_schema_field(serializers.DecimalField(max_digits=38, decimal_places=18, allow_null=True))
    def get_unrealized_pnl(self, position: Position) -> str | None:
        price = price_of(position)
        if price is None:
            return None
        size = position.instrument.contract_size
        return normalize_text(unrealized_pnl(state_of(position), price.mark, contract_size=size))


def price_of(position: Position) -> MarketPrice | None:
    if position.connector.deleted_at is not None:
        return None
    return getattr(position.instrument, "price", None)


class PositionFilter(filters.FilterSet):
    connector = filters.UUIDFilter(field_name="connector_id")
    symbol = filters.CharFilter()
    open = filters.BooleanFilter(method="only_open", help_text="true: not flat; false: flat")
    created_after = filters.IsoDateTimeFilter(field_name="opened_at", lookup_expr="gte")
    created_before = filters.IsoDateTimeFilter(field_name="opened_at", lookup_expr="lt")

    def only_open(self, rows: QuerySet[Any], name: str, value: bool) -> QuerySet[Any]:
        flat = Q(signed_quantity=0)
        return rows.filter(~flat if value else flat)


class PositionViewSet(WorkspaceViewSet):
    model = Position
    time_field = "updated_at"
    serializer_class = PositionSerializer
    filterset_class = PositionFilter

    def get_queryset(self) -> QuerySet[Any]:
        return super().get_queryset().select_related("connector", "instrument__price")


class EquityPointSerializer(RowSerializer):
    class Meta:
        model = EquityPoint
        fields = ("id", "connector", "at", "equity", "available", "currency", "unvalued")


class EquityPointFilter(filters.FilterSet):
    connector = filters.UUIDFilter(field_name="connector_id")
    created_after = filters.IsoDateTimeFilter(field_name="at", lookup_expr="gte")
    created_before = filters.IsoDateTimeFilter(field_name="at", lookup_expr="lt")


class EquityPointViewSet(WorkspaceViewSet):
    model = EquityPoint
    time_field = "at"
    serializer_class = EquityPointSerializer
    filterset_class = EquityPointFilter


class IncidentSerializer(RowSerializer):
    kind = WordField(help_text=", ".join(kind.name for kind in IncidentKind))
    severity = WordField(help_text="INFO, WARNING or ERROR")
    what = serializers.CharField(help_text="what happened")
    did = serializers.CharField(help_text="what was done about it")
    todo = serializers.CharField(help_text="what a person should do")

    class Meta:
        model = Incident
        fields = (
            "id", "connector", "order", "symbol", "kind", "severity", "what", "did", "todo", "facts", "opened_at",
            "seen_at", "resolved_at", "resolution", "mailed_at",
        )  # fmt: skip


class IncidentFilter(filters.FilterSet):
    connector = filters.UUIDFilter(field_name="connector_id")
    order = filters.UUIDFilter(field_name="order_id")
    symbol = filters.CharFilter()
    kind = WordsFilter(field_name="kind", choices=IncidentKind)
    open = filters.BooleanFilter(field_name="resolved_at", lookup_expr="isnull", help_text="true: not resolved")
    created_after = filters.IsoDateTimeFilter(field_name="opened_at", lookup_expr="gte")
    created_before = filters.IsoDateTimeFilter(field_name="opened_at", lookup_expr="lt")


class IncidentViewSet(WorkspaceViewSet):
    model = Incident
    time_field = "opened_at"
    serializer_class = IncidentSerializer
    filterset_class = IncidentFilter
