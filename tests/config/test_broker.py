import pytest

from config import broker


@pytest.mark.parametrize(
    ("redis_url", "expected"),
    [
        ("unix:///run/a.sock?db=3", "redis+socket:///run/a.sock?virtual_host=3"),
        ("unix:///run/a.sock", "redis+socket:///run/a.sock"),
        ("redis://:pass@127.0.0.1:6379/2", "redis://:pass@127.0.0.1:6379/2"),
        ("rediss://host/0", "rediss://host/0"),
    ],
)
def test_celery_gets_the_same_redis_in_its_own_spelling(redis_url: str, expected: str) -> None:
    assert broker.celery_url(redis_url) == expected


@pytest.mark.parametrize(
    ("redis_url", "expected"),
    [
        ("unix:///run/a.sock?db=0", "unix:///run/a.sock?db=5"),
        ("redis://:pass@127.0.0.1:6379/2", "redis://:pass@127.0.0.1:6379/5"),
        ("redis://127.0.0.1:6379", "redis://127.0.0.1:6379/5"),
    ],
)
def test_database_number_is_replaced(redis_url: str, expected: str) -> None:
    assert broker.with_database(redis_url, 5) == expected
