"""Triggers that keep the rows of one workspace together, for migrations.

Each table has a function of its own: its statements are planned once a connection. One function for all had to put
its statements together at each row, and cost as much as the insert.
"""

from collections.abc import Mapping

from django.db.migrations import RunSQL


def same_workspace(table: str, parents: Mapping[str, str], *, events: str = "INSERT OR UPDATE") -> RunSQL:
    """Refuse rows of `table` that point at a row of another workspace; `parents` by column: its table.

    Takes the place of the trigger on the function for all tables.
    """
    tests = "".join(_TEST.format(column=column, parent=parent) for column, parent in parents.items())
    columns = ", ".join([*(["workspace_id"] if "INSERT" in events else []), *parents])
    arguments = ", ".join(f"'{column}', '{parent}'" for column, parent in parents.items())
    when = f"BEFORE {events} OF {columns} ON {table} FOR EACH ROW"
    trigger = f"CREATE OR REPLACE TRIGGER same_workspace {when} EXECUTE FUNCTION"
    return RunSQL(
        f"CREATE FUNCTION {table}_same_workspace() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {tests}"
        f" RETURN NEW; END $$; {trigger} {table}_same_workspace();",
        f"{trigger} same_workspace({arguments}); DROP FUNCTION {table}_same_workspace();",
    )


_TEST = """
    IF NEW.{column} IS NOT NULL AND NEW.workspace_id IS DISTINCT FROM
        (SELECT workspace_id FROM {parent} WHERE id = NEW.{column})
    THEN
        RAISE EXCEPTION '%.{column}: belongs to another workspace', TG_TABLE_NAME
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;"""


# As it was until each table had its own. Arguments: column, table, column, table, …
FOR_ALL_TABLES = """
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
"""
