from django.db import migrations

CHILDREN = {
    "trading_order": ["connector_id", "connectors_connector", "parent_id", "trading_order"],
    "trading_orderevent": ["order_id", "trading_order"],
    "trading_fill": ["connector_id", "connectors_connector", "order_id", "trading_order"],
    "trading_position": ["connector_id", "connectors_connector"],
    "trading_ledgerentry": ["connector_id", "connectors_connector", "fill_id", "trading_fill"],
    "trading_equitypoint": ["connector_id", "connectors_connector"],
    "trading_shadowposition": ["connector_id", "connectors_connector"],
}
APPEND_ONLY = ["trading_orderevent", "trading_ledgerentry"]


def statements():
    for table, pairs in CHILDREN.items():
        columns = ", ".join(["workspace_id", *pairs[::2]])
        arguments = ", ".join(f"'{item}'" for item in pairs)
        yield (
            f"CREATE TRIGGER same_workspace BEFORE INSERT OR UPDATE OF {columns} ON {table} "
            f"FOR EACH ROW EXECUTE FUNCTION same_workspace({arguments})",
            f"DROP TRIGGER same_workspace ON {table}",
        )
    for table in APPEND_ONLY:
        yield (
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION append_only()",
            f"DROP TRIGGER append_only ON {table}",
        )


class Migration(migrations.Migration):
    dependencies = [("trading", "0001_initial"), ("accounts", "0002_walls"), ("connectors", "0002_walls")]
    operations = [migrations.RunSQL(forward, reverse) for forward, reverse in statements()]
