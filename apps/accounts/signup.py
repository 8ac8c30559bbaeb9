"""A new login gets a workspace of its own and a trial, in the transaction that creates it."""

from django.db import transaction

from apps.accounts import audit
from apps.accounts.models import TRIAL_LENGTH, Membership, Role, Subscription, User, Workspace
from apps.accounts.plans import default_plan
from apps.lib import world


@transaction.atomic
def open_workspace(user: User) -> Workspace:
    """Create the user's workspace, owner membership and trial; return the one they have when they have one."""
    membership = Membership.objects.select_related("workspace").filter(user=user).order_by("created_at").first()
    if membership is not None:
        return membership.workspace
    workspace = Workspace.objects.create(name=name_for(user.email))
    Membership.objects.create(workspace=workspace, user=user, role=Role.OWNER)
    start_trial(workspace)
    audit.record(workspace, "workspace.opened")
    return workspace


def start_trial(workspace: Workspace) -> Subscription:
    now = world.now()
    return Subscription.objects.create(
        workspace=workspace, plan=default_plan(), trial_started_at=now, trial_ends_at=now + TRIAL_LENGTH
    )


def name_for(email: str) -> str:
    return f"{email.partition('@')[0][:100]}'s workspace"
