"""Orders and money are read here and never written: people change things on the pages, through the executor."""

from datetime import UTC
from typing import cast

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from apps.accounts.audit import record
from apps.accounts.models import User
from apps.accounts.staff import ReadOnlyAdmin, ReadOnlyRows
from apps.trading import doubts, incidents
from apps.trading.models import (
    AccountWatch,
    Adjustment,
    EquityPoint,
    Fill,
    Flatten,
    Incident,
    Lease,
    LedgerEntry,
    Order,
    OrderEvent,
    PlanRecord,
    Position,
    Protection,
    ShadowPosition,
    WorkerHeartbeat,
)
from apps.trading.transitions import StaleOrderError

OWNER = "workspace__memberships__user__email"


class EventRows(ReadOnlyRows):
    model = OrderEvent
    fields = ("moment", "from_state", "to_state", "cause", "evidence", "worker")
    readonly_fields = ("moment",)
    ordering = ("version",)

    @admin.display(description="at")
    def moment(self, event: OrderEvent) -> str:
        """To the millisecond, in UTC: what happened within one second is what is asked about."""
        return event.at.astimezone(UTC).isoformat(" ", "milliseconds")


class FillRows(ReadOnlyRows):
    model = Fill
    fields = ("filled_at", "side", "quantity", "price", "fee", "fee_currency", "realized_pnl", "trade_id")
    ordering = ("filled_at",)


@admin.register(Order)
class OrderAdmin(ReadOnlyAdmin):
    """One order with all that became of it: what a trader who is angry asks about."""

    list_display = (
        "created_at", "state", "reason_code", "side", "symbol", "quantity", "filled_quantity", "connector", "workspace",
        "client_order_id", "exchange_order_id",
    )  # fmt: skip
    list_filter = ("state", "intent", "side", "order_type", "connector__environment", "connector__market")
    list_select_related = ("connector", "workspace")
    search_ids = ("pk", "origin_id", "parent_id", "connector_id", "workspace_id")
    search_fields = ("client_order_id__exact", "exchange_order_id__exact", "symbol__exact", "reason_code__exact", OWNER)
    search_help_text = (
        "Client order id, exchange's order id, symbol, reason code, e-mail address, or the id of an order, alert, "
        "connector or workspace"
    )
    links = (
        ("Its alert", "alerts_alert", "origin_id"),
        ("Orders of the same alert", "trading_order", "origin_id"),
        ("Stops and profits", "trading_protection", "pk"),
        ("Ledger", "trading_ledgerentry", "pk"),
        ("Incidents", "trading_incident", "pk"),
    )
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    inlines = (EventRows, FillRows)


@admin.register(OrderEvent)
class OrderEventAdmin(ReadOnlyAdmin):
    list_display = ("at", "order", "version", "from_state", "to_state", "cause", "worker")
    list_filter = ("to_state",)
    list_select_related = ("order",)
    search_ids = ("pk", "order_id", "order__origin_id", "workspace_id")
    search_fields = ("order__client_order_id__exact", "order__exchange_order_id__exact", "worker")
    date_hierarchy = "at"
    ordering = ("-at",)


@admin.register(Protection)
class ProtectionAdmin(ReadOnlyAdmin):
    list_display = (
        "created_at", "state", "kind", "side", "symbol", "price", "quantity", "reason", "connector", "workspace",
    )  # fmt: skip
    list_filter = ("state", "kind", "connector__environment", "connector__market")
    list_select_related = ("connector", "workspace")
    search_ids = ("pk", "entry_id", "entry__origin_id", "fired_id", "connector_id", "workspace_id")
    search_fields = ("client_order_id__exact", "exchange_order_id__exact", "symbol__exact", OWNER)
    date_hierarchy = "created_at"
    ordering = ("-created_at",)


@admin.register(PlanRecord)
class PlanRecordAdmin(ReadOnlyAdmin):
    list_display = ("at", "origin_id", "version", "connector", "workspace")
    list_select_related = ("connector", "workspace")
    search_ids = ("pk", "origin_id", "connector_id", "workspace_id")
    search_fields = (OWNER,)
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
    search_help_text = (
        "Exchange's id of the fill, id of its order here or there, symbol, e-mail address, or the id of an alert, "
        "connector or workspace"
    )
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


