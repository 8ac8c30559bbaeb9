from typing import Any, cast

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef, QuerySet
from django_filters import rest_framework as filters
from rest_framework import serializers

from apps.accounts.api import RowSerializer, WordField, WordsFilter, WorkspaceViewSet
from apps.alerts.models import Alert, AlertStatus
from apps.trading.models import Order


class AlertSerializer(RowSerializer):
    status = WordField(help_text=", ".join(status.name for status in AlertStatus))
    orders = serializers.ListField(child=serializers.UUIDField(), help_text="what it placed or would have placed")

    class Meta:
        model = Alert
        fields = (
            "id", "received_at", "connector", "status", "reason_code", "reason", "facts", "symbol", "is_exit",
            "understood", "notes", "repairs", "external_id", "parent", "part", "duplicate_of", "orders", "finished_at",
        )  # fmt: skip


class AlertFilter(filters.FilterSet):
    connector = filters.UUIDFilter(field_name="connector_id")
    symbol = filters.CharFilter()
    status = WordsFilter(field_name="status", choices=AlertStatus)
    created_after = filters.IsoDateTimeFilter(field_name="received_at", lookup_expr="gte")
    created_before = filters.IsoDateTimeFilter(field_name="received_at", lookup_expr="lt")


class AlertViewSet(WorkspaceViewSet):
    model = Alert
    time_field = "received_at"
    serializer_class = AlertSerializer
    filterset_class = AlertFilter

    def get_queryset(self) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset().defer("body", "fingerprint")
        if getattr(self, "swagger_fake_view", False):
            return rows
        caused = Order.objects.for_workspace(self.workspace).filter(origin_id=OuterRef("pk"))
        order_ids = ArraySubquery(caused.order_by("created_at", "id").values("id"))
        return cast("QuerySet[Any]", rows.annotate(orders=order_ids))
