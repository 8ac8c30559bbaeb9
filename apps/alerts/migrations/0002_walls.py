from django.db import migrations

FORWARD = """
ALTER TABLE alerts_alert ADD CONSTRAINT alert_of_own_pointer
    FOREIGN KEY (pointer_id, connector_id, workspace_id)
    REFERENCES connectors_pointer (id, connector_id, workspace_id) DEFERRABLE INITIALLY DEFERRED;
CREATE TRIGGER same_workspace BEFORE UPDATE OF order_id ON alerts_alert
    FOR EACH ROW EXECUTE FUNCTION same_workspace('order_id', 'trading_order');
"""

REVERSE = """
DROP TRIGGER same_workspace ON alerts_alert;
ALTER TABLE alerts_alert DROP CONSTRAINT alert_of_own_pointer;
"""


class Migration(migrations.Migration):
    dependencies = [("alerts", "0001_initial"), ("connectors", "0002_walls"), ("trading", "0002_walls")]
    operations = [migrations.RunSQL(FORWARD, REVERSE)]
