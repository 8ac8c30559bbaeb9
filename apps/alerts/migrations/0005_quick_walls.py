from django.db import migrations

from apps.accounts.walls import FOR_ALL_TABLES, same_workspace


class Migration(migrations.Migration):
    dependencies = [("alerts", "0004_previews"), ("trading", "0013_quick_walls")]
    operations = [
        same_workspace("alerts_alert", {"order_id": "trading_order"}, events="UPDATE"),
        same_workspace("alerts_preview", {"connector_id": "connectors_connector", "alert_id": "alerts_alert"}),
        # Alerts are the last room of the line: nobody else has a trigger on it.
        migrations.RunSQL("DROP FUNCTION same_workspace()", FOR_ALL_TABLES),
    ]