@admin.register(Incident)
class IncidentAdmin(ReadOnlyAdmin):
    """Staff who looked at the exchange with the owner may settle what hangs on it; nothing is sent by that."""

    list_display = ("opened_at", "kind", "severity", "symbol", "connector", "workspace", "resolved_at", "mailed_at")
    list_filter = (("resolved_at", admin.EmptyFieldListFilter), "severity", "kind", "connector__environment")
    list_select_related = ("connector", "workspace")
    search_ids = ("pk", "order_id", "connector_id", "workspace_id")
    search_fields = ("symbol__exact", "connector__label", OWNER)
    search_help_text = "Symbol, name of a connector, e-mail address, or the id of an order, connector or workspace"
    date_hierarchy = "opened_at"
    ordering = ("-opened_at",)
    actions = ("resolve", "settle_as_not_placed")
    # What its page tells the trader comes first.
    readonly_fields = ("what", "did", "todo")
    fields = (
        *readonly_fields, "kind", "severity", "workspace", "connector", "symbol", "order", "opened_at", "seen_at",
        "resolved_at", "resolved_by", "resolution", "mailed_at", "mail_next_at", "facts",
    )  # fmt: skip

    def has_resolve_permission(self, request: HttpRequest) -> bool:
        # Not "change": that would open the rows to editing.
        return request.user.has_perm("trading.change_incident")

    @admin.action(description="Resolve", permissions=["resolve"])
    def resolve(self, request: HttpRequest, queryset: QuerySet[Incident]) -> None:
        person = cast(User, request.user)
        done = [row for row in queryset if incidents.resolve_one(row, by=person, how="Resolved by staff.")]
        for row in done:
            record(row.workspace, "incident.resolved_by_staff", request=request, object_id=row.pk, kind=row.kind)
        self.message_user(request, f"Resolved: {len(done)}.")

    @admin.action(description="The order is not at the exchange: somebody looked", permissions=["resolve"])
    def settle_as_not_placed(self, request: HttpRequest, queryset: QuerySet[Incident]) -> None:
        for row in queryset.select_related("order", "order__connector"):
            if row.order is None or not doubts.asks_for_word(row):
                self.message_user(request, f"{row}: nothing in doubt, nothing was changed.", level=messages.ERROR)
                continue
            try:
                doubts.settle_as_not_placed(row.order, by=cast(User, request.user))
            except StaleOrderError:
                self.message_user(request, f"{row}: news came in this moment, look again.", level=messages.ERROR)
                continue
            except doubts.NotToBeSettledError as error:
                self.message_user(request, f"{row}: {error.code}: {error.sentence}", level=messages.ERROR)
                continue
            record(row.workspace, "order.settled_by_staff", request=request, object_id=row.order_id, found="not_placed")
            self.message_user(request, f"{row}: settled, nothing was sent.")


@admin.register(Adjustment)
class AdjustmentAdmin(ReadOnlyAdmin):
    list_display = ("at", "symbol", "book", "change", "price", "cause", "connector", "workspace")
    list_filter = ("cause", "connector__environment", "connector__market")
    list_select_related = ("connector", "workspace")
    search_ids = ("pk", "connector_id", "workspace_id")
    search_fields = ("symbol__exact", OWNER)
    date_hierarchy = "at"
    ordering = ("-at",)


@admin.register(Flatten)
class FlattenAdmin(ReadOnlyAdmin):
    list_display = ("requested_at", "workspace", "connector", "requested_by", "finished_at")
    list_filter = (("finished_at", admin.EmptyFieldListFilter),)
    list_select_related = ("workspace", "connector", "requested_by")
    search_ids = ("pk", "connector_id", "workspace_id")
    search_fields = ("connector__label", OWNER)
    date_hierarchy = "requested_at"
    ordering = ("-requested_at",)


@admin.register(AccountWatch)
class AccountWatchAdmin(ReadOnlyAdmin):
    list_display = ("connector", "workspace", "next_at", "read_at", "swept_at", "refused_count")
    list_select_related = ("connector", "workspace")
    search_ids = ("pk", "connector_id", "workspace_id")
    search_fields = ("connector__label", OWNER)
    ordering = ("next_at",)


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
