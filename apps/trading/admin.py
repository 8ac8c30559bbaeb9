"""Orders and money are read here and never written: people change things on the pages, through the executor."""

from django.contrib import admin

from apps.accounts.staff import ReadOnlyAdmin
from apps.trading.models import (
    EquityPoint,
    Fill,
    Lease,
    LedgerEntry,
    Order,
    OrderEvent,
    Position,
    ShadowPosition,
    WorkerHeartbeat,
)

OWNER = "workspace__memberships__user__email"


@admin.register(Order)
class OrderAdmin(ReadOnlyAdmin):
    list_display = (
        "created_at", "state", "side", "symbol", "quantity", "filled_quantity", "connector", "workspace",
        "client_order_id", "exchange_order_id",
    )  # fmt: skip
    list_filter = ("state", "intent", "side", "order_type", "connector__environment", "connector__market")
    list_select_related = ("connector", "workspace")
    search_ids = ("pk", "origin_id", "parent_id", "connector_id", "workspace_id")
    search_fields = ("client_order_id__exact", "exchange_order_id__exact", "symbol__exact", "reason_code__exact", OWNER)
    date_hierarchy = "created_at"
    ordering = ("-created_at",)


@admin.register(OrderEvent)
class OrderEventAdmin(ReadOnlyAdmin):
    list_display = ("at", "order", "version", "from_state", "to_state", "cause", "worker")
    list_filter = ("to_state",)
    list_select_related = ("order",)
    search_ids = ("pk", "order_id", "order__origin_id", "workspace_id")
    search_fields = ("order__client_order_id__exact", "order__exchange_order_id__exact", "worker")
    date_hierarchy = "at"
    ordering = ("-at",)


@admin.register(Fill)
class FillAdmin(ReadOnlyAdmin):
    list_display = ("filled_at", "side", "quantity", "symbol", "price", "fee", "fee_currency", "connector", "workspace")
    list_filter = ("side", "connector__environment", "connector__market")
    list_select_related = ("connector", "workspace")
    search_ids = ("pk", "order_id", "order__origin_id", "connector_id", "workspace_id")
    search_fields = (
        "trade_id__exact", "order__client_order_id__exact", "order__exchange_order_id__exact", "symbol__exact", OWNER,
    )  # fmt: skip
    date_hierarchy = "filled_at"
    ordering = ("-filled_at",)


@admin.register(Position)
class PositionAdmin(ReadOnlyAdmin):
    list_display = (
        "symbol", "book", "signed_quantity", "avg_entry_price", "realized_pnl", "exchange_quantity", "connector",
        "workspace", "updated_at",
    )  # fmt: skip
    list_filter = ("book", "connector__environment", "connector__market")
    list_select_related = ("connector", "workspace")
    search_ids = ("pk", "connector_id", "workspace_id")
    search_fields = ("symbol__exact", "last_trade_id__exact", OWNER)
    ordering = ("-updated_at",)


@admin.register(LedgerEntry)
class LedgerEntryAdmin(ReadOnlyAdmin):
    list_display = ("at", "kind", "amount", "currency", "symbol", "connector", "workspace")
    list_filter = ("kind", "connector__environment")
    list_select_related = ("connector", "workspace")
    search_ids = ("pk", "fill_id", "fill__order_id", "connector_id", "workspace_id")
    search_fields = ("symbol__exact", "fill__trade_id__exact", OWNER)
    date_hierarchy = "at"
    ordering = ("-at",)


@admin.register(EquityPoint)
class EquityPointAdmin(ReadOnlyAdmin):
    list_display = ("at", "equity", "available", "currency", "connector", "workspace")
    list_filter = ("connector__environment",)
    list_select_related = ("connector", "workspace")
    search_ids = ("pk", "connector_id", "workspace_id")
    search_fields = ("connector__label", OWNER)
    date_hierarchy = "at"
    ordering = ("-at",)


@admin.register(ShadowPosition)
class ShadowPositionAdmin(ReadOnlyAdmin):
    list_display = ("symbol", "signed_quantity", "connector", "workspace", "updated_at")
    list_select_related = ("connector", "workspace")
    search_ids = ("pk", "connector_id", "workspace_id")
    search_fields = ("symbol__exact", OWNER)
    ordering = ("-updated_at",)


@admin.register(Lease)
class LeaseAdmin(ReadOnlyAdmin):
    list_display = ("connector", "symbol", "owner", "until", "token")
    list_select_related = ("connector",)
    search_ids = ("connector_id",)
    search_fields = ("symbol__exact", "owner")
    ordering = ("-until",)


@admin.register(WorkerHeartbeat)
class WorkerHeartbeatAdmin(ReadOnlyAdmin):
    list_display = ("name", "kind", "at")
    list_filter = ("kind",)
    search_ids = ()
    search_fields = ("name",)
    ordering = ("-at",)
