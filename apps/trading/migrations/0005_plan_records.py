import apps.lib.world
import django.db.models.deletion
import django.db.models.manager
from django.db import migrations, models

TABLE = "trading_planrecord"


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0004_world_defaults"),
        ("connectors", "0004_world_defaults"),
        ("trading", "0004_incident"),
    ]

    operations = [
        migrations.CreateModel(
            name="PlanRecord",
            fields=[
                (
                    "id",
                    models.UUIDField(default=apps.lib.world.new_id, editable=False, primary_key=True, serialize=False),
                ),
                ("origin_id", models.UUIDField(help_text="what asked", unique=True)),
                ("at", models.DateTimeField(help_text="when everything was read")),
                ("version", models.PositiveSmallIntegerField()),
                ("inputs", models.JSONField()),
                ("outline", models.JSONField()),
                (
                    "connector",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="connectors.connector",
                    ),
                ),
                (
                    "workspace",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.workspace",
                    ),
                ),
            ],
            options={"abstract": False, "default_manager_name": "unscoped"},
            managers=[("unscoped", django.db.models.manager.Manager())],
        ),
        migrations.RunSQL(
            f"CREATE TRIGGER same_workspace BEFORE INSERT OR UPDATE OF workspace_id, connector_id ON {TABLE} "
            "FOR EACH ROW EXECUTE FUNCTION same_workspace('connector_id', 'connectors_connector')",
            f"DROP TRIGGER same_workspace ON {TABLE}",
        ),
        migrations.RunSQL(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON {TABLE} "
            "FOR EACH ROW EXECUTE FUNCTION append_only()",
            f"DROP TRIGGER append_only ON {TABLE}",
        ),
    ]
