from django.db import migrations

from apps.accounts.walls import same_workspace


class Migration(migrations.Migration):
    dependencies = [("alerts", "0004_previews"), ("trading", "0013_quick_walls")]
    operations = [
        same_workspace("alerts_alert", {"order_id": "trading_order"}, events="UPDATE"),
        same_workspace("alerts_preview", {"connector_id": "connectors_connector", "alert_id": "alerts_alert"}),
    ]
