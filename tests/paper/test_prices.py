"""The moving price and what is derived from it."""

import itertools
from decimal import Decimal
from pathlib import Path

import pytest

from apps.paper.instruments import FuturesInstrument, SpotInstrument
from tests.paper.desk import START_MS, Clock, Desk


def path_of(desk: Desk, symbol: str = "ETH_USDT") -> list[Decimal]:
    return [desk.exchange.prices.path(symbol, START_MS + second * 1_000) for second in range(120)]


def test_the_path_is_the_seed_s_and_another_seed_has_another(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).mkdir()
    first, again, other = Desk(tmp_path / "a", seed=7), Desk(tmp_path / "b", seed=7), Desk(tmp_path / "c", seed=8)

    assert path_of(first) == path_of(again)
    assert path_of(first) != path_of(other)


def test_a_restart_continues_the_path_whatever_seed_it_is_given(tmp_path: Path) -> None:
    before = Desk(tmp_path, seed=7)
    path = path_of(before)
    before.close()

    after = Desk(tmp_path, seed=99, clock=Clock(START_MS + 60_000))

    assert path_of(after) == path


def test_the_price_moves_by_a_few_basis_points_a_second(desk: Desk) -> None:
    path = path_of(desk)

    moves = [abs(after - before) / before * 10_000 for before, after in itertools.pairwise(path)]
    assert path[:4] == [Decimal(price) for price in ("3445.95", "3445.07", "3445.06", "3444.58")]
    assert min(moves) < Decimal("0.5") < 1 < max(moves) < 12
    assert abs(path[0] / 3400 - 1) < Decimal("0.1")


def test_every_instrument_has_a_spread_on_its_tick(desk: Desk) -> None:
    desk.price("BTC_USDT", None)
    desk.price("BTCUSDT", None)
    catalogue = desk.exchange.catalogue
    instruments: list[SpotInstrument | FuturesInstrument] = [*catalogue.spot.values(), *catalogue.futures.values()]

    assert len(instruments) == 65
    for instrument in instruments:
        quote = desk.exchange.prices.quote(instrument.symbol, START_MS + 77_000)
        assert quote.bid < quote.ask, instrument.symbol
        assert quote.bid <= quote.last <= quote.ask, instrument.symbol
        assert {price % instrument.tick for price in (quote.bid, quote.ask, quote.last, quote.mark)} == {Decimal(0)}


def test_a_held_price_is_exact_on_every_route(desk: Desk) -> None:
    desk.price("BTC_USDT", "60000", bid="59999.5", ask="60000.5")

    ticker = desk.send("GET", "/spot/quotation/v3/ticker", query="symbol=BTC_USDT").data
    book = desk.send("GET", "/spot/quotation/v3/books", query="symbol=BTC_USDT&limit=3").data
    detail = desk.send("GET", "/contract/public/details", query="symbol=BTCUSDT").data["symbols"][0]
    depth = desk.send("GET", "/contract/public/depth", query="symbol=BTCUSDT").data

    assert (ticker["last"], ticker["bid_px"], ticker["ask_px"]) == ("60000.00", "59999.50", "60000.50")
    assert [row[0] for row in book["asks"]] == ["60000.50", "60003.50", "60006.50"]
    assert [row[0] for row in book["bids"]] == ["59999.50", "59996.50", "59993.50"]
    assert (detail["last_price"], detail["contract_size"], detail["price_precision"]) == ("60000", "0.001", "0.1")
    assert (depth["asks"][0][0], len(depth["asks"]), len(depth["bids"])) == ("60000", 50, 50)


def test_a_released_price_moves_again_from_where_the_path_is(desk: Desk) -> None:
    desk.price("BTC_USDT", None)

    assert desk.exchange.prices.quote("BTC_USDT", START_MS).last == desk.exchange.prices.path("BTC_USDT", START_MS)


def test_a_held_price_survives_a_restart(desk: Desk) -> None:
    desk.close()

    desk.open()

    assert desk.exchange.prices.quote("BTC_USDT", START_MS).ask == 60000


def test_a_moving_price_fills_a_resting_order_without_anyone_asking(desk: Desk) -> None:
    trader = desk.trader(spot={"USDT": "100000"})
    start = desk.exchange.prices.path("ETH_USDT", desk.clock.ms)
    target = f"{start * Decimal('0.9995'):.2f}"
    trader.spot_order(symbol="ETH_USDT", side="buy", type="limit", size="1", price=target)

    for _ in range(4 * 3600):
        desk.clock.ms += 1_000
        desk.exchange.advance(desk.clock.ms)
        if not desk.exchange.store.live_symbols():
            break

    fills = desk.control("GET", f"accounts/{trader.access_key}/fills").content["fills"]
    assert [(fill["price"], fill["role"]) for fill in fills] == [(target.rstrip("0").rstrip("."), "maker")]


def test_candles_are_whole_ordered_and_inside_their_range(desk: Desk) -> None:
    rows = desk.send("GET", "/spot/quotation/v3/klines", query="symbol=ETH_USDT&step=5&limit=20").data
    now_s = START_MS // 1000

    starts = [int(row[0]) for row in rows]
    assert starts == [now_s // 300 * 300 - 300 * back for back in range(19, -1, -1)]
    for _, opened, high, low, closed, *_ in rows:
        assert Decimal(low) <= min(Decimal(opened), Decimal(closed))
        assert Decimal(high) >= max(Decimal(opened), Decimal(closed))


def test_futures_candles_take_seconds(desk: Desk) -> None:
    now_s = START_MS // 1000
    query = f"symbol=BTCUSDT&step=1&start_time={now_s - 600}&end_time={now_s}"

    rows = desk.send("GET", "/contract/public/kline", query=query).data

    assert len(rows) == 11
    assert rows[-1]["timestamp"] == now_s // 60 * 60


@pytest.mark.parametrize(("route", "closed"), [("kline", "60000"), ("markprice-kline", "60010")])
def test_the_running_candle_closes_at_the_price_now(desk: Desk, route: str, closed: str) -> None:
    desk.price("BTCUSDT", "60000", mark="60010")
    now_s = START_MS // 1000

    rows = desk.send("GET", f"/contract/public/{route}", query=f"symbol=BTCUSDT&step=1&start_time={now_s - 120}").data

    assert rows[-1]["close_price"] == closed


def test_a_candle_does_not_know_the_future(desk: Desk) -> None:
    now_s = START_MS // 1000
    query = f"symbol=BTCUSDT&step=60&start_time={now_s - 60}"

    rows = desk.send("GET", "/contract/public/kline", query=query).data
    last = desk.send("GET", "/contract/public/details", query="symbol=BTCUSDT").data["symbols"][0]["last_price"]

    assert Decimal(rows[-1]["close_price"]) == Decimal(last)
