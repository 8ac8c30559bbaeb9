"""What is compiled once gives the same rows as the query set it was written from, whatever it is asked for."""

from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.db.models import Count, Exists, Model, OuterRef
from django.db.models.signals import ModelSignal, post_init, pre_init
from django.db.transaction import TransactionManagementError
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.models import Subscription
from apps.alerts.models import Alert
from apps.connectors.models import Connector
from apps.lib.compiled import Compiled, Each, insert, update
from apps.trading.models import Order, OrderState, Position
from tests.factories import AlertFactory, ConnectorFactory, OrderFactory, PositionFactory, SubscriptionFactory

pytestmark = pytest.mark.django_db


def test_rows_are_those_of_the_query_set() -> None:
    of = Compiled(
        lambda connector, least: (
            Order.unscoped.filter(connector_id=connector, quantity__gte=least)
            .select_related("connector", "connector__workspace", "instrument", "parent")
            .order_by("quantity")
        )
    )
    connector, other = ConnectorFactory(), ConnectorFactory()
    orders = [OrderFactory(connector=connector, quantity=Decimal(number)) for number in (1, 2, 3)]
    OrderFactory(connector=other, quantity=Decimal(9))

    for asked, least, wanted in ((connector, 2, orders[1:]), (connector, 3, orders[2:]), (other, 10, [])):
        found = of(connector=asked.pk, least=Decimal(least))
        assert found == wanted

    with CaptureQueriesContext(connection) as queries:
        (found_one,) = of(connector=connector.pk, least=Decimal(3))
        assert found_one.connector.workspace == connector.workspace
        assert (found_one.parent, found_one.facts, found_one.quantity) == (None, orders[2].facts, Decimal(3))
        assert found_one.created_at == orders[2].created_at
        assert not found_one._state.adding
    assert len(queries) == 1


def test_a_row_is_what_the_orm_makes_of_it() -> None:
    closing = OrderFactory(facts={"a": ["1"]})
    order = OrderFactory(connector=closing.connector, parent=closing, price=None)
    theirs = Order.unscoped.select_related("connector__workspace", "parent").only("symbol", "connector", "parent")
    of = Compiled(
        lambda key: (
            Order.unscoped.filter(pk=key)
            .select_related("connector__workspace", "parent")
            .only("symbol", "connector", "parent")
        )
    )
    whole = Compiled(lambda key: Order.unscoped.filter(pk=key))

    (one,), other = of(key=order.pk), theirs.get(pk=order.pk)
    (full,), full_other = whole(key=order.pk), Order.unscoped.get(pk=order.pk)

    assert one.get_deferred_fields() == other.get_deferred_fields() != set()
    for ours, wanted in (
        (one, other),
        (one.parent, other.parent),
        (one.connector.workspace, other.connector.workspace),
        (full, full_other),
    ):
        assert _columns_of(ours) == _columns_of(wanted)
        assert (ours._state.adding, ours._state.db) == (False, "default")
    assert full.get_deferred_fields() == set()
    full.symbol = "CHANGED"
    full.save(update_fields=["symbol"])
    assert whole(key=order.pk)[0].symbol == "CHANGED"


def test_either_side_of_a_pair_knows_the_other() -> None:
    subscription = SubscriptionFactory()
    of = Compiled(lambda key: Subscription.objects.filter(pk=key).select_related("workspace"))
    (found,) = of(key=subscription.pk)
    with CaptureQueriesContext(connection) as queries:
        assert found.workspace.subscription is found
    assert len(queries) == 0


def _columns_of(row: Model) -> dict[str, object]:
    return {name: value for name, value in vars(row).items() if name != "_state"}


@pytest.mark.parametrize("heard", [pre_init, post_init])
def test_who_listens_for_rows_hears_of_each(heard: ModelSignal) -> None:
    order, told = OrderFactory(), []

    def listen(**said: object) -> None:
        told.append(said["sender"])

    heard.connect(listen, sender=Order)
    try:
        assert Compiled(lambda key: Order.unscoped.filter(pk=key))(key=order.pk) == [order]
    finally:
        heard.disconnect(listen, sender=Order)
    assert told == [Order]


def test_values_come_as_from_values_list() -> None:
    pairs = Compiled(lambda state: Order.unscoped.filter(state=state).values_list("symbol", "facts").order_by("symbol"))
    flat = Compiled(lambda state: Order.unscoped.filter(state=state).values_list("symbol", flat=True))
    OrderFactory(symbol="A", facts={"a": "1"})
    OrderFactory(symbol="B", facts={})

    assert pairs(state=OrderState.PLANNED) == [("A", {"a": "1"}), ("B", {})]
    assert (pairs(state="filled"), sorted(flat(state="planned"))) == ([], ["A", "B"])


