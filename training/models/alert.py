"""Alerts: rules of a project, the places they are sent to, what has happened, and what was sent of it."""

from django.conf import settings
from django.db import models

from training.models.job import TrainingJob
from training.models.project import Project
from training.models.visibility import OrganizationQuerySet


class AlertTarget(models.Model):
    """Where alerts of a project go. The address may hold secrets: it is kept encrypted, and shown only in part."""

    organization_path = "project__organization"
    project = models.ForeignKey(Project, models.CASCADE, related_name="alert_targets")
    name = models.CharField(max_length=80)
    kind = models.CharField(max_length=16, help_text="email, webhook or apprise.")
    secret = models.TextField(help_text="The address, encrypted.")
    shown = models.CharField(max_length=120, help_text="As much of the address as people are shown.")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True, help_text="Of the last message that arrived.")
    claimed_until = models.DateTimeField(null=True, help_text="A worker sends to it; by the database's clock.")
    objects = OrganizationQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="alert_target_name_unique")]

    def __str__(self) -> str:
        return self.name


class AlertRule(models.Model):
    """When people of a project are told. `condition` is as `alerts/conditions.py` reads it for the `kind`."""

    organization_path = "project__organization"
    project = models.ForeignKey(Project, models.CASCADE, related_name="alert_rules")
    name = models.CharField(max_length=80)
    kind = models.CharField(max_length=16, help_text="state, metric, nan, stalled or worker.")
    condition = models.JSONField(default=dict)
    targets = models.ManyToManyField(AlertTarget, related_name="rules")
    enabled = models.BooleanField(default=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    objects = OrganizationQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="alert_rule_name_unique")]

    def __str__(self) -> str:
        return self.name


class Alert(models.Model):
    """Something that a rule was waiting for has happened in a job. `key` tells it from others: it is made once."""

    organization_path = "rule__project__organization"
    rule = models.ForeignKey(AlertRule, models.CASCADE, related_name="alerts")
    job = models.ForeignKey(TrainingJob, models.CASCADE, related_name="alerts")
    key = models.CharField(max_length=40)
    title = models.CharField(max_length=300)
    text = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    objects = OrganizationQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["rule", "job", "key"], name="alert_once")]

    def __str__(self) -> str:
        return self.title


class AlertMessage(models.Model):
    """One alert on its way to one target; without an alert, a test. Messages that wait together are sent as one."""

    organization_path = "target__project__organization"
    alert = models.ForeignKey(Alert, models.CASCADE, null=True, related_name="messages")
    target = models.ForeignKey(AlertTarget, models.CASCADE, related_name="messages")
    state = models.CharField(max_length=8, default="waiting", help_text="waiting, sent or failed.")
    tries = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(help_text="Not sent before.")
    sent_at = models.DateTimeField(null=True)
    together = models.PositiveIntegerField(default=1, help_text="How many alerts the message that it went in held.")
    error = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    objects = OrganizationQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["due_at"], name="alert_message_due", condition=models.Q(state="waiting")),
            models.Index(fields=["target", "-id"], name="alert_message_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.alert or 'test'} to {self.target}"
