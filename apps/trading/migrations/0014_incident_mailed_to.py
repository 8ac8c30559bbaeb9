from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("trading", "0013_quick_walls")]

    operations = [
        migrations.AddField(
            model_name="incident",
            name="mailed_to",
            field=models.JSONField(blank=True, help_text="ids of owners who have it, while others do not", null=True),
        ),
    ]
