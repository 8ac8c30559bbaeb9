"""Two functions other migrations hang triggers on: rows nobody may change, and children of one workspace."""

from django.db import migrations

from apps.accounts.walls import FOR_ALL_TABLES

FUNCTIONS = """
CREATE FUNCTION append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END $$;
"""

LAST = """
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON accounts_auditevent
    FOR EACH ROW EXECUTE FUNCTION append_only();
"""

REVERSE = """
DROP TRIGGER append_only ON accounts_auditevent;
DROP FUNCTION same_workspace();
DROP FUNCTION append_only();
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]
    operations = [migrations.RunSQL(FUNCTIONS + FOR_ALL_TABLES + LAST, REVERSE)]
