"""What a decision was made from, kept with it for ever, so that it can be made again."""

from uuid import UUID

from apps.lib.compiled import inserting
from apps.lib.frozen import ThawError, freeze, thaw
from apps.lib.statements import Asked
from apps.trading.deciding import Planned
from apps.trading.inputs import Inputs
from apps.trading.models import PlanRecord
from apps.trading.outline import Outline, outline_of

# Raised when an old row would be read wrongly; a field added with a default needs none.
VERSION = 1


def kept(inputs: Inputs, planned: Planned, *, workspace_id: UUID) -> Asked:
    """Return the statement that stores both; the caller's transaction holds the decision itself."""
    row = PlanRecord(
        workspace_id=workspace_id,
        connector_id=inputs.connector_id,
        origin_id=inputs.origin.id,
        at=inputs.now,
        version=VERSION,
        inputs=freeze(inputs),
        outline=freeze(outline_of(planned)),
    )
    # Not save(): it would read the connector again to compare workspaces, which the database does by itself.
    (asked,) = inserting(row)
    return asked


def inputs_in(record: PlanRecord) -> Inputs:
    """Return what the decision was made from. ThawError when another release wrote it differently."""
    _check_version(record)
    return thaw(Inputs, record.inputs)


def outline_in(record: PlanRecord) -> Outline:
    """Return what was decided. ThawError when another release wrote it differently."""
    _check_version(record)
    return thaw(Outline, record.outline)


def _check_version(record: PlanRecord) -> None:
    if record.version != VERSION:
        raise ThawError(f"written in form {record.version}, this release reads form {VERSION}")
