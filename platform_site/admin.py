"""The admin site: for superusers, with the product's name, and what its pages share."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html

from training.people.audit import audit

Action = Callable[[Any, HttpRequest, QuerySet[Any]], HttpResponse | None]
NAMED = 20  # objects that a question names


class PlatformAdminSite(admin.AdminSite):
    site_header = "Training: administration"
    site_title = "Training"
    index_title = "Everything that the platform keeps"

    def has_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_active and request.user.is_superuser)


class Audited(admin.ModelAdmin):
    """What is changed here is in the audit log as well."""

    show_full_result_count = False

    def log_addition(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        audit(f"{obj._meta.model_name}.admin_add", obj)
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        audit(f"{obj._meta.model_name}.admin_change", obj, new={"fields": str(message)})
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        for obj in queryset:
            audit(f"{obj._meta.model_name}.admin_delete", obj)
        return super().log_deletions(request, queryset)


class Kept(Audited):
    """Rows that may be changed here, and are never removed: too much hangs on them."""

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class ReadOnly(Kept):
    """Rows that only their own code changes."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


def linked(field: str, label: str = "") -> Callable[[Any, Any], str]:
    """A column of a list: the object that a foreign key names, as a link to its page here."""

    @admin.display(description=label or field.replace("_", " "), ordering=field)
    def column(self: Any, row: Any) -> str:
        found = getattr(row, field)
        if found is None:
            return "–"
        address = reverse(f"admin:{found._meta.app_label}_{found._meta.model_name}_change", args=[found.pk])
        return format_html('<a href="{}">{}</a>', address, found)

    return column


def confirmed(question: str) -> Callable[[Action], Action]:
    """An action that asks, and names what it will be done to, before it is done."""

    def decorate(action: Action) -> Action:
        @wraps(action)
        def asking(self: Any, request: HttpRequest, rows: QuerySet[Any]) -> HttpResponse | None:
            if request.POST.get("confirmed"):
                return action(self, request, rows)
            context = self.admin_site.each_context(request) | {
                "title": question,
                "opts": self.model._meta,
                "rows": rows[:NAMED],
                "more": max(0, rows.count() - NAMED),
                "chosen": request.POST.getlist(ACTION_CHECKBOX_NAME),
                "all": request.POST.get("select_across", "0"),
                "action": request.POST.get("action", ""),
                "checkbox": ACTION_CHECKBOX_NAME,
            }
            return TemplateResponse(request, "admin/confirm_action.html", context)

        return asking

    return decorate
