import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.connectors.exchange import Market
from apps.connectors.symbols import NormalizedTicker, UnknownSymbolError, normalize, resolve

SPOT = ("BTC_USDT", "ETH_USDT", "ETH_BTC", "PERP_USDT", "1INCH_USDT", "SOL_USDC")
FUTURES = ("BTCUSDT", "ETHUSDT", "1000PEPEUSDT", "PERPUSDT")


@pytest.mark.parametrize(
    "ticker",
    [
        "BTCUSDT",
        "BTCUSDT.P",
        "btcusdt.p",
        " BTCUSDT ",
        "BINANCE:BTCUSDT.P",
        "BITMART:BTCUSDT",
        "BTC/USDT",
        "BTC/USDT:USDT",
        "BITMART:BTC/USDT:USDT",
        "BTC-USDT",
        "BTC_USDT",
        "BTC-USDT-SWAP",
        "BTC-USDT-PERP",
        "BTCUSDT.PERP",
        "BTCUSDTPERP",
        "BTCUSDTM",
        "XBTUSDTM",
        "XBTUSDT",
        "^BTCUSDT",
        "BTC USDT",
        "\uff22\uff34\uff23USDT",
        "BTC\u200bUSDT\u00a0",
    ],
)
def test_every_known_spelling_reaches_the_one_symbol_of_the_connectors_market(ticker: str) -> None:
    assert resolve(ticker, market=Market.FUTURES, listing=FUTURES).symbol == "BTCUSDT"
    assert resolve(ticker, market=Market.SPOT, listing=SPOT).symbol == "BTC_USDT"


def test_each_step_is_on_record() -> None:
    assert normalize("^binance:btc-usdt.p") == NormalizedTicker(
        "BTCUSDT",
        (
            "read ^binance:btc-usdt.p as ^BINANCE:BTC-USDT.P",
            "dropped the leading ^",
            "dropped the exchange prefix BINANCE:",
            "dropped the suffix .P",
            "dropped the separators of BTC-USDT",
        ),
        True,
    )


def test_a_ticker_in_the_venues_spelling_takes_no_step() -> None:
    assert resolve("BTCUSDT", market=Market.FUTURES, listing=FUTURES).steps == ()
    assert resolve("BTC_USDT", market=Market.SPOT, listing=SPOT).steps == ()


@pytest.mark.parametrize(
    ("ticker", "symbol"),
    [("PERPUSDT.P", "PERPUSDT"), ("PERPUSDT", "PERPUSDT"), ("1000PEPEUSDT.P", "1000PEPEUSDT")],
)
def test_a_coin_whose_name_looks_like_a_suffix_or_a_number_keeps_it(ticker: str, symbol: str) -> None:
    assert resolve(ticker, market=Market.FUTURES, listing=FUTURES).symbol == symbol


def test_a_listed_name_is_never_stripped() -> None:
    assert resolve("ABUSDTPERP", market=Market.FUTURES, listing=["ABUSDTPERP", "ABUSDT"]).symbol == "ABUSDTPERP"


def test_a_perpetual_ticker_on_a_spot_connector_trades_spot_and_says_so() -> None:
    resolution = resolve("BTCUSDT.P", market=Market.SPOT, listing=SPOT)

    assert resolution.symbol == "BTC_USDT"
    assert resolution.steps[-1] == "the ticker names a perpetual; this connector trades spot, so the spot pair is used"


def test_a_mapping_of_folded_names_is_a_listing_too() -> None:
    assert resolve("ETH/BTC", market=Market.SPOT, listing={"ETHBTC": "ETH_BTC"}).symbol == "ETH_BTC"


def test_usd_is_not_usdt_unless_the_connector_says_so() -> None:
    with pytest.raises(UnknownSymbolError) as raised:
        resolve("BTCUSD", market=Market.FUTURES, listing=FUTURES)

    assert raised.value.nearest[0] == "BTCUSDT"
    resolution = resolve("BTCUSD", market=Market.FUTURES, listing=FUTURES, usd_means_usdt=True)
    assert resolution.symbol == "BTCUSDT"
    assert resolution.steps == ("read USD as USDT, as the connector is set",)


def test_a_listed_usd_pair_wins_over_usdt() -> None:
    resolution = resolve("BTCUSD", market=Market.FUTURES, listing=["BTCUSD", "BTCUSDT"], usd_means_usdt=True)

    assert resolution.symbol == "BTCUSD"


def test_an_unknown_symbol_names_what_it_found_and_the_nearest() -> None:
    with pytest.raises(UnknownSymbolError) as raised:
        resolve("ETHUSDZ", market=Market.SPOT, listing=SPOT)

    assert raised.value.code == "UNKNOWN_SYMBOL"
    assert raised.value.nearest == ("ETH_USDT",)
    assert raised.value.facts == {"field": "ticker", "found": "ETHUSDZ", "market": "spot", "accepted": "ETH_USDT"}
    assert raised.value.sentence == (
        "'ETHUSDZ' is not a symbol of this connector's spot market, so nothing was traded. Nearest: ETH_USDT. "
        "Type the ticker in the alert's message as the exchange spells it."
    )


@pytest.mark.parametrize("ticker", ["", ":", "^", "BINANCE:", "BTC/USDT:USDT-251226", "BTC", "PERP", ".P", "B" * 5000])
def test_what_is_no_listed_pair_is_unknown(ticker: str) -> None:
    with pytest.raises(UnknownSymbolError):
        resolve(ticker, market=Market.FUTURES, listing=FUTURES)


def test_two_symbols_of_one_folded_name_need_the_exact_spelling() -> None:
    listing = ["A_BC", "AB_C"]

    assert resolve("ab_c", market=Market.SPOT, listing=listing).symbol == "AB_C"
    with pytest.raises(UnknownSymbolError) as raised:
        resolve("ABC", market=Market.SPOT, listing=listing)
    assert raised.value.nearest == ("A_BC", "AB_C")


@given(ticker=st.text(max_size=100))
def test_any_text_resolves_or_is_unknown(ticker: str) -> None:
    try:
        answer = resolve(ticker, market=Market.SPOT, listing=SPOT, usd_means_usdt=True).symbol
    except UnknownSymbolError as error:
        answer = error.sentence

    assert answer in SPOT or "is not a symbol of this connector's spot market" in answer.encode().decode()
