from apps.trading.models import PlanRecord
from apps.trading.records import inputs_in, outline_in
from apps.trading.replaying import replay


def assert_replays() -> int:
    """Decide every alert of the test again from its frozen inputs: the same plan each time. Return how many."""
    records = list(PlanRecord.unscoped.all())
    for record in records:
        again = replay(inputs_in(record), outline_in(record))
        assert again.is_same, f"alert {record.origin_id} is decided otherwise again: {again}"
    return len(records)
