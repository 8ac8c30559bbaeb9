"""What moves money on a futures account without an order: transfers, and the account's bookings."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from apps.connectors.bitmart.client import Client
from apps.connectors.bitmart.windows import LARGEST_CALLS, read_whole
from apps.connectors.bitmart.wire import (
    EPOCH,
    Row,
    amount,
    identifier,
    instant,
    number,
    plain,
    rows,
    table,
    text,
    to_decimal,
    unix_ms,
    unreadable,
    word,
)
from apps.connectors.exchange import (
    TransactionKind,
    TransactionReport,
    TransferDirection,
    TransferReport,
    TransferState,
    UnreachableError,
)

RECV_WINDOW_MS = 5000
# A transfer is signed with the time its caller wrote down, which may be some seconds ago.
TRANSFER_WINDOW_MS = 30_000
LONGEST_TRANSFERS = 100
LONGEST_TRANSACTIONS = 1000
DEFAULT_HISTORY = timedelta(days=7)
CLOCK_SLACK = timedelta(seconds=60)
_DIRECTIONS = {
    TransferDirection.TO_FUTURES: "spot_to_contract",
    TransferDirection.TO_SPOT: "contract_to_spot",
}
_DIRECTIONS_BACK = {word: direction for direction, word in _DIRECTIONS.items()}
_STATES = {state.value.upper(): state for state in TransferState if state is not TransferState.UNRECOGNIZED}
_FLOWS = {
    TransactionKind.TRANSFER: 1,
    TransactionKind.REALIZED_PNL: 2,
    TransactionKind.FUNDING_FEE: 3,
    TransactionKind.COMMISSION: 4,
    TransactionKind.LIQUIDATION: 5,
}
# Older rows carry no flow_type; the words are always there.
_KINDS = {
    "transfer": TransactionKind.TRANSFER,
    "realized pnl": TransactionKind.REALIZED_PNL,
    "funding fee": TransactionKind.FUNDING_FEE,
    "commission fee": TransactionKind.COMMISSION,
    "liquidation clearance": TransactionKind.LIQUIDATION,
}


class MoneyCalls:
    _client: Client

    def transfer(self, direction: TransferDirection, *, currency: str, amount: Decimal, signed_at_ms: int) -> None:
        """Raises UnreachableError when the answer names another amount or currency than was asked for."""
        if not currency.strip():
            raise ValueError("a transfer needs a currency")
        body = {
            "currency": currency,
            "amount": plain(amount, "amount"),
            "type": _DIRECTIONS[direction],
            "recvWindow": TRANSFER_WINDOW_MS,
        }
        answer = self._client.signed_once("/account/v1/transfer-contract", body, signed_at_ms=signed_at_ms)
        told = answer.data if isinstance(answer.data, dict) else {}
        if told.get("currency") != currency or to_decimal(told.get("amount")) != amount:
            raise UnreachableError(
                "BitMart's answer does not say that this transfer was made. Look at the transfer list before repeating "
                "it.",
                code=str(answer.code),
                http_status=answer.http_status,
            )

    def transfers(
        self, *, currency: str = "", since: datetime | None = None, until: datetime | None = None
    ) -> Sequence[TransferReport]:
        question: dict[str, Any] = {"currency": currency} if currency else {}
        if since is not None:
            question["time_start"] = unix_ms(since)
        if until is not None:
            question["time_end"] = unix_ms(until)
        found: dict[str, TransferReport] = {}
        for page in range(1, LARGEST_CALLS + 1):
            listed = self._transfer_page(page, question)
            for transfer in map(to_transfer, listed):
                found[transfer.transfer_id] = transfer
            if len(listed) < LONGEST_TRANSFERS:
                wanted = [t for t in found.values() if _is_within(t.at, since, until) and currency in ("", t.currency)]
                return sorted(wanted, key=lambda transfer: (transfer.at, transfer.transfer_id))
        raise UnreachableError("BitMart's list of transfers could not be read whole.")

    def _transfer_page(self, page: int, question: dict[str, Any]) -> list[Row]:
        body = {"page": page, "limit": LONGEST_TRANSFERS, **question, "recvWindow": RECV_WINDOW_MS}
        data = self._client.signed_query("/account/v1/transfer-contract-list", body).data
        return rows(table(data, "transfers").get("records"), "transfers")

    def transactions(
        self,
        *,
        symbol: str = "",
        kind: TransactionKind | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Sequence[TransactionReport]:
        question: dict[str, str | int] = {"symbol": symbol} if symbol else {}
        if kind in _FLOWS:
            question["flow_type"] = _FLOWS[kind]

        def fetch(start_ms: int, end_ms: int) -> list[Row]:
            span = {"start_time": start_ms, "end_time": end_ms, "page_size": LONGEST_TRANSACTIONS}
            answer = self._client.keyed("/contract/private/transaction-history", question | span)
            return rows(answer.data, "transactions")

        end = until or EPOCH + timedelta(milliseconds=self._client.now_ms()) + CLOCK_SLACK
        start = min(since or end - DEFAULT_HISTORY, end)
        listed = read_whole(fetch, start=unix_ms(start), end=unix_ms(end), longest=LONGEST_TRANSACTIONS)
        booked = {report.key: report for report in map(to_transaction, listed)}
        wanted = [
            report
            for report in booked.values()
            if kind in (None, report.kind) and symbol in ("", report.symbol) and _is_within(report.at, since, until)
        ]
        return sorted(wanted, key=lambda report: (report.at, report.key))


def to_transfer(row: Row) -> TransferReport:
    direction = _DIRECTIONS_BACK.get(text(row, "type"))
    if direction is None:
        raise unreadable("type of a transfer")
    return TransferReport(
        transfer_id=identifier(row, "transfer_id"),
        direction=direction,
        currency=word(row, "currency"),
        amount=amount(row, "amount"),
        state=_STATES.get(text(row, "state").upper(), TransferState.UNRECOGNIZED),
        at=instant(row, "timestamp"),
    )


def to_transaction(row: Row) -> TransactionReport:
    return TransactionReport(
        transaction_id=identifier(row, "tran_id"),
        kind=_KINDS.get(text(row, "type").lower(), TransactionKind.UNRECOGNIZED),
        symbol=text(row, "symbol"),
        amount=number(row, "amount"),
        currency=word(row, "asset"),
        at=instant(row, "time"),
    )


def _is_within(at: datetime, since: datetime | None, until: datetime | None) -> bool:
    return (since is None or at >= since) and (until is None or at <= until)
