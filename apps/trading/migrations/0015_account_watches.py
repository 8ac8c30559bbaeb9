from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("trading", "0014_incident_mailed_to")]

    operations = [
        migrations.AlterModelOptions(
            name="accountwatch",
            options={"default_manager_name": "unscoped", "verbose_name_plural": "account watches"},
        ),
    ]
