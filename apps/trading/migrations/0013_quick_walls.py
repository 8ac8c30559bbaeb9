from django.db import migrations

from apps.accounts.walls import same_workspace

CONNECTOR = {"connector_id": "connectors_connector"}
ORDER = {"order_id": "trading_order"}
GUARD = {"entry_id": "trading_order", "fired_id": "trading_order", "replaces_id": "trading_protection"}
CHILDREN = {
    "trading_order": CONNECTOR | {"parent_id": "trading_order"},
    "trading_orderevent": ORDER,
    "trading_fill": CONNECTOR | ORDER,
    "trading_position": CONNECTOR,
    "trading_ledgerentry": CONNECTOR | {"fill_id": "trading_fill"},
    "trading_equitypoint": CONNECTOR,
    "trading_shadowposition": CONNECTOR,
    "trading_incident": CONNECTOR | ORDER,
    "trading_planrecord": CONNECTOR,
    "trading_adjustment": CONNECTOR,
    "trading_accountwatch": CONNECTOR,
    "trading_flatten": CONNECTOR,
    "trading_protection": CONNECTOR | GUARD,
}


class Migration(migrations.Migration):
    dependencies = [("trading", "0012_indexes_that_are_used"), ("connectors", "0010_quick_walls")]
    operations = [same_workspace(table, parents) for table, parents in CHILDREN.items()]
