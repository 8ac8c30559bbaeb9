from django.db import migrations

DROP = "DROP TRIGGER same_workspace ON trading_protection;"
CREATE = (
    "CREATE TRIGGER same_workspace BEFORE INSERT OR UPDATE OF workspace_id, connector_id, entry_id, fired_id{column} "
    "ON trading_protection FOR EACH ROW EXECUTE FUNCTION same_workspace("
    "'connector_id', 'connectors_connector', 'entry_id', 'trading_order', 'fired_id', 'trading_order'{pair})"
)


class Migration(migrations.Migration):
    """The guard that another one replaces belongs to the same workspace, too."""

    dependencies = [("trading", "0009_flatten")]

    operations = [
        migrations.RunSQL(
            DROP + CREATE.format(column=", replaces_id", pair=", 'replaces_id', 'trading_protection'"),
            DROP + CREATE.format(column="", pair=""),
        )
    ]