def test_none_is_a_query_of_its_own() -> None:
    due = Compiled(lambda at: Order.unscoped.filter(next_at=at).values_list("symbol", flat=True))
    at = timezone.now()
    OrderFactory(symbol="A", next_at=at)
    OrderFactory(symbol="B", next_at=None)

    assert (due(at=at), due(at=None), due(at=at + timedelta(seconds=1))) == (["A"], ["B"], [])


def test_bytes_are_an_argument_too() -> None:
    same = Compiled(lambda fingerprint: Alert.unscoped.filter(fingerprint=fingerprint).values_list("pk", flat=True))
    alert = AlertFactory(fingerprint=b"\x00%s\xff")
    AlertFactory(fingerprint=b"other")

    assert (same(fingerprint=b"\x00%s\xff"), same(fingerprint=b"none")) == ([alert.pk], [])


def test_any_number_of_values_is_one_statement() -> None:
    of = Compiled(lambda keys, least: Order.unscoped.filter(pk__among=keys, quantity__gte=least).order_by("quantity"))
    orders = [OrderFactory(quantity=Decimal(number)) for number in (1, 2, 3)]
    first, second, third = (order.pk for order in orders)

    assert of(keys=Each([second, third]), least=Decimal(1)) == orders[1:]
    assert of(keys=Each([first, second, third]), least=Decimal(3)) == orders[2:]
    assert of(keys=Each([first]), least=Decimal(1)) == orders[:1]
    assert of(keys=Each(), least=Decimal(1)) == []
    assert len(of._statements) == 1
    with CaptureQueriesContext(connection) as queries:
        assert of(keys=Each([third, first]), least=Decimal(0)) == [orders[0], orders[2]]
    assert len(queries) == 1


def test_values_among_are_texts_too() -> None:
    of = Compiled(lambda names: Order.unscoped.filter(symbol__among=names).values_list("symbol", flat=True))
    OrderFactory(symbol="A")
    OrderFactory(symbol='B,"{}')

    assert (of(names=Each(['B,"{}', "C"])), of(names=Each(["a"]))) == (['B,"{}'], [])


def test_argument_in_a_subquery_and_twice() -> None:
    def build(now: object) -> object:
        held = Position.unscoped.filter(connector_id=OuterRef("pk"), opened_at__lte=now)
        return Connector.unscoped.filter(Exists(held), created_at__lte=now).values_list("pk", flat=True)

    holding = Compiled(build)  # type: ignore[arg-type]
    position = PositionFactory(opened_at=timezone.now())
    ConnectorFactory()

    assert holding(now=timezone.now() + timedelta(seconds=1)) == [position.connector_id]
    assert holding(now=timezone.now() - timedelta(days=1)) == []


def test_argument_that_became_a_part_of_the_text_is_refused() -> None:
    sliced = Compiled(lambda most: Order.unscoped.order_by("pk")[:most])

    with pytest.raises(TypeError, match="not a parameter of the SQL as it stands: most"):
        sliced(most=3)


def test_annotations_beside_values_are_refused() -> None:
    counted = Compiled(lambda state: Order.unscoped.filter(state=state).values_list("symbol").annotate(n=Count("pk")))

    with pytest.raises(TypeError, match="annotations beside values"):
        counted(state="planned")


@pytest.mark.django_db(transaction=True)
def test_rows_are_locked_inside_a_transaction_only() -> None:
    locked = Compiled(lambda pk: Order.unscoped.select_for_update(of=("self",)).filter(pk=pk))
    order = OrderFactory()

    with transaction.atomic():
        assert locked(pk=order.pk) == [order]
    with pytest.raises(TransactionManagementError):
        locked(pk=order.pk)


def test_inserted_row_is_the_saved_one() -> None:
    saved = OrderFactory(quantity=Decimal("1.5"), facts={"estimate": {"notional": "7"}}, price=None)
    fields = [field for field in Order._meta.concrete_fields if field.name not in {"id", "origin_id", "leg"}]
    copy = Order(origin_id=saved.origin_id, leg="z", **{f.attname: getattr(saved, f.attname) for f in fields})
    copy.client_order_id = "another"

    insert(copy)

    read = Order.unscoped.get(pk=copy.pk)
    for field in fields:
        if field.name != "client_order_id":
            assert getattr(read, field.attname) == getattr(saved, field.attname), field.name
    assert not copy._state.adding


