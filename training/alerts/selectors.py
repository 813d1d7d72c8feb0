"""Reads of alerts for people: targets, rules, and the log of what was sent."""

from dataclasses import dataclass

from training.alerts.addresses import KINDS as TARGET_KINDS
from training.alerts.conditions import condition_said
from training.models import AlertMessage, AlertRule, AlertTarget, Project, User
from training.models.visibility import OrganizationQuerySet


@dataclass(frozen=True, slots=True)
class RuleShown:
    """A rule in words."""

    rule: AlertRule
    said: str
    targets: list[AlertTarget]


def targets_visible(user: User, organization_id: int | None = None) -> OrganizationQuerySet:
    return AlertTarget.objects.visible_to(user, organization_id).select_related("project")


def rules_visible(user: User, organization_id: int | None = None) -> OrganizationQuerySet:
    return AlertRule.objects.visible_to(user, organization_id).select_related("project").prefetch_related("targets")


def messages_visible(user: User, organization_id: int | None = None) -> OrganizationQuerySet:
    """What was sent, and what waits; of deleted jobs nothing."""
    rows = AlertMessage.objects.visible_to(user, organization_id).filter(alert__job__deleted_at=None)
    return rows.select_related("target", "alert__rule", "alert__job")


def rules_shown(project: Project) -> list[RuleShown]:
    rules = project.alert_rules.prefetch_related("targets")
    return [RuleShown(rule, condition_said(rule.kind, rule.condition), list(rule.targets.all())) for rule in rules]


def targets_shown(project: Project) -> list[tuple[AlertTarget, str, AlertMessage | None]]:
    """Each target, the word for its kind, and the newest message to it."""
    newest = {one.target_id: one for one in AlertMessage.objects.filter(pk__in=_newest(project))}
    return [(one, str(TARGET_KINDS.get(one.kind, one.kind)), newest.get(one.pk)) for one in project.alert_targets.all()]


def _newest(project: Project) -> list[int]:
    """The id of each target's newest message, by one look into its index a target."""
    ids = (one.messages.order_by("-id").values_list("id", flat=True).first() for one in project.alert_targets.all())
    return [number for number in ids if number is not None]
