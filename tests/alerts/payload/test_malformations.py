"""Every row of the malformations seen in the wild, one file each: what is read, what is repaired, what is refused."""

from dataclasses import replace
from decimal import Decimal

import pytest

from apps.alerts.payload import parse
from apps.connectors.exchange import Side
from apps.trading.signal import PrevPosition
from tests.alerts.payload.bodies import ENTER_LONG, FIXTURES, MARK, only

TRADINGVIEW = FIXTURES / "tradingview"
EXIT_LONG = replace(ENTER_LONG, action=Side.SELL, prev_position=PrevPosition.LONG)


def sized(quantity: str) -> object:
    return replace(ENTER_LONG, quantity=Decimal(quantity))


# file -> (signal, codes of the repairs)
RUNS = {
    "standard": (ENTER_LONG, []),
    "standard-other-order": (ENTER_LONG, []),
    "01-curly-quotes": (ENTER_LONG, ["quotes"]),
    "01-curly-single-quotes": (ENTER_LONG, ["quotes", "single_quotes"]),
    "02-trailing-comma": (ENTER_LONG, ["trailing_comma"]),
    "02-missing-comma": (ENTER_LONG, ["missing_comma"]),
    "05-crlf": (ENTER_LONG, []),
    "05-literal-newlines": (ENTER_LONG, ["escaped"]),
    "05-doubled-quotes": (ENTER_LONG, ["doubled_quotes"]),
    "05-wrapped": (ENTER_LONG, ["wrapped"]),
    "05-wrapped-bare": (ENTER_LONG, ["wrapped"]),
    "05-wrapped-doubled": (ENTER_LONG, ["wrapped", "doubled_quotes"]),
    "05-escaped": (ENTER_LONG, ["escaped"]),
    "06-form": (ENTER_LONG, ["form"]),
    "06-form-payload": (ENTER_LONG, ["form"]),
    "06-percent-encoded": (ENTER_LONG, ["form"]),
    "06-trailing-equals": (ENTER_LONG, ["form"]),
    "07-no-content-type": (ENTER_LONG, []),
    "08-bom": (ENTER_LONG, ["bom"]),
    "08-nbsp": (ENTER_LONG, ["characters"]),
    "08-zero-width": (ENTER_LONG, ["characters"]),
    "08-full-width": (ENTER_LONG, ["characters"]),
    "08-full-width-throughout": (ENTER_LONG, ["quotes", "characters"]),
    "08-cp1252": (ENTER_LONG, ["encoding", "quotes"]),
    "08-utf16": (ENTER_LONG, ["encoding"]),
    "08-utf16-no-bom": (ENTER_LONG, ["encoding"]),
    "09-number-as-number": (ENTER_LONG, []),
    "10-float-tail": (sized("1800.8000000000002"), []),
    "10-exponent": (sized("0.00001"), []),
    "10-grouping": (sized("1234.5"), ["grouping"]),
    "10-leading-point": (sized("0.5"), ["bare_number"]),
    "12-upper-case": (ENTER_LONG, ["key_folded", "key_folded", "value_folded", "value_folded"]),
    "13-exchange-prefix": (replace(ENTER_LONG, ticker="BINANCE:BTCUSDT.P"), []),
    "13-delayed": (ENTER_LONG, ["delayed_data"]),
    "15-single-quotes": (ENTER_LONG, ["single_quotes"]),
    "15-python-dict": (replace(ENTER_LONG, is_test=True), ["single_quotes", "python_words", "trailing_comma"]),
    "15-comments": (ENTER_LONG, ["comments"]),
}
# file -> (code, the facts that name what was found)
REFUSED = {
    "02-missing-comma-same-line": ("BAD_JSON", {"line": "1", "column": "41"}),
    "03-free-text": ("NOT_A_TRADE", {}),
    "03-empty": ("NOT_A_TRADE", {}),
    "03-blank": ("NOT_A_TRADE", {}),
    "04-strategy-placeholder": ("PLACEHOLDER", {"field": "action", "found": "{{strategy.order.action}}"}),
    "04-unquoted-placeholder": ("PLACEHOLDER", {"found": "{{strategy.order.contracts}}"}),
    "04-quoting-placeholder": ("PLACEHOLDER", {"found": '{{plot("Size")}}'}),
    "04-ticker-placeholder": ("PLACEHOLDER", {"field": "ticker", "found": "{{ticker}}"}),
    "04-script-placeholder": ("PLACEHOLDER", {"field": "quantity", "found": "#quantity#"}),
    "04-sample-quantity": ("PLACEHOLDER", {"field": "quantity", "found": "REPLACE_WITH_ORDER_SIZE"}),
    "04-sample-pointer": (
        "PLACEHOLDER",
        {"field": "pointer", "found": "replace with pointer for your exchange here"},
    ),
    "10-decimal-comma": ("AMBIGUOUS_COMMA", {"field": "quantity", "found": "0,5"}),
    "10-unit": ("HAS_UNIT", {"field": "quantity", "found": "0.1 BTC"}),
    "10-huge-exponent": ("NUMBER_OUT_OF_RANGE", {"field": "quantity", "found": "1E+5000000"}),
    "11-nan": ("NOT_A_NUMBER", {"field": "quantity", "found": "NaN"}),
    "11-nan-text": ("NOT_A_NUMBER", {"field": "quantity", "found": "NaN"}),
    "11-null": ("NULL_VALUE", {"field": "quantity"}),
    "11-empty": ("EMPTY_VALUE", {"field": "quantity"}),
    "11-zero": ("ZERO", {"field": "quantity", "found": "0.000"}),
    "11-negative": ("NEGATIVE", {"field": "quantity", "found": "-0.1"}),
    "11-infinity": ("INFINITE", {"field": "quantity", "found": "Infinity"}),
    "14-duplicate-key": ("DUPLICATE_KEY", {"field": "action"}),
    "14-duplicate-folded-key": ("DUPLICATE_KEY", {"field": "action"}),
    "16-eleven": ("TOO_MANY_MESSAGES", {"found": "11", "accepted": "10"}),
    "17-missing-quantity": ("MISSING_FIELD", {"field": "quantity"}),
}
SEVERAL = {"16-array", "16-lines"}


