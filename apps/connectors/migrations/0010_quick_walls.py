from django.db import migrations

from apps.accounts.walls import same_workspace


class Migration(migrations.Migration):
    dependencies = [("connectors", "0009_outages")]
    operations = [same_workspace("connectors_symbolalias", {"connector_id": "connectors_connector"})]
