"""bitmart.md section 8: apply version + 1, drop older, else ask for a snapshot; quantity 0 deletes."""

import asyncio
import json
from decimal import Decimal
from typing import Any

import pytest

from apps.connectors.bitmart import stream_futures, stream_spot
from apps.connectors.bitmart.stream_books import BookChange, Books, GapError
from apps.connectors.bitmart.stream_frames import BooksChanged, Pushed
from apps.connectors.exchange import Market
from apps.connectors.streams import BookPushed
from tests.connectors.bitmart.stream_server import venue
from tests.connectors.bitmart.test_stream import Listening, quick, run

__all__ = ["quick"]

ONE, TWO = Decimal(1), Decimal(2)


def change(version: int, *, snapshot: bool = False, bids: Any = (), asks: Any = ()) -> BookChange:
    return BookChange("BTCUSDT", snapshot, version, tuple(bids), tuple(asks))


def test_updates_change_and_delete_levels_best_first() -> None:
    books = Books()
    first = books.apply(change(7, snapshot=True, bids=[(ONE, ONE), (TWO, ONE)], asks=[(Decimal(4), ONE)]))
    second = books.apply(change(8, bids=[(TWO, Decimal(0))], asks=[(Decimal(3), TWO), (Decimal(4), TWO)]))

    assert first == BookPushed("BTCUSDT", 7, bids=((TWO, ONE), (ONE, ONE)), asks=((Decimal(4), ONE),))
    assert second == BookPushed("BTCUSDT", 8, bids=((ONE, ONE),), asks=((Decimal(3), TWO), (Decimal(4), TWO)))


def test_an_older_or_repeated_version_changes_nothing() -> None:
    books = Books()
    books.apply(change(7, snapshot=True, bids=[(ONE, ONE)]))

    assert books.apply(change(7)) is None
    assert books.apply(change(5, bids=[(TWO, ONE)])) is None
    assert books.apply(change(8)) == BookPushed("BTCUSDT", 8, bids=((ONE, ONE),), asks=())


def test_a_gap_is_told_once_and_the_book_is_silent_until_its_snapshot() -> None:
    books = Books()
    books.apply(change(7, snapshot=True, bids=[(ONE, ONE)]))
    with pytest.raises(GapError):
        books.apply(change(9))

    assert books.apply(change(10)) is None
    assert books.apply(change(12, snapshot=True)) == BookPushed("BTCUSDT", 12, bids=(), asks=())
    with pytest.raises(GapError):
        books.apply(change(14))


def test_an_update_before_any_snapshot_is_a_gap() -> None:
    with pytest.raises(GapError):
        Books().apply(change(1))


def test_both_markets_samples_are_read_exactly() -> None:
    spot = {
        "table": "spot/depth/increase100",
        "data": [{"symbol": "ETH_USDT", "asks": [["161.96", "7.37567"]], "bids": [["161.94", "4.55"]],
                  "ms_t": 1542337219120, "type": "snapshot", "version": 4}],
    }  # fmt: skip
    futures = {
        "group": "futures/depthIncrease50:BTCUSDT@100ms",
        "data": {"symbol": "BTCUSDT", "asks": [{"price": "5", "vol": "97"}], "bids": [], "ms_t": 1542337219120,
                 "version": 980361, "type": "update"},
    }  # fmt: skip

    assert stream_spot.read(json.dumps(spot)) == BooksChanged(
        (
            BookChange(
                "ETH_USDT", True, 4, ((Decimal("161.94"), Decimal("4.55")),), ((Decimal("161.96"), Decimal("7.37567")),)
            ),
        )
    )
    assert stream_futures.read(json.dumps(futures)) == BooksChanged(
        (BookChange("BTCUSDT", False, 980361, (), ((Decimal(5), Decimal(97)),)),)
    )


@pytest.mark.parametrize("row", [{"type": "update"}, {"symbol": "B", "version": 1, "type": "x"}, {"bids": [1]}])
def test_an_unreadable_change_says_nothing(row: Any) -> None:
    full = {"symbol": "B", "version": "v", "type": "update", "bids": [["1"]], "asks": []} | row

    assert stream_spot.read(json.dumps({"table": "spot/depth/increase100", "data": [full]})) == BooksChanged(())
    assert stream_futures.read(json.dumps({"group": "futures/depthIncrease50:B", "data": full})) == Pushed(())


@pytest.mark.parametrize(
    ("market", "topic", "key"),
    [
        (Market.SPOT, "spot/depth/increase100:BTC_USDT", "op"),
        (Market.FUTURES, "futures/depthIncrease50:BTC_USDT@100ms", "action"),
    ],
)
@pytest.mark.usefixtures("quick")
def test_a_gap_is_closed_by_asking_for_a_snapshot(market: Market, topic: str, key: str) -> None:
    def pushed(version: int, kind: str) -> Any:
        row = {"symbol": "BTC_USDT", "bids": [], "asks": [], "ms_t": 1, "version": version, "type": kind}
        if market is Market.SPOT:
            return {"table": "spot/depth/increase100", "data": [row]}
        return {"group": "futures/depthIncrease50:BTC_USDT@100ms", "data": row}

    async def work() -> None:
        async with venue(market) as fake:
            listening = Listening(fake, None)
            listening.stream.want([], books=["BTC_USDT"])
            await asyncio.wait_for(fake.until("BTC_USDT"), 5)
            await fake.push(pushed(1, "snapshot"))
            await fake.push(pushed(3, "update"))
            await asyncio.wait_for(fake.until("request"), 5)
            await fake.push(pushed(4, "snapshot"))
            await fake.push(pushed(5, "update"))
            await listening.until(BookPushed, 3)
            await listening.stop()

            assert [event.version for event in listening.events if isinstance(event, BookPushed)] == [1, 4, 5]
            assert fake.topics() == [[topic]]
            assert [json.loads(frame) for frame in fake.received if "request" in frame] == [
                {key: "request", "args": [topic]}
            ]

    run(work)
