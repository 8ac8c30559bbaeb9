from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("trading", "0015_account_watches")]

    operations = [
        migrations.AddField(
            model_name="accountwatch",
            name="refused_symbols",
            field=models.JSONField(
                blank=True, help_text="symbols whose orders were refused: since when they are not compared", null=True
            ),
        ),
    ]
