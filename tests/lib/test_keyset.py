import uuid
from datetime import UTC, datetime, timedelta

import pytest

from apps.alerts.models import Alert
from apps.lib.keyset import Cursor, page_of
from tests.factories import AlertFactory, PointerFactory

T0 = datetime(2026, 11, 22, 8, 41, 3, tzinfo=UTC)


def test_cursor_survives_being_written() -> None:
    cursor = Cursor(T0, uuid.UUID(int=7))

    assert Cursor.read(str(cursor)) == cursor


@pytest.mark.parametrize(
    "text", ["", "x", "2026-11-22T08:41:03_x", "2026-11-22T08:41:03_" + str(uuid.UUID(int=7)), "_", "9" * 5000]
)
def test_text_that_is_no_cursor_starts_at_the_newest(text: str) -> None:
    assert Cursor.read(text) is None


@pytest.mark.parametrize("at", ["2026-11-22T08:41:03+20:00", "2026-11-22T08:41:03-23:59"])
@pytest.mark.django_db
def test_zone_that_the_database_does_not_know_is_no_error(at: str) -> None:
    rows = Alert.objects.for_workspace(PointerFactory().workspace)

    page = page_of(rows, field="received_at", cursor=f"{at}_{uuid.UUID(int=7)}", size=5)

    assert page.rows == []


def test_moment_before_the_first_year_starts_at_the_newest() -> None:
    assert Cursor.read(f"0001-01-01T00:00:00+14:00_{uuid.UUID(int=7)}") is None


@pytest.mark.django_db
def test_pages_hold_every_row_once_even_within_one_moment() -> None:
    pointer = PointerFactory()
    made = {AlertFactory(pointer=pointer, received_at=T0 - timedelta(seconds=n // 4)).pk for n in range(11)}
    rows = Alert.objects.for_workspace(pointer.workspace)

    seen: list[uuid.UUID] = []
    cursor, pages = "", 0
    while True:
        page = page_of(rows, field="received_at", cursor=cursor, size=4)
        seen += [row.pk for row in page.rows]
        pages += 1
        assert page.is_first is (pages == 1)
        if not page.older:
            break
        cursor = page.older

    assert pages == 3
    assert len(seen) == 11
    assert set(seen) == made
