from django.db import migrations


def add_plans(apps, schema_editor):
    plan = apps.get_model("accounts", "Plan")
    plan.objects.get_or_create(code="trial", defaults={"name": "Trial"})
    plan.objects.get_or_create(code="pro", defaults={"name": "Pro", "max_connectors": 50})
    apps.get_model("accounts", "PlatformState").objects.get_or_create(id=1)


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_walls")]
    operations = [migrations.RunPython(add_plans, migrations.RunPython.noop)]
