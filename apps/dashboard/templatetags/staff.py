from django import template

from apps.dashboard import staff

register = template.Library()


@register.simple_tag
def staff_looks() -> list[staff.Look]:
    return staff.looks()
