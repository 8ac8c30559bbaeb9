"""The breaker of a venue, on PostgreSQL and in virtual time: what opens it, what closes it, what it leaves alone."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from smtplib import SMTPRecipientsRefused
from typing import Any

import pytest
from django.core import mail
from django.core.mail import EmailMessage, get_connection
from django.db import connection

from apps.accounts.models import User
from apps.connectors import outage_mail, outages, outcomes
from apps.connectors.exchange import (
    CredentialsError,
    ExchangeError,
    NotSentError,
    NotSupportedError,
    OrderRejectedError,
    RateLimitError,
    RejectReason,
    UnreachableError,
)
from apps.connectors.models import CallCount, Connector, Outage
from apps.connectors.opening import venue_of
from apps.connectors.outages import EntriesOffError
from apps.connectors.outcomes import Trouble, outcomes_of
from apps.lib import world
from tests.factories import ConnectorFactory, UserFactory
from tests.torture.clock import START, VirtualWorld

PAPER = "the paper exchange"


@pytest.fixture
def clock(db: None) -> Iterator[VirtualWorld]:
    clock = VirtualWorld(1)
    _forget()
    with world.replaced(clock):
        yield clock
    _forget()


@pytest.fixture
def connector(clock: VirtualWorld) -> Connector:
    row: Connector = ConnectorFactory()
    return row


def _forget() -> None:
    outcomes.forget()
    outages.forget()


def _called(connector: Connector, *, certain: int = 0, ambiguous: int = 0) -> None:
    counted = outcomes_of(venue_of(connector.environment, connector.market))
    for number in range(certain + ambiguous):
        counted.count(number >= certain)


def _as_another_process(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """What this process has counted in memory is another's from now on."""
    _forget()
    monkeypatch.setattr(outages, "this_process", lambda: name)


def _opened(connector: Connector, clock: VirtualWorld) -> Outage:
    """Open it at START."""
    _called(connector, ambiguous=10)
    assert outages.lookup(connector) == Trouble(PAPER, START, 10, 10)
    return Outage.objects.get()


@pytest.mark.parametrize(
    ("certain", "ambiguous", "opens"),
    [(0, 9, False), (0, 10, True), (5, 5, True), (6, 4, False), (6, 5, False), (50, 50, True), (51, 50, False)],
)
def test_half_of_at_least_ten_calls_open_it(
    connector: Connector, clock: VirtualWorld, certain: int, ambiguous: int, opens: bool
) -> None:
    _called(connector, certain=certain, ambiguous=ambiguous)

    found = outages.lookup(connector)

    assert found == (Trouble(PAPER, START, certain + ambiguous, ambiguous) if opens else None)
    assert Outage.objects.count() == int(opens)


def test_a_certain_tenth_call_opens_it_too(connector: Connector, clock: VirtualWorld) -> None:
    _called(connector, ambiguous=5)
    assert outages.lookup(connector) is None
    _called(connector, certain=4)
    assert outages.lookup(connector) is None

    _called(connector, certain=1)

    assert outages.lookup(connector) == Trouble(PAPER, START, 10, 5)


def test_calls_older_than_a_minute_do_not_count(connector: Connector, clock: VirtualWorld) -> None:
    _called(connector, ambiguous=9)
    clock.sleep(60.001)
    _called(connector, ambiguous=1)
    assert outages.lookup(connector) is None

    _called(connector, ambiguous=8)
    clock.sleep(59.9)
    _called(connector, ambiguous=1)

    assert outages.lookup(connector) == Trouble(PAPER, world.now(), 10, 10)


