"""The exchange without its socket: what a simulator holds in its own process."""

from apps.paper.server import open_desks


def test_a_desk_in_memory_lives_on_the_clock_it_is_given() -> None:
    now = [1_700_000_000_000]
    desks = open_desks(
        None, seed=1, control_token="", faults=True, clock=lambda: now[0], monotonic=lambda: now[0] / 1000
    )

    before = desks.exchange.prices.epoch_ms
    now[0] += 60_000
    desks.faults.skew_ms = -30_000

    assert before == 1_700_000_000_000
    assert desks.exchange.clock() == 1_700_000_030_000
    assert desks.exchange.store.setting("seed") == "1"
