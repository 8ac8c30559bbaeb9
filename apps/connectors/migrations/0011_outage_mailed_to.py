from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("connectors", "0010_quick_walls")]

    operations = [
        migrations.AddField(
            model_name="outage",
            name="mailed_to",
            field=models.JSONField(blank=True, help_text="ids of staff who have it, while others do not", null=True),
        ),
    ]
