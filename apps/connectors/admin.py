from typing import cast

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from apps.accounts.models import User
from apps.accounts.staff import LimitedAdmin, ReadOnlyAdmin
from apps.connectors import outages
from apps.connectors.models import (
    CallCount,
    Connector,
    Instrument,
    InstrumentChange,
    MarketPrice,
    Outage,
    Pointer,
    SymbolAlias,
)


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
    search_help_text = (
        "Name, last four characters of a pointer, workspace, e-mail address of a member, or the id of a connector, "
        "pointer or workspace"
    )
    links = (
        ("Pointers", "connectors_pointer", "pk"),
        ("Alerts", "alerts_alert", "pk"),
        ("Orders", "trading_order", "pk"),
        ("Fills", "trading_fill", "pk"),
        ("Positions", "trading_position", "pk"),
        ("Stops and profits", "trading_protection", "pk"),
        ("Incidents", "trading_incident", "pk"),
        ("Ledger", "trading_ledgerentry", "pk"),
        ("Equity", "trading_equitypoint", "pk"),
        ("Activity", "accounts_auditevent", "pk"),
    )
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
    search_help_text = "Last four characters of a pointer, name of a connector, or e-mail address of a member"
    links = (("Alerts", "alerts_alert", "pk"),)
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


@admin.register(Outage)
class OutageAdmin(ReadOnlyAdmin):
    """Where nobody opens positions, since when and by how many calls. It ends by itself; staff may end it before."""

    list_display = (
        "opened_at", "venue", "ambiguous", "calls", "reopened", "half_open_at", "probed_at", "closed_at", "closed_how",
        "mailed_at",
    )  # fmt: skip
    list_filter = (("closed_at", admin.EmptyFieldListFilter),)
    list_select_related = ("closed_by",)
    search_ids = ()
    search_fields = ("venue",)
    date_hierarchy = "opened_at"
    ordering = ("-opened_at",)
    actions = ("end",)

    def has_end_permission(self, request: HttpRequest) -> bool:
        # Not "change": that would open the rows to editing.
        return request.user.has_perm("connectors.change_outage")

    @admin.action(description="End it: new positions are on again", permissions=["end"])
    def end(self, request: HttpRequest, queryset: QuerySet[Outage]) -> None:
        ended = [row for row in queryset if outages.close_by_hand(row, cast(User, request.user))]
        for row in ended:
            self.log_change(request, row, "Ended by hand.")
        self.message_user(request, f"Ended: {len(ended)}.")


@admin.register(CallCount)
class CallCountAdmin(ReadOnlyAdmin):
    list_display = ("venue", "process", "at")
    list_filter = ("venue",)
    search_ids = ()
    search_fields = ("venue", "process")
    ordering = ("-at",)
