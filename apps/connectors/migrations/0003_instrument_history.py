import django.db.models.deletion
import django.db.models.manager
import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0003_plans'),
        ('connectors', '0002_walls'),
    ]

    operations = [
        migrations.AddField(
            model_name='instrument',
            name='is_listed',
            field=models.BooleanField(default=True, help_text='in the newest listing; rows are kept for what was traded'),
        ),
        migrations.CreateModel(
            name='InstrumentChange',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField()),
                ('field', models.CharField(max_length=30)),
                ('old', models.CharField(blank=True, max_length=60)),
                ('new', models.CharField(blank=True, max_length=60)),
                ('instrument', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='changes', to='connectors.instrument')),
            ],
            options={
                'indexes': [models.Index(fields=['-at'], name='instrument_change_newest')],
                'constraints': [models.UniqueConstraint(fields=('instrument', 'at', 'field'), name='one_change_per_field_and_moment')],
            },
        ),
        migrations.CreateModel(
            name='SymbolAlias',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('ticker', models.CharField(help_text='folded as in symbols.normalize', max_length=64)),
                ('symbol', models.CharField(max_length=40)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('connector', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='aliases', to='connectors.connector')),
                ('workspace', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.workspace')),
            ],
            options={
                'verbose_name_plural': 'symbol aliases',
                'abstract': False,
                'default_manager_name': 'unscoped',
                'constraints': [models.UniqueConstraint(fields=('connector', 'ticker'), name='one_alias_per_ticker')],
            },
            managers=[
                ('unscoped', django.db.models.manager.Manager()),
            ],
        ),
        migrations.RunSQL(
            "CREATE TRIGGER same_workspace BEFORE INSERT OR UPDATE OF workspace_id, connector_id "
            "ON connectors_symbolalias "
            "FOR EACH ROW EXECUTE FUNCTION same_workspace('connector_id', 'connectors_connector')",
            "DROP TRIGGER same_workspace ON connectors_symbolalias",
        ),
    ]
