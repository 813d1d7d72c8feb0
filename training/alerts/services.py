"""What people do with alerts: targets and rules of a project, and tests. Who may is asked at the doors."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext, override

from training.alerts.addresses import address_clean, address_shown
from training.alerts.conditions import condition_clean, condition_said
from training.alerts.secrets import seal
from training.jobs.wakeups import queue_wake
from training.models import AlertMessage, AlertRule, AlertTarget, Project, User
from training.people.audit import audit, audit_changes

MOST = 50  # rules of a project, and targets
NAME_LENGTH = 80
TEST_PAUSE = timedelta(seconds=10)


def target_create(project: Project, user: User, name: str, kind: str, address: str) -> AlertTarget:
    """A new place for alerts. Raises ValidationError with a message per field."""
    with transaction.atomic():
        _room(project, project.alert_targets.count(), gettext("A project has at most %(most)s targets."))
        cleaned = address_clean(kind, address)
        named = _name_clean(name, project.alert_targets)
        shown = address_shown(kind, cleaned)
        made = AlertTarget.objects.create(
            project=project, name=named, kind=kind, secret=seal(cleaned), shown=shown, created_by=user
        )
        audit("alert_target.create", made, by=user, new={"kind": kind, "shown": shown})
    return made


def target_remove(target: AlertTarget, user: User) -> None:
    """Nothing is sent there any more; rules that had no other stay, and say so."""
    with transaction.atomic():
        audit("alert_target.remove", target, by=user, old={"kind": target.kind, "shown": target.shown})
        target.delete()


def target_test(target: AlertTarget, user: User) -> AlertMessage:
    """Send a test there, soon. Raises ValidationError while one is on its way, or was a moment ago."""
    with transaction.atomic():
        locked = AlertTarget.objects.select_for_update().get(pk=target.pk)
        tests = AlertMessage.objects.filter(target=locked, alert=None)
        if tests.filter(state="waiting").exists() or tests.filter(created_at__gt=timezone.now() - TEST_PAUSE).exists():
            raise ValidationError({"target": gettext("A test was sent a moment ago: see below what became of it.")})
        made = AlertMessage.objects.create(target=locked, due_at=Now())
        audit("alert_target.test", target, by=user)
        transaction.on_commit(lambda: queue_wake("alerts"))
    return made


def rule_create(
    project: Project, user: User, name: str, kind: str, condition: dict[str, Any], targets: Sequence[int]
) -> AlertRule:
    """A new rule; what happened before is not told. Raises ValidationError with a message per field."""
    with transaction.atomic():
        _room(project, project.alert_rules.count(), gettext("A project has at most %(most)s rules."))
        cleaned = condition_clean(kind, condition)
        places = _targets_of(project, targets)
        named = _name_clean(name, project.alert_rules)
        made = AlertRule.objects.create(project=project, name=named, kind=kind, condition=cleaned, created_by=user)
        made.targets.set(places)
        audit("alert_rule.create", made, by=user, new=_facts(made))
    return made


def rule_change(
    rule: AlertRule,
    user: User,
    *,
    name: str | None = None,
    condition: dict[str, Any] | None = None,
    targets: Sequence[int] | None = None,
    enabled: bool | None = None,
) -> AlertRule:
    """Change what is told; the kind stays. Raises ValidationError, and changes nothing then."""
    with transaction.atomic():
        locked = AlertRule.objects.select_for_update(no_key=True).get(pk=rule.pk)
        before = _facts(locked)
        if name is not None:
            locked.name = _name_clean(name, locked.project.alert_rules.exclude(pk=locked.pk))
        if condition is not None:
            locked.condition = condition_clean(locked.kind, condition)
        if targets is not None:
            locked.targets.set(_targets_of(locked.project, targets))
        if enabled is not None:
            locked.enabled = enabled
        locked.save()
        audit_changes("alert_rule.change", locked, before, _facts(locked), by=user)
    return locked


def rule_remove(rule: AlertRule, user: User) -> None:
    """The rule, and what the log holds of it."""
    with transaction.atomic():
        audit("alert_rule.remove", rule, by=user, old=_facts(rule))
        rule.delete()


def _facts(rule: AlertRule) -> dict[str, Any]:
    with override("en"):  # the audit log is kept in one language
        said = condition_said(rule.kind, rule.condition)
    targets = ", ".join(rule.targets.order_by("name").values_list("name", flat=True))
    return {"name": rule.name, "condition": said, "targets": targets, "enabled": rule.enabled}


def _name_clean(name: str, others: Any) -> str:
    cleaned = " ".join(name.split())
    if not 0 < len(cleaned) <= NAME_LENGTH or not cleaned.isprintable():
        raise ValidationError({"name": gettext("A name has 1 to %(most)s characters.") % {"most": NAME_LENGTH}})
    if others.filter(name=cleaned).exists():
        raise ValidationError({"name": gettext("There is one of this name already.")})
    return cleaned


def _targets_of(project: Project, ids: Sequence[int]) -> list[AlertTarget]:
    found = list(project.alert_targets.filter(pk__in=ids))
    if len(found) != len(set(ids)) or not found:
        raise ValidationError({"targets": gettext("Choose at least one of the project's targets.")})
    return found


def _room(project: Project, count: int, refusal: str) -> None:
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    if count >= MOST:
        raise ValidationError({"name": refusal % {"most": MOST}})
