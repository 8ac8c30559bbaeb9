"""Form fields drawn with the classes of the design system."""

from django import forms, template
from django.forms import BoundField
from django.utils.safestring import SafeString

register = template.Library()


@register.filter
def control(field: BoundField) -> SafeString:
    """Draw the field's control. Django itself links it to its help and its errors (aria-describedby)."""
    css = control_class(field.field.widget)
    own = field.field.widget.attrs.get("class", "")
    attrs: dict[str, str | bool] = {"class": f"{css} {own}".strip()}
    placeholder = str(field.field.widget.attrs.get("placeholder", ""))
    if placeholder.casefold().startswith(str(field.label).casefold()):
        attrs["placeholder"] = False  # it only repeats the label
    return field.as_widget(attrs=attrs)


@register.filter
def is_checkbox(field: BoundField) -> bool:
    return isinstance(field.field.widget, forms.CheckboxInput)


@register.filter
def may_be_left_empty(field: BoundField) -> bool:
    """Whether the label says "optional": not of a list that always has something chosen."""
    widget = field.field.widget
    has_empty = not isinstance(widget, forms.Select) or any(value in ("", None) for value, _ in widget.choices)
    return not field.field.required and has_empty


@register.filter
def is_group(field: BoundField) -> bool:
    """Whether the control is several inputs, named by a legend."""
    return bool(field.field.widget.use_fieldset)


def control_class(widget: forms.Widget) -> str:
    if isinstance(widget, forms.CheckboxInput):
        return "checkbox checkbox-primary"
    if isinstance(widget, forms.RadioSelect | forms.CheckboxSelectMultiple):
        return "choices"
    if isinstance(widget, forms.Select):
        return "select"
    if isinstance(widget, forms.Textarea):
        return "textarea"
    return "input"
