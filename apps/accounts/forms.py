from typing import Any
from zoneinfo import available_timezones

from django import forms

from apps.accounts.models import User, Workspace


def zone_choices() -> list[tuple[str, str]]:
    """Return the IANA zones that people live in, grouped by nothing, in order of name; UTC first."""
    zones = sorted(name for name in available_timezones() if "/" in name and not name.startswith(("Etc/", "posix/")))
    return [("UTC", "UTC"), *((name, name.replace("_", " ")) for name in zones)]


class SettingsForm(forms.Form):
    """The reader's own time zone, and for an owner the workspace's name."""

    time_zone = forms.ChoiceField(
        choices=zone_choices,
        label="Time zone",
        help_text="Every time on the pages is shown in it. Exports stay in UTC.",
    )
    workspace_name = forms.CharField(
        max_length=120, label="Workspace name", help_text="Only you and its members see it."
    )

    def __init__(self, *args: Any, user: User, workspace: Workspace, may_rename: bool, **kwargs: Any) -> None:
        kwargs["initial"] = {"time_zone": user.time_zone or "UTC", "workspace_name": workspace.name}
        super().__init__(*args, **kwargs)
        self.user = user
        self.workspace = workspace
        if not may_rename:
            del self.fields["workspace_name"]

    def save(self) -> None:
        self.user.time_zone = self.cleaned_data["time_zone"]
        self.user.save(update_fields=["time_zone"])
        if "workspace_name" in self.cleaned_data:
            self.workspace.name = self.cleaned_data["workspace_name"]
            self.workspace.save(update_fields=["name"])


class ZoneForm(forms.Form):
    """What the browser says its zone is."""

    zone = forms.ChoiceField(choices=zone_choices)


class StateForm(forms.Form):
    state = forms.ChoiceField(choices=[("active", "active"), ("reduce_only", "exits only"), ("halted", "halted")])
