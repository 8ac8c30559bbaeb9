from django.contrib import admin

from apps.accounts.staff import ReadOnlyAdmin
from apps.alerts.models import Alert, Preview


@admin.register(Alert)
class AlertAdmin(ReadOnlyAdmin):
    readonly_fields = ("body_text",)
    list_display = ("received_at", "status", "symbol", "reason_code", "connector", "workspace", "pointer")
    list_filter = ("status", "is_exit", "connector__environment", "connector__market")
    list_select_related = ("connector", "workspace", "pointer")
    search_ids = ("pk", "order_id", "parent_id", "duplicate_of_id", "connector_id", "workspace_id", "pointer_id")
    search_fields = (
        "symbol__exact", "external_id__exact", "reason_code__exact", "pointer__last4__exact",
        "order__client_order_id__exact", "order__exchange_order_id__exact", "workspace__memberships__user__email",
    )  # fmt: skip
    search_help_text = (
        "Last four characters of a pointer, symbol, reason code, id in the message, e-mail address, id of an order "
        "here or at the exchange, or the id of an alert, connector or workspace"
    )
    links = (
        ("Orders", "trading_order", "pk"),
        ("Fills", "trading_fill", "pk"),
        ("What it was decided from", "trading_planrecord", "pk"),
        ("Previews", "alerts_preview", "pk"),
        ("Parts and repetitions", "alerts_alert", "pk"),
    )
    date_hierarchy = "received_at"
    ordering = ("-received_at",)

    @admin.display(description="body, pointers cut")
    def body_text(self, alert: Alert) -> str:
        return bytes(alert.body).decode(errors="replace")


@admin.register(Preview)
class PreviewAdmin(ReadOnlyAdmin):
    list_display = ("requested_at", "answered_at", "reason_code", "connector", "workspace")
    list_select_related = ("connector", "workspace")
    search_ids = ("pk", "alert_id", "connector_id", "workspace_id")
    search_fields = ("reason_code__exact", "workspace__memberships__user__email")
    date_hierarchy = "requested_at"
    ordering = ("-requested_at",)
