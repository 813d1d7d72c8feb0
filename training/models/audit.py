"""The audit log: who did what to which object, when and from where. Rows are written once, and never again."""

from typing import Any, NoReturn

from django.conf import settings
from django.db import models

from training.models.people import Organization


class AppendOnly(Exception):
    """Somebody tried to change or remove an entry of the audit log."""


class AuditQuerySet(models.QuerySet[Any]):
    """Rows to add and to read. The database itself refuses too, in case code finds a way around this."""

    def update(self, **fields: Any) -> NoReturn:
        raise AppendOnly("Entries of the audit log are never changed.")

    def delete(self) -> NoReturn:
        raise AppendOnly("Entries of the audit log are never removed.")

    def bulk_update(self, *args: Any, **kwargs: Any) -> NoReturn:
        self.update()

    def update_or_create(self, *args: Any, **kwargs: Any) -> NoReturn:
        self.update()


class AuditEntry(models.Model):
    """One thing that somebody did. It outlives the people and objects that it names, so it holds their names."""

    organization_path = "organization"
    time = models.DateTimeField(auto_now_add=True)
    organization = models.ForeignKey(
        Organization, models.DO_NOTHING, null=True, blank=True, db_constraint=False, related_name="+", db_index=False
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.DO_NOTHING, null=True, blank=True, db_constraint=False, related_name="+"
    )
    who = models.CharField(max_length=200, help_text="The person's name then, or the program's.")
    by = models.CharField(max_length=120, help_text="How: in the pages, with the key vtk_…, or a program's name.")
    action = models.CharField(max_length=64, help_text="Such as job.cancel: a noun and a verb.")
    object_type = models.CharField(max_length=32, blank=True)
    object_id = models.CharField(max_length=64, blank=True)
    object_name = models.CharField(max_length=200, blank=True)
    old = models.JSONField(null=True, blank=True, help_text="What changed, as it was.")
    new = models.JSONField(null=True, blank=True, help_text="What changed, as it is now.")
    address = models.CharField(max_length=45, blank=True, help_text="The network address that asked.")
    request_id = models.CharField(max_length=64, blank=True)
    objects = AuditQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "audit log"
        indexes = [
            models.Index(fields=["organization", "id"], name="audit_organization"),
            models.Index(fields=["object_type", "object_id"], name="audit_object"),
        ]

    def __str__(self) -> str:
        return f"{self.who}: {self.action} {self.object_name}".strip()

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise AppendOnly("Entries of the audit log are never changed.")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise AppendOnly("Entries of the audit log are never removed.")
