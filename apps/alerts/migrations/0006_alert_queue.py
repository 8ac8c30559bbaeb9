from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("alerts", "0005_quick_walls")]
    operations = [
        migrations.AddIndex(
            model_name="alert",
            index=models.Index(
                fields=["connector", "symbol", "received_at", "id"],
                condition=models.Q(next_at__isnull=False),
                name="alert_queue",
            ),
        ),
    ]
