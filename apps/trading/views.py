import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.views.generic import TemplateView, View

from apps.accounts import audit
from apps.accounts.access import WorkspaceMixin
from apps.accounts.context import zone_of
from apps.lib import wakeups, world
from apps.lib.csv_export import Cell, csv_response
from apps.lib.decimals import normalize_text
from apps.lib.keyset import page_of
from apps.lib.tagged import POLL, PolledPartView
from apps.trading import cancelling, queries
from apps.trading.forms import OrderFilterForm
from apps.trading.models import ZERO, Order

PAGE_SIZE = 50
FLAT_SHOWN = 100
FOLLOW = "apps.trading.tasks.follow_orders"


class OrderList(WorkspaceMixin, PolledPartView):
    template_name = "trading/orders.html"
    part_name = "trading/_list.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        form = OrderFilterForm(self.request.GET, workspace=self.workspace, zone=zone_of(self.membership.user))
        rows = form.apply(queries.orders(self.workspace))
        page = page_of(rows, field="created_at", cursor=self.request.GET.get("before", ""), size=PAGE_SIZE)
        return super().get_context_data(form=form, page=page, may_trade=self.membership.may_trade, **kwargs)


class OrderCsv(WorkspaceMixin, View):
    HEADER = (
        "created_at", "order_id", "client_order_id", "exchange_order_id", "connector", "environment", "market",
        "symbol", "side", "order_type", "intent", "reduce_only", "quantity", "filled_quantity", "avg_fill_price",
        "fees", "state", "reason_code", "reason", "signed_at", "acknowledged_at", "first_fill_at", "finished_at",
    )  # fmt: skip

    def get(self, request: HttpRequest) -> StreamingHttpResponse:
        form = OrderFilterForm(request.GET, workspace=self.workspace, zone=zone_of(self.membership.user))
        rows = form.apply(queries.orders(self.workspace)).order_by("-created_at", "-id")
        return csv_response("orders.csv", self.HEADER, map(self._row, rows.iterator(chunk_size=500)))

    @staticmethod
    def _row(order: Order) -> tuple[Cell, ...]:
        connector = order.connector
        return (
            order.created_at, str(order.pk), order.client_order_id, order.exchange_order_id, connector.label,
            connector.environment, connector.market, order.symbol, order.side, order.order_type, order.intent,
            str(order.reduce_only).lower(), order.quantity, order.filled_quantity, order.avg_fill_price,
            " ".join(f"{normalize_text(Decimal(amount))} {currency}" for currency, amount in order.fees.items()),
            order.get_state_display(), order.reason_code, order.reason, order.signed_at, order.acknowledged_at,
            order.first_fill_at, order.finished_at,
        )  # fmt: skip


class OrderDetail(WorkspaceMixin, TemplateView):
    template_name = "trading/order.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        order: Order = self.own(Order, self.kwargs["pk"])
        fills = list(queries.fills(self.workspace).filter(order=order).order_by("filled_at", "trade_id"))
        notional = sum((fill.quantity * order.instrument.contract_size * fill.price for fill in fills), ZERO)
        together = queries.by_origin(self.workspace, [order.origin_id])
        return super().get_context_data(
            order=order,
            connector=order.connector,
            instrument=order.instrument,
            events=list(order.events.order_by("version")),
            fills=fills,
            notional=notional,
            realized_pnl=sum((fill.realized_pnl for fill in fills), ZERO),
            guard=queries.protections(self.workspace).filter(fired=order).first(),
            is_live=not order.is_final or self.request.headers.get("X-Requested-With") == POLL,
            may_trade=self.membership.may_trade,
            protections=list(queries.protections(self.workspace).filter(entry=order).order_by("number")),
            siblings=[row for row in together[order.origin_id] if row.pk != order.pk],
            **kwargs,
        )


class OrderCancel(WorkspaceMixin, View):
    """Ask for an order to be taken back. A worker does it: this process cannot open exchange keys."""

    def post(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        order: Order = self.own(Order, pk)
        if cancelling.request(order, by=f"user {request.user.pk}"):
            audit.record(self.workspace, "order.cancel", request=request, object_id=order.pk)
            wakeups.publish(FOLLOW)
            messages.success(request, "The order is being cancelled. What was filled before stays filled.")
        else:
            word = order.get_state_display()
            messages.warning(request, f"NOT_OPEN: this order cannot be cancelled (it is: {word}). Nothing was changed.")
        return redirect("trading:order", pk=pk)


class PositionList(WorkspaceMixin, PolledPartView):
    template_name = "trading/positions.html"
    part_name = "trading/_positions.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        open_now = queries.open_positions(self.workspace)
        flat = (
            queries.positions(self.workspace)
            .filter(signed_quantity=ZERO)
            .order_by("-last_fill_at", "-id")[: FLAT_SHOWN + 1]
        )
        closed = queries.at_market(flat, world.now())
        return super().get_context_data(
            open_positions=open_now, closed_positions=closed[:FLAT_SHOWN], has_more=len(closed) > FLAT_SHOWN, **kwargs
        )


class PositionCsv(WorkspaceMixin, View):
    HEADER = (
        "symbol", "connector", "environment", "market", "book", "side", "signed_quantity", "avg_entry_price",
        "mark_price", "mark_price_at", "unrealized_pnl", "realized_pnl", "fees", "funding", "opened_at", "last_fill_at",
    )  # fmt: skip

    def get(self, request: HttpRequest) -> StreamingHttpResponse:
        return csv_response("positions.csv", self.HEADER, self._rows())

    def _rows(self) -> Iterator[tuple[Cell, ...]]:
        flat = queries.positions(self.workspace).filter(signed_quantity=Decimal(0)).order_by("-last_fill_at", "-id")
        now = world.now()
        for row in queries.open_positions(self.workspace) + queries.at_market(flat.iterator(chunk_size=500), now):
            position, connector = row.position, row.position.connector
            yield (
                position.symbol, connector.label, connector.environment, connector.market, position.book, position.side,
                position.signed_quantity, position.avg_entry_price, row.mark_price, row.mark_at, row.unrealized_pnl,
                position.realized_pnl, position.fees, position.funding, position.opened_at, position.last_fill_at,
            )  # fmt: skip
