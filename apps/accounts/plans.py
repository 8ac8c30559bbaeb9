from apps.accounts.models import Plan

TRIAL = "trial"


def default_plan() -> Plan:
    """Return the plan of a new workspace, with the limits that hold until the user raises them."""
    plan, _ = Plan.objects.get_or_create(code=TRIAL, defaults={"name": "Trial"})
    return plan
