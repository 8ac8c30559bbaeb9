"""Trigger, take-profit, stop-loss and trailing orders of BitMart's perpetuals."""

from collections.abc import Sequence
from typing import Any

from apps.connectors.bitmart.client import Client
from apps.connectors.bitmart.futures_requests import presets
from apps.connectors.bitmart.futures_rows import to_trigger
from apps.connectors.bitmart.futures_trigger_requests import (
    one_id,
    protection_body,
    protection_change_body,
    trailing_body,
    trigger_body,
    trigger_change_body,
)
from apps.connectors.bitmart.submission import about_this_order, order_id_of
from apps.connectors.bitmart.wire import rows, text
from apps.connectors.budget import Priority, at_least
from apps.connectors.exchange import (
    PresetPrice,
    ProtectionChange,
    ProtectionRequest,
    TrailingRequest,
    TriggerChange,
    TriggerReport,
    TriggerRequest,
    UnreachableError,
)

LONGEST_TRIGGERS = 100
_AN_ENTRY = 1


class TriggerCalls:
    _client: Client

    def submit_trigger(self, request: TriggerRequest, *, signed_at_ms: int) -> str:
        return self._place("submit-plan-order", trigger_body(request), signed_at_ms)

    def modify_trigger(self, change: TriggerChange, *, signed_at_ms: int) -> str:
        return self._change("modify-plan-order", trigger_change_body(change), signed_at_ms)

    def cancel_trigger(
        self, symbol: str, *, exchange_order_id: str = "", client_order_id: str = "", signed_at_ms: int
    ) -> None:
        body = {"symbol": symbol} | one_id(exchange_order_id=exchange_order_id, client_order_id=client_order_id)
        self._post("cancel-plan-order", body, signed_at_ms)

    def trigger_orders(self, symbol: str | None = None) -> Sequence[TriggerReport]:
        question: dict[str, str | int] = {"symbol": symbol} if symbol else {}
        question["limit"] = LONGEST_TRIGGERS
        answer = self._client.keyed("/contract/private/current-plan-order", question)
        listed = rows(answer.data, "trigger orders")
        if len(listed) >= LONGEST_TRIGGERS:
            raise UnreachableError(
                f"There are {LONGEST_TRIGGERS} or more trigger orders; BitMart does not list them all."
            )
        return [to_trigger(row) for row in listed if symbol is None or text(row, "symbol") == symbol]

    def submit_protection(self, request: ProtectionRequest, *, signed_at_ms: int) -> str:
        with at_least(Priority.EXIT):
            return self._place("submit-tp-sl-order", protection_body(request), signed_at_ms)

    def modify_protection(self, change: ProtectionChange, *, signed_at_ms: int) -> str:
        with at_least(Priority.EXIT):
            return self._change("modify-tp-sl-order", protection_change_body(change), signed_at_ms)

    def modify_presets(
        self,
        symbol: str,
        *,
        exchange_order_id: str,
        take_profit: PresetPrice | None = None,
        stop_loss: PresetPrice | None = None,
        signed_at_ms: int,
    ) -> str:
        if take_profit is None and stop_loss is None:
            raise ValueError("there is nothing to change")
        body: dict[str, Any] = {"symbol": symbol} | one_id(exchange_order_id=exchange_order_id, client_order_id="")
        body |= presets(take_profit, stop_loss, side=_AN_ENTRY)
        with at_least(Priority.EXIT):
            return self._change("modify-preset-plan-order", body, signed_at_ms)

    def submit_trailing(self, request: TrailingRequest, *, signed_at_ms: int) -> str:
        # It only ever closes.
        with at_least(Priority.EXIT):
            return self._place("submit-trail-order", trailing_body(request), signed_at_ms)

    def cancel_trailing(self, symbol: str, *, exchange_order_id: str, signed_at_ms: int) -> None:
        body = {"symbol": symbol} | one_id(exchange_order_id=exchange_order_id, client_order_id="")
        self._post("cancel-trail-order", body, signed_at_ms)

    def _place(self, route: str, body: dict[str, Any], signed_at_ms: int) -> str:
        with at_least(Priority.ENTRY), about_this_order():
            envelope = self._client.signed_once(f"/contract/private/{route}", body, signed_at_ms=signed_at_ms)
        return order_id_of(envelope)

    def _change(self, route: str, body: dict[str, Any], signed_at_ms: int) -> str:
        with at_least(Priority.ENTRY):
            envelope = self._client.signed_once(f"/contract/private/{route}", body, signed_at_ms=signed_at_ms)
        return order_id_of(envelope)

    def _post(self, route: str, body: dict[str, Any], signed_at_ms: int) -> None:
        with at_least(Priority.EXIT):
            self._client.signed_once(f"/contract/private/{route}", body, signed_at_ms=signed_at_ms)
