"""The acceptance tests of the message grammar: ten rows, each run here or named where it is."""

from pathlib import Path

import pytest
from django.test import Client

from apps.alerts.execution import execute_due
from apps.alerts.models import Alert, AlertStatus
from apps.alerts.queries import rows_of
from apps.alerts.reading import read_received
from apps.connectors import pointers
from tests.alerts.payload.bodies import FIXTURES, MARK
from tests.engine.conftest import Bench
from tests.factories import PointerFactory

ROOT = Path(__file__).resolve().parents[2]
WHERE = {
    "1 five keys in both orders, any quotes": [
        "alerts/payload/test_malformations.py::test_a_readable_body_gives_its_exact_signal_and_names_each_repair",
        "line/test_messages.py::test_curly_quotes_as_plain_text_make_one_order",
    ],
    "2 action × position × account": [
        "trading/pure/test_planner_table.py::test_cell_has_exactly_these_legs",
        "trading/pure/test_planner_table.py::test_table_has_every_cell",
    ],
    "3 reversal and tolerance": [
        "trading/pure/test_planner_table.py::test_reversal_closes_five_and_opens_five",
        "trading/pure/test_planner_table.py::test_dust_beyond_the_position_opens_no_short",
        "line/test_line.py::test_reversal_closes_and_opens",
    ],
    "4 re-deliveries and equal exits": [
        "line/test_redelivery.py::test_four_deliveries_five_seconds_apart_make_one_order",
        "line/test_redelivery.py::test_two_equal_partial_exits_in_one_instant_both_run",
    ],
    "5 database down and back": [
        "alerts/test_webhook.py::test_delivery_that_cannot_be_stored_is_503_and_asks_to_send_again",
        "alerts/test_webhook_database.py::test_refused_connection_is_503_until_the_database_is_back",
    ],
    "6 partial exits swapped": ["engine/test_acceptance.py::test_row_6_partial_exits_swapped_end_flat"],
    "7 close all": [
        "alerts/payload/test_messages.py::test_close_all_needs_no_action_and_no_quantity",
        "trading/pure/test_planner_table.py::test_close_all_closes_what_is_held",
        "trading/pure/test_planner_table.py::test_nothing_to_close_is_no_error",
        "line/test_line.py::test_close_all_goes_flat",
    ],
    "8 every malformation has a file, none is a 5xx": [
        "alerts/payload/test_malformations.py::test_every_file_has_its_row",
        "engine/test_acceptance.py::test_row_8_no_malformation_is_answered_5xx_or_fails_to_be_read",
    ],
    "9 unknown and ended pointers": [
        "alerts/test_webhook.py::test_delivery_without_live_pointer_is_one_constant_404",
        "alerts/test_webhook.py::test_ended_pointer_is_answered_like_an_unknown_one",
    ],
    "10 TrendSpider": [
        "alerts/payload/test_messages.py::test_an_unreplaced_trendspider_symbol_is_named",
        "engine/test_acceptance.py::test_row_10_a_trendspider_body_runs",
    ],
}


@pytest.mark.parametrize("row", WHERE)
def test_every_row_has_its_tests(row: str) -> None:
    for place in WHERE[row]:
        path, _, name = place.partition("::")
        assert f"def {name}(" in (ROOT / "tests" / path).read_text(), place


def test_row_6_partial_exits_swapped_end_flat(futures: Bench) -> None:
    futures.send("buy", "flat", "0.01")
    later = futures.post("sell", "long", "0.004", prev_market_position_size="0.004", market_position_size="0")
    first = futures.post("sell", "long", "0.006", prev_market_position_size="0.01", market_position_size="0.004")

    execute_due()
    futures.wait(2)

    assert futures.held() == 0
    assert [size for _, size in futures.book()] == ["10", "6", "4"]
    assert (futures.status(first), futures.status(later)) == ((AlertStatus.EXECUTED, ""), (AlertStatus.EXECUTED, ""))
    assert [row.flags for row in rows_of(later.workspace, [later, first])] == [[], []]


def test_row_8_no_malformation_is_answered_5xx_or_fails_to_be_read(futures: Bench) -> None:
    done = (AlertStatus.QUEUED, AlertStatus.REJECTED, AlertStatus.IGNORED, AlertStatus.SPLIT)
    # An empty one has its own test at the webhook.
    bodies = [path for path in sorted(FIXTURES.glob("tr*/*.txt")) if path.stat().st_size]
    for path in bodies:
        # A pointer of its own: one may not send this often.
        pointer = pointers.reveal(PointerFactory(connector=futures.connector))
        body = path.read_bytes().replace(MARK.encode(), pointer.encode())

        answer = Client().post("/webhook", data=body, content_type="text/plain")
        while read_received():
            pass

        assert answer.status_code in {200, 400, 404}, path.name
        assert (answer.status_code == 200) == (pointer.encode() in body), path.name
        if answer.status_code == 200:
            assert Alert.unscoped.get(pk=answer.json()["id"]).status in done, path.name

    assert len(bodies) > 60
    assert Alert.unscoped.exclude(status__in=done).count() == 0
    assert futures.book() == []


def test_row_10_a_trendspider_body_runs(futures: Bench) -> None:
    body = (FIXTURES / "trendspider/enter-long.txt").read_text().replace(MARK, futures.pointer)
    body = body.replace('"0.1"', '"0.01"')

    answer = Client().post("/webhook", data=body, content_type="application/json")
    execute_due()

    assert futures.status(Alert.unscoped.get(pk=answer.json()["id"])) == (AlertStatus.EXECUTED, "")
    assert [size for _, size in futures.book()] == ["10"]
