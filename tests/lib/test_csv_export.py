from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest

from apps.lib.csv_export import Cell, csv_response, text_of


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("＝1", "'＝1"),
        ("a=b", "a=b"),
        (Decimal("-12.500000000000000000"), "-12.5"),
        (Decimal("1E+3"), "1000"),
        (-3, "-3"),
        (None, ""),
        (datetime(2026, 11, 22, 10, 0, 1, 5000, tzinfo=timezone(timedelta(hours=2))), "2026-11-22T08:00:01.005000Z"),
    ],
)
def test_cells_are_plain_and_run_nothing(cell: Cell, text: str) -> None:
    assert text_of(cell) == text


def test_file_has_a_header_and_quotes_what_needs_quotes() -> None:
    response = csv_response("rows.csv", ("a", "b"), [("x,y", 'say "hi"'), ("line\nbreak", Decimal(0))])

    content = b"".join(response.streaming_content).decode()

    assert content == 'a,b\r\n"x,y","say ""hi"""\r\n"line\nbreak",0\r\n'
    assert response["Content-Disposition"] == 'attachment; filename="rows.csv"'