def test_every_file_has_its_row() -> None:
    files = {path.stem for path in TRADINGVIEW.glob("*.txt")}

    assert files == RUNS.keys() | REFUSED.keys() | SEVERAL


@pytest.mark.parametrize("name", RUNS)
def test_a_readable_body_gives_its_exact_signal_and_names_each_repair(name: str) -> None:
    signal, repairs = RUNS[name]

    item = only((TRADINGVIEW / f"{name}.txt").read_bytes())

    assert item.error is None
    assert item.signal == signal
    assert [change.code for change in item.repairs] == repairs
    assert item.pointer == MARK
    assert all(change.sentence.startswith(("we changed: ", "note: ")) for change in item.repairs)


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_body_is_refused_by_name(name: str) -> None:
    code, facts = REFUSED[name]

    item = only((TRADINGVIEW / f"{name}.txt").read_bytes())

    assert item.signal is None
    assert item.error is not None
    assert item.error.code == code
    assert item.error.facts.items() >= facts.items()
    assert item.error.sentence.endswith((".", ".'"))


@pytest.mark.parametrize("name", sorted(SEVERAL))
def test_several_messages_keep_their_order(name: str) -> None:
    items = parse((TRADINGVIEW / f"{name}.txt").read_bytes()).items

    assert [item.signal for item in items] == [EXIT_LONG, ENTER_LONG]
    assert [item.pointer for item in items] == [MARK, MARK]


@pytest.mark.parametrize("name", [name for name, (_, repairs) in RUNS.items() if set(repairs) - {"delayed_data"}])
def test_a_strict_connector_refuses_and_names_the_repairs(name: str) -> None:
    item = only((TRADINGVIEW / f"{name}.txt").read_bytes(), strict=True)

    assert item.signal is None
    assert item.repairs == ()
    assert item.error is not None
    assert item.error.code == "STRICT_JSON"
    assert item.error.facts["repairs"] == ", ".join(RUNS[name][1])


@pytest.mark.parametrize("name", [name for name, (_, repairs) in RUNS.items() if not set(repairs) - {"delayed_data"}])
def test_a_strict_connector_runs_what_needs_no_repair(name: str) -> None:
    assert only((TRADINGVIEW / f"{name}.txt").read_bytes(), strict=True).signal == RUNS[name][0]
