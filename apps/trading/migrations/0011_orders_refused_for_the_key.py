from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("trading", "0010_protection_replaces_wall")]

    operations = [
        migrations.AddField(
            model_name="accountwatch",
            name="orders_refused_count",
            field=models.PositiveIntegerField(default=0, help_text="orders in a row that were refused for the key"),
        ),
        migrations.AddField(
            model_name="accountwatch",
            name="orders_refused_since",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="accountwatch",
            name="orders_refused_at",
            field=models.DateTimeField(blank=True, help_text="the newest of them", null=True),
        ),
    ]
