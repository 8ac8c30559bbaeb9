from django.contrib import admin

from apps.accounts.staff import LimitedAdmin, ReadOnlyAdmin
from apps.connectors.models import Connector, Instrument, InstrumentChange, MarketPrice, Pointer, SymbolAlias


@admin.register(Connector)
class ConnectorAdmin(LimitedAdmin):
    editable = ("staff_state", "staff_reason")
    exclude = ("sealed_access_key", "sealed_secret_key", "sealed_memo", "key_fingerprint")
    list_display = (
        "label",
        "workspace",
        "market",
        "environment",
        "trading_state",
        "staff_state",
        "check_status",
        "created_at",
    )
    list_filter = (
        "environment", "market", "staff_state", "trading_state", "check_status",
        ("deleted_at", admin.EmptyFieldListFilter),
    )  # fmt: skip
    list_select_related = ("workspace",)
    search_ids = ("pk", "workspace_id", "pointers__pk")
    search_fields = ("label", "workspace__name", "workspace__memberships__user__email", "pointers__last4__exact")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)


@admin.register(Pointer)
class PointerAdmin(ReadOnlyAdmin):
    exclude = ("sealed_display",)
    list_display = ("__str__", "connector", "workspace", "source", "created_at", "expires_at", "revoked_at")
    list_filter = ("source", ("revoked_at", admin.EmptyFieldListFilter))
    list_select_related = ("connector", "workspace")
    search_ids = ("pk", "connector_id", "workspace_id")
    search_fields = ("last4__exact", "connector__label", "workspace__memberships__user__email")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)


@admin.register(Instrument)
class InstrumentAdmin(ReadOnlyAdmin):
    list_display = ("symbol", "market", "environment", "is_listed", "is_trading", "delist_at", "synced_at")
    list_filter = ("environment", "market", "is_listed", "is_trading")
    search_ids = ()
    search_fields = ("symbol", "base")
    ordering = ("symbol",)


@admin.register(InstrumentChange)
class InstrumentChangeAdmin(ReadOnlyAdmin):
    list_display = ("at", "instrument", "field", "old", "new")
    list_filter = ("field", "instrument__environment", "instrument__market")
    list_select_related = ("instrument",)
    search_ids = ()
    search_fields = ("instrument__symbol",)
    date_hierarchy = "at"
    ordering = ("-at",)


@admin.register(SymbolAlias)
class SymbolAliasAdmin(ReadOnlyAdmin):
    list_display = ("ticker", "symbol", "connector", "workspace", "created_at")
    list_select_related = ("connector", "workspace")
    search_ids = ("pk", "connector_id", "workspace_id")
    search_fields = ("ticker", "symbol", "connector__label")
    ordering = ("-created_at",)


@admin.register(MarketPrice)
class MarketPriceAdmin(ReadOnlyAdmin):
    list_display = ("instrument", "last", "mark", "at")
    list_select_related = ("instrument",)
    search_ids = ()
    search_fields = ("instrument__symbol",)
    ordering = ("-at",)
