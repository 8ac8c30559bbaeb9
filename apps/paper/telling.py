"""Saving a row and telling the feed of it, in one step."""

from dataclasses import replace

from apps.paper.events import Action, OrderChanged, Traded, TriggerChanged
from apps.paper.records import Fill, Order, Trigger
from apps.paper.store import Store


def save_order(store: Store, order: Order, action: Action, fill: Fill | None = None) -> None:
    store.save(order)
    if fill is not None:
        store.save(fill)
    tell_order(store, order, action, fill)


def tell_order(store: Store, order: Order, action: Action, fill: Fill | None = None) -> None:
    if not store.feed.is_heard:
        return
    store.feed.add(OrderChanged(order.account_id, replace(order), action, fill))
    if fill is not None:
        store.feed.add(Traded(order.account_id, fill))


def save_trigger(store: Store, trigger: Trigger, action: Action) -> None:
    store.save(trigger)
    if store.feed.is_heard:
        store.feed.add(TriggerChanged(trigger.account_id, replace(trigger), action))
