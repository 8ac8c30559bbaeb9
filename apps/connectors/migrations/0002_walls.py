from django.db import migrations

# The pointer carries its connector's workspace; a delivery's row repeats all three under one foreign key.
FORWARD = """
ALTER TABLE connectors_connector ADD CONSTRAINT connector_in_workspace UNIQUE (id, workspace_id);
ALTER TABLE connectors_pointer ADD CONSTRAINT pointer_in_workspace UNIQUE (id, connector_id, workspace_id);
ALTER TABLE connectors_pointer ADD CONSTRAINT pointer_of_own_connector
    FOREIGN KEY (connector_id, workspace_id) REFERENCES connectors_connector (id, workspace_id)
    DEFERRABLE INITIALLY DEFERRED;
"""

REVERSE = """
ALTER TABLE connectors_pointer DROP CONSTRAINT pointer_of_own_connector;
ALTER TABLE connectors_pointer DROP CONSTRAINT pointer_in_workspace;
ALTER TABLE connectors_connector DROP CONSTRAINT connector_in_workspace;
"""


class Migration(migrations.Migration):
    dependencies = [("connectors", "0001_initial"), ("accounts", "0002_walls")]
    operations = [migrations.RunSQL(FORWARD, REVERSE)]
