"""Two functions other migrations hang triggers on: rows nobody may change, and children of one workspace."""

from django.db import migrations

FUNCTIONS = """
CREATE FUNCTION append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END $$;

-- Arguments: column, table, column, table, …: the row a column points at must have the same workspace_id.
CREATE FUNCTION same_workspace() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    target uuid;
    owner uuid;
BEGIN
    FOR i IN 0 .. TG_NARGS / 2 - 1 LOOP
        EXECUTE format('SELECT ($1).%I', TG_ARGV[2 * i]) INTO target USING NEW;
        IF target IS NOT NULL THEN
            EXECUTE format('SELECT workspace_id FROM %I WHERE id = $1', TG_ARGV[2 * i + 1]) INTO owner USING target;
            IF owner IS DISTINCT FROM NEW.workspace_id THEN
                RAISE EXCEPTION '%.%: belongs to another workspace', TG_TABLE_NAME, TG_ARGV[2 * i]
                    USING ERRCODE = 'integrity_constraint_violation';
            END IF;
        END IF;
    END LOOP;
    RETURN NEW;
END $$;

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
    operations = [migrations.RunSQL(FUNCTIONS, REVERSE)]
