from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    # The webhook goes on storing while a long table is looked through.
    atomic = False
    dependencies = [("alerts", "0005_quick_walls")]
    operations = [
        AddIndexConcurrently(
            model_name="alert",
            index=models.Index(
                fields=["connector", "symbol", "received_at", "id"],
                condition=models.Q(next_at__isnull=False),
                name="alert_queue",
            ),
        ),
    ]