def _copies(saved: Order, number: int) -> list[Order]:
    return [
        Order(
            workspace_id=saved.workspace_id,
            connector=saved.connector,
            instrument=saved.instrument,
            origin_id=uuid4(),
            leg="x",
            client_order_id=f"copy{place}",
            intent=saved.intent,
            symbol=saved.symbol,
            side=saved.side,
            quantity=Decimal(place + 1),
        )
        for place in range(number)
    ]


def test_several_rows_go_in_one_statement() -> None:
    saved = OrderFactory()

    with CaptureQueriesContext(connection) as queries:
        insert(*_copies(saved, 2))

    assert len(queries) == 1
    assert Order.unscoped.filter(client_order_id__startswith="copy").count() == 2


@pytest.mark.django_db(transaction=True)
def test_any_number_of_rows_keeps_few_statements_on_the_server() -> None:
    saved = OrderFactory()
    connection.close()

    for number in range(1, 71):
        copies = _copies(saved, number)
        insert(*copies)
        assert Order.unscoped.filter(client_order_id__startswith="copy").count() == number
        assert Order.unscoped.get(pk=copies[-1].pk).quantity == number
        Order.unscoped.filter(client_order_id__startswith="copy").delete()

    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'INSERT%'")
        assert cursor.fetchone() == (7,)


@pytest.mark.django_db(transaction=True)
def test_of_many_rows_all_are_inserted_or_none() -> None:
    saved = OrderFactory()
    copies = _copies(saved, 40)
    copies[-1].client_order_id = saved.client_order_id

    with pytest.raises(IntegrityError):
        insert(*copies)

    assert Order.unscoped.count() == 1


@pytest.mark.parametrize("written", ["NaN", "sNaN", "Infinity"])
def test_a_number_that_is_none_is_refused(written: str) -> None:
    order = OrderFactory()
    with pytest.raises(ValidationError, match="must be a decimal"):
        update(Order, {"quantity": Decimal(written)}, id=order.pk)
    assert Order.unscoped.get(pk=order.pk).quantity == order.quantity


def test_what_the_database_refuses_is_an_integrity_error() -> None:
    saved = OrderFactory()

    with pytest.raises(IntegrityError), transaction.atomic():
        insert(saved)


def test_update_changes_the_rows_that_are_meant() -> None:
    order, other = OrderFactory(next_at=None), OrderFactory(next_at=None)
    at = timezone.now()

    assert update(Order, {"next_at": at, "facts": {"a": "1"}}, id=order.pk, state="planned", next_at=None) == 1
    assert update(Order, {"reason": "x"}, id=order.pk, state="planned", next_at=None) == 0

    order.refresh_from_db()
    other.refresh_from_db()
    assert (order.next_at, order.facts, order.reason, other.next_at) == (at, {"a": "1"}, "", None)


def test_none_of_one_name_is_not_none_of_another() -> None:
    due = Compiled(
        lambda next_at, expires_at: Order.unscoped.filter(next_at=next_at, expires_at=expires_at).values_list(
            "symbol", flat=True
        )
    )
    at = timezone.now()
    OrderFactory(symbol="A", next_at=at, expires_at=None)
    OrderFactory(symbol="B", next_at=None, expires_at=at)

    assert (due(next_at=at, expires_at=None), due(expires_at=at, next_at=None)) == (["A"], ["B"])


def test_values_that_are_equal_and_written_otherwise_are_two_queries() -> None:
    of = Compiled(lambda waits: Order.unscoped.filter(facts__waits=waits).values_list("symbol", flat=True))
    OrderFactory(symbol="A", facts={"waits": True})
    OrderFactory(symbol="B", facts={"waits": 1.0})

    assert (of(waits=True), of(waits=1.0)) == (["A"], ["B"])


def test_what_would_be_read_wrongly_is_refused() -> None:
    distinct = Compiled(lambda state: Order.unscoped.filter(state=state).order_by("pk").values_list("side").distinct())
    fetched = Compiled(lambda state: Order.unscoped.filter(state=state).prefetch_related("fills"))

    with pytest.raises(TypeError, match="not among their values"):
        distinct(state="planned")
    with pytest.raises(TypeError, match="prefetch_related"):
        fetched(state="planned")