def test_what_other_processes_counted_counts_too(
    connector: Connector, clock: VirtualWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    _called(connector, certain=5)
    outages.settle()
    _as_another_process(monkeypatch, "other:1")
    clock.sleep(30)
    _called(connector, ambiguous=4)
    assert outages.lookup(connector) is None

    _called(connector, ambiguous=1)

    assert outages.lookup(connector) == Trouble(PAPER, world.now(), 10, 5)
    assert CallCount.objects.count() == 2


def test_many_good_calls_elsewhere_keep_it_closed(
    connector: Connector, clock: VirtualWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    _called(connector, certain=11)
    outages.settle()
    _as_another_process(monkeypatch, "other:1")
    _called(connector, ambiguous=10)

    assert outages.lookup(connector) is None

    clock.sleep(60)
    _called(connector, ambiguous=10)
    assert outages.lookup(connector) is not None


def test_what_another_process_told_grows_old(
    connector: Connector, clock: VirtualWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    _called(connector, ambiguous=9)
    clock.sleep(50)
    outages.settle()
    _as_another_process(monkeypatch, "other:1")
    clock.sleep(11)
    _called(connector, ambiguous=1)

    assert outages.lookup(connector) is None


def test_another_venue_is_left_alone(connector: Connector, clock: VirtualWorld) -> None:
    live = ConnectorFactory(environment="live", market="futures")
    live_spot = ConnectorFactory(environment="live", market="spot")
    paper_spot = ConnectorFactory(market="spot")
    _called(live, ambiguous=10)

    assert outages.lookup(live) == Trouble("BitMart Futures", START, 10, 10)
    assert [outages.lookup(other) for other in (connector, live_spot, paper_spot)] == [None, None, None]


def test_it_is_open_for_thirty_seconds_whatever_is_answered(connector: Connector, clock: VirtualWorld) -> None:
    _opened(connector, clock)
    _called(connector, certain=100)
    clock.sleep(29.9)
    outages.settle()

    assert outages.lookup(connector) == Trouble(PAPER, START, 10, 10)
    with pytest.raises(EntriesOffError):
        outages.admit(connector)


def test_three_answers_let_one_entry_try_and_its_answer_closes_it(connector: Connector, clock: VirtualWorld) -> None:
    _opened(connector, clock)
    clock.sleep(30)
    _called(connector, certain=2)
    assert outages.lookup(connector) is not None
    _called(connector, certain=1)
    assert outages.lookup(connector) is None

    trial = outages.admit(connector)

    assert trial is not None
    assert outages.lookup(connector) == Trouble(PAPER, START, 10, 10)
    with pytest.raises(EntriesOffError):
        outages.admit(connector)
    outages.finish(trial, None)
    assert outages.lookup(connector) is None
    assert outages.admit(connector) is None
    row = Outage.objects.get()
    assert (row.closed_at, row.closed_how) == (world.now(), "An entry got a certain answer.")


def test_of_two_entries_that_find_it_half_open_in_one_moment_one_tries(
    connector: Connector, clock: VirtualWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have read that nobody tries; the row decides."""
    _opened(connector, clock)
    clock.sleep(30)
    _called(connector, certain=3)
    assert outages.lookup(connector) is None
    monkeypatch.setattr(outages, "_may_try", lambda outage: True)

    assert outages.admit(connector) is not None
    with pytest.raises(EntriesOffError):
        outages.admit(connector)


def test_refused_entry_is_an_answer(connector: Connector, clock: VirtualWorld) -> None:
    trial = _on_trial(connector, clock)

    outages.finish(trial, OrderRejectedError("too small", reason=RejectReason.BELOW_MINIMUM, code="40012"))

    assert Outage.objects.get().closed_at == world.now()


def test_ambiguous_entry_opens_it_for_thirty_seconds_more(connector: Connector, clock: VirtualWorld) -> None:
    trial = _on_trial(connector, clock)

    outages.finish(trial, UnreachableError("no answer"))

    assert outages.lookup(connector) == Trouble(PAPER, START, 10, 10)
    row = Outage.objects.get()
    assert (row.closed_at, row.reopened, row.probed_at, row.trial_at) == (None, 1, None, None)
    assert row.half_open_at == world.now() + timedelta(seconds=30)
    # What was answered before proves nothing of the time after.
    clock.sleep(30)
    assert outages.lookup(connector) is not None
    _called(connector, certain=3)
    assert outages.lookup(connector) is None


@pytest.mark.parametrize(
    "error",
    [
        NotSentError("refused"),
        RateLimitError("a gateway's"),
        CredentialsError("no key: nothing was sent", reason="KEY_UNKNOWN"),
        NotSupportedError("spot has no leverage: nothing was sent"),
    ],
    ids=["not sent", "429", "no key", "not supported"],
)
def test_entry_that_tells_nothing_lets_the_next_one_try(
    connector: Connector, clock: VirtualWorld, error: ExchangeError
) -> None:
    outages.finish(_on_trial(connector, clock), error)

    assert Outage.objects.get().closed_at is None
    assert outages.lookup(connector) is None
    assert outages.admit(connector) is not None


@pytest.mark.parametrize(
    "error",
    [CredentialsError("frozen", reason="KEY_FROZEN", code="30003"), NotSupportedError("not by API", code="40010")],
    ids=["key", "not supported"],
)
def test_refusal_with_a_code_of_the_exchange_is_a_certain_answer(
    connector: Connector, clock: VirtualWorld, error: ExchangeError
) -> None:
    outages.finish(_on_trial(connector, clock), error)

    assert Outage.objects.get().closed_how == "An entry got a certain answer."


def test_entry_that_is_not_heard_of_again_keeps_others_back_for_thirty_seconds(
    connector: Connector, clock: VirtualWorld
) -> None:
    _on_trial(connector, clock)
    clock.sleep(29)
    assert outages.lookup(connector) is not None

    clock.sleep(1.1)

    assert outages.lookup(connector) is None
    assert outages.admit(connector) is not None


def test_ambiguous_answers_open_it_again(connector: Connector, clock: VirtualWorld) -> None:
    _opened(connector, clock)
    clock.sleep(31)
    _called(connector, certain=1, ambiguous=1)

    assert outages.lookup(connector) == Trouble(PAPER, START, 2, 1)

    row = Outage.objects.get()
    assert (row.reopened, row.half_open_at) == (1, world.now() + timedelta(seconds=30))


def test_without_an_entry_it_closes_after_thirty_quiet_seconds(connector: Connector, clock: VirtualWorld) -> None:
    _opened(connector, clock)
    clock.sleep(30)
    _called(connector, certain=3)
    outages.settle()
    clock.sleep(29.9)
    _called(connector, certain=1)
    outages.settle()
    assert Outage.objects.get().closed_at is None

    clock.sleep(0.1)
    _called(connector, certain=1)
    outages.settle()

    row = Outage.objects.get()
    assert (row.closed_at, row.closed_how) == (world.now(), "It answers again.")


def test_old_trouble_does_not_open_the_closed_one_again(connector: Connector, clock: VirtualWorld) -> None:
    outages.finish(_on_trial(connector, clock), None)
    assert clock.monotonic() < 60

    _called(connector, ambiguous=5)

    assert outages.lookup(connector) is None
    _called(connector, ambiguous=2)
    assert outages.lookup(connector) == Trouble(PAPER, world.now(), 10, 7)


def test_a_restarted_process_finds_it_open(
    connector: Connector, clock: VirtualWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    _opened(connector, clock)

    _as_another_process(monkeypatch, "restarted:1")

    assert outages.lookup(connector) == Trouble(PAPER, START, 10, 10)


def test_sweeper_asks_where_nobody_else_does(
    connector: Connector, clock: VirtualWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    class Venue:
        def __init__(self, *where: str) -> None:
            self.where = where

        def server_time_ms(self) -> int:
            asked.append(self.where)
            _called(connector, certain=1)
            return 0

    monkeypatch.setattr(outages, "open_public", Venue)
    _opened(connector, clock)
    clock.sleep(29)
    outages.tend()
    assert asked == []

    clock.sleep(1)
    for _ in range(5):
        outages.tend()
    assert asked == [("paper", "spot")] * 3
    assert Outage.objects.get().probed_at == world.now()
    clock.sleep(30)
    outages.tend()

    assert Outage.objects.get().closed_at == world.now()
    assert len(asked) == 3


def test_an_address_that_is_used_no_more_is_closed(connector: Connector, clock: VirtualWorld) -> None:
    _opened(connector, clock)
    Outage.objects.update(venue="bitmart http://gone.test")
    clock.sleep(30)

    outages.tend()

    assert Outage.objects.get().closed_how == "No connector is at this address any more."


def test_staff_close_it_and_what_was_before_counts_no_more(connector: Connector, clock: VirtualWorld) -> None:
    outage, person = _opened(connector, clock), UserFactory()
    clock.sleep(5)

    assert outages.close_by_hand(outage, person) is True

    assert outages.lookup(connector) is None
    assert outages.close_by_hand(outage, person) is False
    clock.sleep(2)
    _called(connector, ambiguous=9)
    assert outages.lookup(connector) is None
    clock.sleep(26)
    _called(connector, ambiguous=1)
    assert outages.lookup(connector) == Trouble(PAPER, world.now(), 10, 10)
    row = Outage.objects.order_by("opened_at")[0]
    assert (row.closed_at, row.closed_by, row.closed_how) == (START + timedelta(seconds=5), person, "Closed by staff.")


def test_staff_get_one_mail_an_outage(connector: Connector, clock: VirtualWorld) -> None:
    User.objects.update(is_staff=False)
    UserFactory(email="chief@example.org", is_staff=True)
    for _ in range(3):
        ConnectorFactory()
    _opened(connector, clock)

    assert (outage_mail.send_due(), outage_mail.send_due()) == (1, 0)
    clock.sleep(61)
    _called(connector, ambiguous=1)
    outages.settle()
    assert Outage.objects.get().reopened == 1
    assert outage_mail.send_due() == 0

    [letter] = mail.outbox
    assert letter.to == ["chief@example.org"]
    assert letter.subject.endswith(": new positions are off at the paper exchange")
    assert letter.body.startswith("10 of the last 10 calls to the paper exchange had no certain answer.")


def test_two_processes_that_open_it_at_once_make_one_row(transactional_db: None) -> None:
    venue, both = "bitmart http://both.test", threading.Barrier(2)

    def opening() -> None:
        both.wait()
        outages._open(venue, START, 10, 10)
        connection.close()

    threads = [threading.Thread(target=opening) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert Outage.objects.filter(venue=venue).count() == 1


def _on_trial(connector: Connector, clock: VirtualWorld) -> outages.Trial:
    _opened(connector, clock)
    clock.sleep(31)
    _called(connector, certain=3)
    assert outages.lookup(connector) is None
    trial = outages.admit(connector)
    assert trial is not None
    return trial


def test_whom_the_mail_did_not_reach_gets_it_later_and_nobody_gets_it_twice(
    connector: Connector, clock: VirtualWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    User.objects.update(is_staff=False)
    for name in "abc":
        UserFactory(email=f"{name}@example.org", is_staff=True)
    _opened(connector, clock)
    send = EmailMessage.send

    def refused(letter: EmailMessage, *more: Any) -> int:
        if letter.to == ["b@example.org"]:
            raise SMTPRecipientsRefused({})
        return send(letter, *more)

    with monkeypatch.context() as broken:
        broken.setattr(EmailMessage, "send", refused)
        assert outage_mail.send_due() == 0
        clock.sleep(61)
        assert outage_mail.send_due() == 0
    assert sorted(letter.to for letter in mail.outbox) == [["a@example.org"], ["c@example.org"]]
    assert Outage.objects.get().mailed_at is None
    clock.sleep(61)

    assert outage_mail.send_due() == 1
    assert sorted(letter.to for letter in mail.outbox) == [["a@example.org"], ["b@example.org"], ["c@example.org"]]
    assert Outage.objects.get().mailed_at is not None


def test_a_mail_server_that_hangs_is_given_up() -> None:
    assert get_connection("django.core.mail.backends.smtp.EmailBackend").timeout == 10
